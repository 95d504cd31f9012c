"""Redis, end to end: recorded from a real server, served to the same clients and to others."""

import random
import signal
from collections.abc import Callable
from pathlib import Path

import hiredis  # noqa: F401  the parser that redis-py takes when it is there
import pytest
import redis

from tests.e2e import redis_work
from tests.e2e.processes import Svcmock, wait_until
from tests.e2e.redis_server import VERSIONS, documents, project, redis_server, talk
from tests.protocols.redis.making import wire

CLIENTS = [{"protocol": 2}, {"protocol": 3}]


@VERSIONS
@pytest.mark.parametrize("how", CLIENTS)
def test_recorded_and_served_in_any_order(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], program: str, how: dict[str, int]
) -> None:
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data", program=program)
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    names = list(redis_work.steps())
    told = redis_work.take(recorder.ports["db"], names, at_once=4, **how)
    asynchronous = redis_work.take_async(recorder.ports["db"], [501, 502, 503], **how)
    assert server.stop() == 0
    counted = recorder.stop()["db"]
    assert counted["failed"] == 0
    assert counted["accepted"] == counted["recorded"] + counted["skipped"]

    mock = svcmock.up(tmp_path / "p")
    again = redis_work.take(mock.ports["db"], redis_work.shuffled(names), at_once=4, **how)
    for name in names:
        assert again[name] == told[name], name
    assert redis_work.take_async(mock.ports["db"], [503, 502, 501], **how) == asynchronous[::-1]
    assert mock.status()["services"]["db"]["misses"] == 0


@VERSIONS
def test_what_one_version_recorded_serves_the_other(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], program: str
) -> None:
    """Each client sees what it would have seen of the real server."""
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data", program=program)
    real, recordings = {}, {}
    for how in CLIENTS:
        with redis.Redis(port=port, **how) as client:
            client.flushall()
        real[how["protocol"]] = redis_work.take(port, ["one_by_one-0"], **how)
    for how in CLIENTS:
        with redis.Redis(port=port, **how) as client:
            client.flushall()
        folder = tmp_path / f"p{how['protocol']}"
        recorder = svcmock.record(folder, {"db": f"redis://127.0.0.1:{port}"})
        redis_work.take(recorder.ports["db"], ["one_by_one-0"], **how)
        recorder.stop()
        recordings[how["protocol"]] = folder
    server.stop()
    for recorded, folder in recordings.items():
        mock = svcmock.up(folder)
        found = redis_work.take(mock.ports["db"], ["one_by_one-0"], protocol=5 - recorded)
        assert found == real[5 - recorded], recorded
        mock.down()


def test_a_recording_is_readable_and_has_no_password(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, secret = free_port(), "s3cret-pa55word"
    server = redis_server(svcmock, port, tmp_path / "data", "--requirepass", secret)
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    with redis.Redis(port=recorder.ports["db"], password=secret, client_name="app") as client:
        client.set("user:42", '{"name": "Ann"}')
        client.get("user:42")
        client.config_get("requirepass")
        client.config_set("requirepass", secret)
        client.execute_command("ACL", "SETUSER", "ann", f">{secret}")
    server.stop()
    recorder.stop()
    found = documents(tmp_path / "p")
    assert [one["request"] for one in found][:2] == [
        {"command": ["SET", "user:42", '{"name": "Ann"}']},
        {"command": "GET user:42"},
    ]
    assert [one["respond"] for one in found][:2] == [{"status": "OK"}, {"value": '{"name": "Ann"}'}]
    for file in (tmp_path / "p").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    facts = (tmp_path / "p/recordings/db/server.facts").read_text()
    assert '"version"' in facts
    mock = svcmock.up(tmp_path / "p")
    with redis.Redis(port=mock.ports["db"], password=secret) as client:
        assert client.get("user:42") == b'{"name": "Ann"}'
        assert client.config_set("requirepass", secret)
        told = client.execute_command("HELLO", 3)
        assert (told.get(b"version") or told.get("version")).decode().startswith("6.")
        with pytest.raises(redis.ResponseError, match="svcmock: no recorded reply for CONFIG SET"):
            client.config_set("requirepass", "another")


def test_a_recorder_that_is_killed_loses_only_what_was_under_way(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    redis_server(svcmock, port, tmp_path / "data")
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    with redis.Redis(port=recorder.ports["db"]) as client:
        for number in range(500):
            client.set(f"k{number}", number)
        recorder.process.send(signal.SIGKILL)
        recorder.process.wait()
    mock = svcmock.up(tmp_path / "p")
    with redis.Redis(port=mock.ports["db"]) as client:
        # the last reply may have reached the client before it reached the disk
        assert all(client.set(f"k{number}", number) for number in range(499))


def test_bad_input_costs_the_connection_and_nothing_else(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "p", "request: {command: GET a}\nrespond: {value: '1'}\n"))
    port = mock.ports["db"]
    bombs = [
        (b"*999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n*1\r\n", b"-ERR Protocol error: expected '$', got '*'\r\n"),
        (b"x" * 70_000, b"-ERR Protocol error: too big inline request\r\n"),
        (b"GET 'a\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ]
    for data, told in bombs:
        assert talk(port, data, lambda got: False) == told
    assert talk(port, b"POST / HTTP/1.1\r\n\r\n", lambda got: False) == b""
    dice = random.Random(3)
    for _ in range(50):
        talk(port, dice.randbytes(200) + b"\r\nQUIT\r\n" + b"*x\r\n", lambda got: False)
    expected = b"$1\r\n1\r\n" * 1000
    assert talk(port, wire("GET a") * 1000, lambda got: len(got) >= len(expected)) == expected
    assert mock.status()["services"]["db"]["misses"] <= 60


TALKS = {
    "multi": wire("MULTI", "MULTI", "PING", "DISCARD", "DISCARD", "EXEC"),
    "watch": wire("WATCH a", "MULTI", "WATCH a", "DISCARD", "UNWATCH"),
    "arity": wire("MULTI", "GET", "EXEC", "MULTI", "SET a", "PING", "EXEC"),
    "select": wire("SELECT x", "SELECT", "SELECT 1", "SELECT -1", "SELECT 1 2"),
    "subscribe": wire("SUBSCRIBE a b", "PING", "PING x", "UNSUBSCRIBE a", "UNSUBSCRIBE", "UNSUBSCRIBE", "PING"),
    "patterns": wire(
        "PSUBSCRIBE a* b*", "SUBSCRIBE a", "PUNSUBSCRIBE a*", "PUNSUBSCRIBE", "UNSUBSCRIBE b", "SUBSCRIBE"
    ),
    "reset": wire("SUBSCRIBE a", "RESET", "PING", "MULTI", "RESET", "PING", "EXEC"),
    "reply": wire("CLIENT REPLY SKIP", "PING", "PING", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON", "PING"),
    "client": wire("CLIENT GETNAME", "CLIENT SETNAME a", "CLIENT GETNAME", "CLIENT", "CLIENT TRACKINGINFO"),
    "hello": wire("HELLO 4", "HELLO x", "HELLO 3 NOSUCH", "AUTH", "AUTH a b c"),
    "echo": wire("ECHO", "ECHO a", "PING a b", "PING a", "SCRIPT FLUSH", "COMMAND GETKEYS MSET a 1 b 2"),
    "quit": wire("QUIT", "PING"),
    "quit in multi": wire("MULTI", "QUIT"),
    "inline": b"PING\r\n\r\nping 'a b'\nECHO \"\\x41\\n\"\r\n",
    "count": b"*x\r\n",
    "many": b"*9999999999\r\n",
    "none": b"*0\r\n*-1\r\nPING\r\n",
    "long": b"*1\r\n$999999999999\r\n",
    "length": b"*1\r\n$x\r\n",
    "negative": b"*1\r\n$-1\r\n",
    "no bulk": b"*1\r\n*1\r\n",
    "quotes": b"GET 'a\r\n",
    "web": b"POST / HTTP/1.1\r\n\r\n",
}


@VERSIONS
def test_a_connection_is_as_a_real_server_has_it(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], program: str
) -> None:
    """What the mock says of itself, byte for byte. Each talk ends with what both refuse."""
    port = free_port()
    redis_server(svcmock, port, tmp_path / "data", program=program)
    mock = svcmock.up(project(tmp_path / "p", "request: {command: GET a}\nrespond: {value: '1'}\n"))
    end = b"\r\n*x\r\n"
    told = {name: talk(port, data + end, lambda got: False) for name, data in TALKS.items()}
    for name, data in TALKS.items():
        assert talk(mock.ports["db"], data + end, lambda got: False) == told[name], name


def test_a_miss_tells_what_is_near(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "p", "request: {command: GET user:42}\nrespond: {value: '1'}\n"))
    with redis.Redis(port=mock.ports["db"]) as client, pytest.raises(redis.ResponseError) as told:
        client.get("user:43")
    line = str(told.value)
    assert line.startswith("svcmock: no recorded reply for GET user:43 (nearest: routes/a.yaml:1")
    assert "user:42" in line
    why = svcmock.run("why", "--project", tmp_path / "p", "m-1").stdout
    assert "user:42" in why


def test_two_rules_and_a_template(svcmock: Svcmock, tmp_path: Path) -> None:
    routes = """\
match: {command: GET, key: "user:{id}"}
template: true
respond: {value: "user number {{ id }}"}
---
match: {command: SET, args: {contains: EX}}
respond: {status: OK}
---
request: {command: HGETALL h}
respond: {map: {a: "1"}}
---
request: {command: SLOW}
delay: 100ms
respond: {error: WRONGTYPE it takes its time}
"""
    mock = svcmock.up(project(tmp_path / "p", routes))
    for how in CLIENTS:
        with redis.Redis(port=mock.ports["db"], **how) as client:
            assert client.get("user:7") == b"user number 7"
            assert client.set("a", 1, ex=5) is True
            assert client.hgetall("h") == {b"a": b"1"}
            with pytest.raises(redis.ResponseError, match="it takes its time"):
                client.execute_command("SLOW")


def test_the_model(svcmock: Svcmock, tmp_path: Path) -> None:
    routes = """\
request: {command: GET stock:tea}
respond: {value: "12"}
---
request: {command: TIME}
respond: {value: ["1", "2"]}
"""
    mock = svcmock.up(project(tmp_path / "p", routes, model=True))
    with redis.Redis(port=mock.ports["db"]) as one, redis.Redis(port=mock.ports["db"], protocol=2) as other:
        assert one.incrby("stock:tea", -1) == 11
        assert other.get("stock:tea") == b"11"
        one.hset("h", mapping={"a": "1"})
        assert other.hgetall("h") == {b"a": b"1"}
        assert other.zadd("z", {"m": 1.5}) == 1
        assert one.zrange("z", 0, -1, withscores=True) == other.zrange("z", 0, -1, withscores=True)
        with one.pipeline() as pipe:
            pipe.incr("stock:tea").get("stock:tea")
            assert pipe.execute() == [12, b"12"]
        assert one.execute_command("TIME") is not None
        assert other.blpop("jobs", timeout=0.1) is None
        one.rpush("jobs", "a")
        assert other.blpop("jobs", timeout=1) in ([b"jobs", b"a"], (b"jobs", b"a"))
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            other.incr("h")


@VERSIONS
@pytest.mark.parametrize("how", CLIENTS)
def test_the_model_answers_as_a_real_server(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], program: str, how: dict[str, int]
) -> None:
    """All but scripts, what nobody knows, and how a stream is laid out in memory."""
    port = free_port()
    redis_server(svcmock, port, tmp_path / "data", program=program)
    mock = svcmock.up(project(tmp_path / "p", "request: {command: GET x}\nrespond: {value: '1'}\n", model=True))
    told = redis_work.take(port, ["one_by_one-0", "databases-0"], **how)
    found = redis_work.take(mock.ports["db"], ["one_by_one-0", "databases-0"], **how)
    other = {"XINFO", "NOSUCHCOMMAND", "EVAL"}
    for args, one, another in zip(
        redis_work.commands(0), told["one_by_one-0"], found["one_by_one-0"], strict=True
    ):
        assert args[0] in other or one == another, args
    assert told["databases-0"] == found["databases-0"]


def test_a_cluster_of_one(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    routes = """\
request: {command: GET a}
respond: {error: MOVED 15495 10.1.2.3:6379}
---
request: {command: GET a}
respond: {value: here}
"""
    folder = project(tmp_path / "p", routes, announce=f"127.0.0.1:{port}")
    graph = folder / "svcmock.yaml"
    graph.write_text(graph.read_text().replace("listen: 0", f"listen: {port}"))
    svcmock.up(folder)
    with redis.RedisCluster(host="127.0.0.1", port=port) as client:
        assert client.get("a") == b"here"


def test_publishing_between_clients_of_the_mock(svcmock: Svcmock, tmp_path: Path) -> None:
    mock = svcmock.up(project(tmp_path / "p", "request: {command: GET a}\nrespond: {value: '1'}\n"))
    for how in CLIENTS:
        with redis.Redis(port=mock.ports["db"], **how) as client, client.pubsub() as listener:
            listener.subscribe("news")
            listener.psubscribe("n*", "x*")
            assert [listener.get_message(timeout=5)["type"] for _ in range(3)] == [
                "subscribe",
                "psubscribe",
                "psubscribe",
            ]
            assert client.publish("news", "hello") == 2
            found = [listener.get_message(timeout=5) for _ in range(2)]
            assert sorted((one["type"], one["channel"], one["data"]) for one in found) == [
                ("message", b"news", b"hello"),
                ("pmessage", b"news", b"hello"),
            ]
            listener.unsubscribe()
            assert listener.get_message(timeout=5)["type"] == "unsubscribe"
    with redis.Redis(port=mock.ports["db"]) as client:
        wait_until(lambda: client.publish("news", "nobody") == 0)


def test_messages_of_others_are_recorded_and_come_again(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    server = redis_server(svcmock, port, tmp_path / "data")
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    elsewhere = redis.Redis(port=port)
    here = redis.Redis(port=recorder.ports["db"])
    listener = here.pubsub(ignore_subscribe_messages=True)
    listener.subscribe("news")
    listener.psubscribe("w*")
    wait_until(lambda: elsewhere.pubsub_numpat() == 1 and elsewhere.pubsub_numsub("news")[0][1] == 1)

    def next_message(of: redis.client.PubSub) -> tuple[bytes, bytes]:
        found = wait_until(lambda: of.get_message(timeout=0.2))
        return found["channel"], found["data"]

    told = []
    for channel, text in (("news", "first"), ("weather", "rain"), ("news", "second")):
        elsewhere.publish(channel, text)
        told.append(next_message(listener))
    here.publish("news", "my own")
    assert next_message(listener) == (b"news", b"my own")
    listener.close()
    here.close()
    elsewhere.close()
    recorder.stop()
    server.stop()
    pushed = [one for one in documents(tmp_path / "p") if "pushed" in one["request"]]
    assert [one["respond"]["message"] for one in pushed] == ["first", "rain", "second"]

    mock = svcmock.up(tmp_path / "p")
    with redis.Redis(port=mock.ports["db"]) as client, client.pubsub(ignore_subscribe_messages=True) as again:
        again.subscribe("news")
        again.psubscribe("w*")
        assert sorted(next_message(again) for _ in range(3)) == sorted(told)
        assert client.publish("news", "my own") == 1  # as it was recorded
        assert next_message(again) == (b"news", b"my own")
