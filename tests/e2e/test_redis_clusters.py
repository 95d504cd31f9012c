"""Clusters of Redis, end to end: clients that follow redirections stay with the recorder, and with the mock."""

import json
import random
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import redis
import redis.cluster

from tests.e2e import packages
from tests.e2e.processes import Recorder, Svcmock, wait_until
from tests.e2e.redis_server import documents, redis_server

KEYS = [f"key:{number}" for number in range(40)]
"""Of as many slots, on every node of a cluster."""
SLOTS = 16384


def cluster(svcmock: Svcmock, folder: Path, ports: Sequence[int]) -> None:
    """Real servers that share the slots. The bus of a node listens 10,000 ports above its own."""
    folder.mkdir()
    each = -(-SLOTS // len(ports))
    for at, port in enumerate(ports):
        redis_server(svcmock, port, folder / str(port), "--cluster-enabled", "yes")
        with redis.Redis(port=port) as node:
            node.execute_command("CLUSTER ADDSLOTS", *range(at * each, min((at + 1) * each, SLOTS)))
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", at + 1)
            for other in ports[:at]:
                node.execute_command("CLUSTER MEET", "127.0.0.1", other)
    for port in ports:
        with redis.Redis(port=port) as node:
            wait_until(lambda node=node: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
            wait_until(lambda node=node: len(node.execute_command("CLUSTER SLOTS")) == len(ports))


def cluster_ports(count: int) -> list[int]:
    """Free ports of which the one for the bus is free, too. None is one that the system gives to clients."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(12_000, 22_000)
        if port not in ports and _is_free(port) and _is_free(port + 10_000):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def graph(folder: Path, upstreams: Mapping[int, int], **options: object) -> Path:
    """A project that listens on the first ports and records the nodes on the others."""
    folder.mkdir()
    services = {
        f"node{at}": {
            "listen": f"127.0.0.1:{here}",
            "protocol": "redis",
            "upstream": f"redis://127.0.0.1:{there}",
            "routes": f"recordings/node{at}/",
            "options": options,
        }
        for at, (here, there) in enumerate(upstreams.items())
    }
    (folder / "svcmock.yaml").write_text(json.dumps({"version": 1, "services": services}))
    return folder


def recording(svcmock: Svcmock, folder: Path) -> Recorder:
    names = list(json.loads((folder / "svcmock.yaml").read_text())["services"])
    return Recorder(svcmock.start("record", folder), names)


def work(port: int, **how: int) -> list[object]:
    """What an application does with a cluster that it knows by one node."""
    with redis.cluster.RedisCluster(host="127.0.0.1", port=port, **how) as client:
        found: list[object] = [client.set(key, key.upper()) for key in KEYS]
        found += [client.get(key) for key in KEYS]
        found.append(client.mget_nonatomic(KEYS))
        pipe = client.pipeline()
        for key in KEYS:
            pipe.append(key, "!")
        found.append(pipe.execute())
        found.append(client.eval("return redis.call('GET', KEYS[1])", 1, KEYS[0]))
        found.append(client.xadd("{s}stream", {"a": "1"}, id="1-1"))
        found.append(client.execute_command("XREAD", "STREAMS", "{s}stream", "0"))
    return found


NODE_WORK = """\
const { Cluster } = require("ioredis");
const [port, ...keys] = process.argv.slice(2);
const cluster = new Cluster([{ host: "127.0.0.1", port: Number(port) }]);
(async () => {
  const found = [];
  for (const key of keys) found.push(await cluster.set(key, key + "!"), await cluster.get(key));
  console.log(JSON.stringify(found));
  cluster.disconnect();
})();
"""


def test_a_cluster_of_one_shard(svcmock: Svcmock, tmp_path: Path) -> None:
    """With two client libraries, one of which speaks RESP3."""
    port, here = cluster_ports(2)
    cluster(svcmock, tmp_path / "data", [port])
    folder = graph(tmp_path / "p", {here: port}, announce=f"127.0.0.1:{here}")
    script = tmp_path / "work.cjs"
    script.write_text(NODE_WORK)
    node, env = packages.node_with_packages()

    def take() -> tuple[list[object], list[str]]:
        process = svcmock.spawn([node, str(script), str(here), *KEYS[:5]], env)
        assert process.wait() == 0, process.output
        return work(here, protocol=3), json.loads(process.output)

    recorder = recording(svcmock, folder)
    told = take()
    assert recorder.stop()["node0"]["failed"] == 0
    assert len([one for one in documents(folder, "node0") if "GET" in str(one["request"])]) >= len(KEYS)
    mock = svcmock.up(folder)
    assert take() == told
    assert mock.status()["services"]["node0"]["misses"] == 0


def test_a_cluster_of_several(svcmock: Svcmock, tmp_path: Path) -> None:
    *ports, one, two = cluster_ports(4)
    cluster(svcmock, tmp_path / "data", ports)
    nodes = {f"127.0.0.1:{ports[0]}": f"127.0.0.1:{one}", f"127.0.0.1:{ports[1]}": f"127.0.0.1:{two}"}
    folder = graph(tmp_path / "p", {one: ports[0], two: ports[1]}, nodes=nodes)
    recorder = recording(svcmock, folder)
    told = work(one)
    with redis.Redis(port=one) as client:
        moved = [_tried(client, key) for key in KEYS]
    assert {where for where in moved if where.startswith("127.")} == {f"127.0.0.1:{two}"}
    counted = recorder.stop()
    assert counted["node0"]["failed"] == counted["node1"]["failed"] == 0
    assert counted["node0"]["recorded"] > len(KEYS) / 2
    assert counted["node1"]["recorded"] > len(KEYS) / 2
    replies = [str(one["respond"]) for one in documents(folder, "node0")]
    assert any(f"127.0.0.1:{ports[1]}" in reply for reply in replies)
    assert not any(f"127.0.0.1:{two}" in reply for reply in replies)

    mock = svcmock.up(folder)
    assert work(one) == told
    with redis.Redis(port=one) as client:
        assert [_tried(client, key) for key in KEYS] == moved
    status = mock.status()["services"]
    assert [status[name]["misses"] for name in ("node0", "node1")] == [0, 0]


def _tried(client: redis.Redis, key: str) -> str:
    """The value of a key, or the node that has it."""
    try:
        return str(client.execute_command("GET", key))
    except redis.exceptions.MovedError as moved:
        return f"{moved.host}:{moved.port}"


def test_a_recorder_that_is_passed_by_says_so(svcmock: Svcmock, tmp_path: Path) -> None:
    (port,) = cluster_ports(1)
    redis_server(svcmock, port, tmp_path / "data", "--cluster-enabled", "yes")
    recorder = svcmock.record(tmp_path / "p", {"db": f"redis://127.0.0.1:{port}"})
    with redis.Redis(port=recorder.ports["db"]) as client:
        assert client.execute_command("CLUSTER NODES")
    assert recorder.stop()["db"]["failed"] == 1
    assert "the options `announce` and `nodes`" in recorder.process.output
