"""One client connection: order, back-pressure, closing, and what becomes of a client that does not go on."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from time import time
from typing import Any

import pytest
import trustme

from svcmock.journal import Journal
from svcmock.net import driver
from svcmock.net import serving as serving_module
from svcmock.net.driver import Connection
from svcmock.net.outgoing import FILE_PIECE
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from tests.net.chat import chatting
from tests.net.wire import HIGH, Run, Wire, connections, noted
from tests.routes import responder


def get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


def serving(root: Path, *docs: Any, service: str = "") -> Serving:
    return Serving(responder(root, *docs, service=service), Journal(), lambda: Spools(root / "spool"))


def late(path: str, delay: str) -> Any:
    return {"request": {"path": path}, "respond": {"status": 200, "body": path}, "delay": delay}


# --- order --------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order_whatever_their_delays(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/slow", "30ms"), late("/quick", "1ms"), late("/now", "0s"))

    async def work() -> bytes:
        wire = Wire(shop)
        await wire.send(b"".join(map(get, ["/slow", "/now", "/quick", "/now"])))
        return wire.written

    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in run(work).split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"/slow", b"/now", b"/quick", b"/now"]


def test_requests_that_come_while_an_answer_is_late_wait_for_it(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/slow", "20ms"), late("/now", "0s"))

    async def work() -> bytes:
        wire = Wire(shop)
        await wire.send(get("/now"))
        await wire.send(get("/now"))
        await wire.send(get("/slow"), wait=False)
        before = wire.written
        await wire.send(get("/now"), wait=False)
        assert wire.written == before
        await wire.send(b"")
        return wire.written

    told = run(work)
    assert told.rindex(b"/slow") < told.rindex(b"/now")
    assert told.count(b"200 OK") == 4


# --- back-pressure ------------------------------------------------------------------------------------


def test_while_the_client_takes_nothing_its_requests_wait_and_nothing_is_read(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, {"request": {"path": "/"}, "respond": {"body": "x" * 20_000}})
    count = 200

    async def work() -> Wire:
        wire = Wire(shop, room=HIGH)
        await wire.send(get("/") * count)
        assert not wire.transport.reading
        assert wire.transport.most_waiting < HIGH + driver.WRITE_AT_ONCE + 30_000
        turns = 0
        while wire.transport.waiting:
            wire.transport.take(16_384)
            turns += 1
            assert turns < 10_000
        return wire

    wire = run(work)
    assert wire.written.count(b"200 OK") == count
    assert wire.transport.most_waiting < HIGH + driver.WRITE_AT_ONCE + 30_000
    assert wire.transport.reading


def big_file(root: Path, size: int) -> Any:
    (root / "routes" / "bodies").mkdir(parents=True, exist_ok=True)
    with (root / "routes" / "bodies" / "big").open("wb") as file:
        for number in range(size // 1024):
            file.write(b"%08d" % number * 128)
    return {"request": {"path": "/big"}, "respond": {"body": {"file": "bodies/big"}}}


def test_a_large_file_is_read_as_the_client_takes_it(run: Run, tmp_path: Path) -> None:
    size = 32 * 2**20
    shop = serving(tmp_path, big_file(tmp_path, size), {"request": {"path": "/"}, "respond": {"body": "after"}})

    async def work() -> Wire:
        wire = Wire(shop, room=HIGH)
        await wire.send(get("/big") + get("/"))
        assert len(wire.written) < 2**20
        while wire.transport.waiting:
            wire.transport.take(200_000)
        return wire

    wire = run(work)
    assert wire.transport.most_waiting <= HIGH + FILE_PIECE + 4096
    head, _, rest = wire.written.partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    assert rest[:size] == b"".join(b"%08d" % number * 128 for number in range(size // 1024))
    assert rest.endswith(b"after")


def test_a_client_that_leaves_in_the_middle_of_a_file_leaves_nothing_open(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, big_file(tmp_path, 4 * 2**20))

    async def work() -> Connection:
        wire = Wire(shop, room=HIGH)
        await wire.send(get("/big"))
        assert wire.connection._files.active
        wire.end()
        return wire.connection

    connection = run(work)
    assert not connection._files.active
    assert not shop.connections


def test_a_file_that_became_shorter_aborts_rather_than_lies(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, big_file(tmp_path, 4 * 2**20))
    body = tmp_path / "routes" / "bodies" / "big"

    async def work() -> Wire:
        wire = Wire(shop, room=HIGH)
        await wire.send(get("/big"))
        body.write_bytes(b"short")
        wire.transport.take(10**9)
        await asyncio.sleep(0)
        return wire

    assert run(work).transport.closed == "abort"


def test_over_a_real_socket_a_slow_reader_gets_every_byte(run: Run, tmp_path: Path) -> None:
    size = 24 * 2**20
    shop = serving(tmp_path, big_file(tmp_path, size))

    async def work() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(shop), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        client.setblocking(False)
        await loop.sock_sendall(client, get("/big", "Connection: close\r\n"))
        got = most = 0
        while data := await loop.sock_recv(client, 100_000):
            got += len(data)
            for connection in connections(shop):
                most = max(most, connection._transport.get_write_buffer_size())
        client.close()
        server.close()
        return got, most

    got, most = run(work)
    assert size < got < size + 1000
    assert most < 2**20


# --- closing ------------------------------------------------------------------------------------------


def test_after_the_last_answer_our_side_ends_and_the_client_may_end_its_own(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/", "0s"))

    async def work() -> Wire:
        wire = Wire(shop)
        await wire.send(get("/", "Connection: close\r\n"), wait=False)
        assert (wire.transport.eof, wire.transport.closed) == (True, "")
        await wire.send(b"more that nobody reads", wait=False)
        assert wire.connection.eof_received()
        assert wire.transport.closed == "close"
        await asyncio.sleep(0)
        return wire

    wire = run(work)
    assert wire.written.count(b"HTTP/1.1") == 1
    assert not wire.connection._timers
    assert not shop.connections


def test_a_client_that_never_ends_its_side_is_closed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LINGER", 0.01)
    shop = serving(tmp_path, late("/", "0s"))

    async def work() -> str:
        wire = Wire(shop)
        await wire.send(get("/", "Connection: close\r\n"), wait=False)
        while not wire.transport.closed:  # noqa: ASYNC110  bounded by the runner
            await asyncio.sleep(0.005)
        return wire.transport.closed

    assert run(work) == "close"


def test_a_client_that_ends_its_side_still_gets_what_it_asked_for(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/slow", "10ms"))

    async def work() -> Wire:
        wire = Wire(shop)
        await wire.send(get("/slow") * 2, wait=False)
        assert wire.connection.eof_received()
        assert not wire.transport.closed
        while not wire.transport.closed:  # noqa: ASYNC110  bounded by the runner
            await asyncio.sleep(0.002)
        return wire

    wire = run(work)
    assert wire.written.count(b"200 OK") == 2
    assert wire.transport.closed == "close"


def test_a_lost_connection_cancels_what_was_still_to_come(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/slow", "5ms"))

    async def work() -> Wire:
        wire = Wire(shop)
        await wire.send(get("/slow"), wait=False)
        (timer,) = wire.connection._timers
        wire.end()
        assert timer.cancelled()
        await asyncio.sleep(0.01)
        return wire

    assert run(work).written == b""
    assert not shop.connections


def test_beyond_the_limit_of_connections_new_ones_are_refused(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/", "0s"), service="limits: {connections: 2}")

    async def work() -> list[str]:
        wires = [Wire(shop) for _ in range(3)]
        await asyncio.sleep(0)
        return [wire.transport.closed for wire in wires]

    assert run(work) == ["", "", "abort"]
    assert (shop.refused, len(shop.connections)) == (1, 2)


def test_draining_ends_a_resting_client_now_and_a_waiting_one_after_its_answer(
    run: Run, tmp_path: Path
) -> None:
    shop = serving(tmp_path, late("/slow", "10ms"))

    async def work() -> tuple[Wire, Wire]:
        resting, waiting = Wire(shop), Wire(shop)
        await waiting.send(get("/slow"), wait=False)
        for connection in tuple(shop.connections):
            connection.drain()
        assert (resting.transport.eof, waiting.transport.eof) == (True, False)
        while not waiting.transport.eof:  # noqa: ASYNC110  bounded by the runner
            await asyncio.sleep(0.002)
        return resting, waiting

    resting, waiting = run(work)
    assert resting.written == b""
    assert waiting.written.count(b"200 OK") == 1


# --- clients that do not go on ------------------------------------------------------------------------


def test_a_half_sent_request_times_out_and_a_resting_client_does_not(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/", "0s"))

    async def work() -> tuple[Wire, Wire]:
        half, resting = Wire(shop), Wire(shop)
        await half.send(get("/")[:20])
        await resting.send(get("/"))
        now = asyncio.get_running_loop().time()
        for wire in (half, resting):
            wire.connection.check_idle(now + 5, 60)
        assert not half.transport.eof
        for wire in (half, resting):
            wire.connection.check_idle(now + 66, 60)
        return half, resting

    half, resting = run(work)
    assert half.written.startswith(b"HTTP/1.1 408 ")
    assert half.transport.eof
    assert (resting.transport.eof, resting.transport.closed) == (False, "")


def test_a_client_that_does_not_read_is_closed_and_a_slow_one_is_not(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, {"request": {"path": "/"}, "respond": {"body": "x" * 2_000_000}})

    async def work() -> tuple[str, str]:
        stuck, slow = Wire(shop, room=HIGH), Wire(shop, room=HIGH)
        now = asyncio.get_running_loop().time()
        for wire in (stuck, slow):
            await wire.send(3 * get("/"))  # what waits behind an answer makes no difference
        for minute in range(1, 6):
            slow.transport.take(1000)
            for wire in (stuck, slow):
                wire.connection.check_idle(now + 50 * minute, 60)
        await asyncio.sleep(0)
        return stuck.transport.closed, slow.transport.closed

    assert run(work) == ("abort", "")


def test_one_that_waits_for_us_is_left_alone(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/slow", "10s"))

    async def work() -> Wire:
        wire = Wire(shop)
        await wire.send(get("/slow"), wait=False)
        for later in (0, 1000):
            wire.connection.check_idle(asyncio.get_running_loop().time() + later, 60)
        wire.end()
        return wire

    assert run(work).written == b""


def test_what_we_say_unasked_is_no_progress_of_the_client(run: Run, tmp_path: Path) -> None:
    made = responder(tmp_path, late("/", "0s"))
    room = Serving(chatting(made), Journal(), lambda: Spools(tmp_path / "spool"))

    async def work() -> bytes:
        wire = Wire(room)
        await wire.send(b"beat\nhalf a li", wait=False)
        now = asyncio.get_running_loop().time()
        wire.connection.check_idle(now, 60)
        beats = 1
        for later in (30, 70):
            while wire.written.count(b"beat") == beats:  # noqa: ASYNC110  bounded by the runner
                await asyncio.sleep(0)
            beats = wire.written.count(b"beat")
            wire.connection.check_idle(now + later, 60)
        assert wire.transport.eof
        wire.end()
        return wire.written

    assert run(work).endswith(b"beat\ntoo late\n")


def test_who_reads_more_slowly_than_we_speak_is_left_alone(run: Run, tmp_path: Path) -> None:
    made = responder(tmp_path, late("/", "0s"))
    room = Serving(chatting(made), Journal(), lambda: Spools(tmp_path / "spool"))

    async def work() -> str:
        wire = Wire(room, room=HIGH)
        await wire.send(b"beat\n", wait=False)
        now = asyncio.get_running_loop().time()
        for later in range(0, 250, 50):
            beats = wire.written.count(b"beat")
            while wire.written.count(b"beat") == beats:  # noqa: ASYNC110  bounded by the runner
                await asyncio.sleep(0)
            wire.transport.take(1)
            wire.connection.check_idle(now + later, 60)
        closed = wire.transport.closed
        wire.end()
        return closed

    assert run(work) == ""


def test_one_who_is_sent_something_with_gaps_is_left_alone(run: Run, tmp_path: Path) -> None:
    gaps = [{"after": "10s", "data": "never"}]
    shop = serving(tmp_path, {"request": {"path": "/"}, "respond": {"stream": gaps}})

    async def work() -> tuple[bool, bool]:
        quiet, ahead = Wire(shop), Wire(shop)
        await quiet.send(get("/"), wait=False)
        await ahead.send(get("/") + get("/")[:20], wait=False)
        now = asyncio.get_running_loop().time()
        for later in (0, 100, 200):
            for wire in (quiet, ahead):
                wire.connection.check_idle(now + later, 60)
        ends = quiet.transport.eof, ahead.transport.eof
        for wire in (quiet, ahead):
            wire.end()
        return ends

    assert run(work) == (False, False)


# --- misses -------------------------------------------------------------------------------------------


def test_a_flood_of_misses_is_answered_without_working_out_each(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, late("/", "0s"))
    count = 3 * serving_module.EXPLAINED_PER_SECOND

    async def work() -> bytes:
        wire = Wire(shop)
        for number in range(count):
            await wire.send(get(f"/none/{number}"))
        return wire.written

    told = run(work)
    assert told.count(b"HTTP/1.1 501") == count
    assert serving_module.EXPLAINED_PER_SECOND <= told.count(b'"nearest"') < count
    assert told.count(b"svcmock why m-") == count
    assert noted(shop).misses == {"shop": count}


def test_a_route_that_cannot_answer_is_a_miss_that_says_why(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, big_file(tmp_path, 4 * 2**20))
    (tmp_path / "routes" / "bodies" / "big").unlink()

    async def work() -> bytes:
        wire = Wire(shop)
        await wire.send(get("/big"))
        return wire.written

    told = run(work)
    assert told.startswith(b"HTTP/1.1 501")
    assert b"route routes/shop.yaml:2 cannot answer" in told


def test_a_large_request_is_kept_in_the_journal_as_its_summary(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, {"match": {"path": "/up"}, "respond": {}})
    body = b"x" * (serving_module.JOURNAL_REQUEST_MAX + 1)

    async def work() -> None:
        wire = Wire(shop)
        await wire.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    run(work)
    (entry,) = noted(shop).since(0, 10)
    assert entry.request == "POST /up"


def test_spooled_bodies_leave_no_files(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, {"match": {"path": "/up"}, "respond": {}}, service="options: {max_body_memory: 8}")

    async def work() -> bytes:
        wire = Wire(shop)
        for _ in range(3):
            await wire.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 400008\r\n\r\n" + b"x" * 400_000)
            assert len(list((tmp_path / "spool").iterdir())) == 1
            await wire.send(b"34567890")
        wire.end()
        return wire.written

    assert run(work).count(b"200 OK") == 3
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_client_that_never_rests_does_not_pile_up_spooled_bodies(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, {"match": {"path": "/up"}, "respond": {}}, service="options: {max_body_memory: 8}")
    size = 300_000
    head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size

    async def work() -> bytes:
        wire = Wire(shop)
        await wire.send(head + b"x" * (size - 1))
        for _ in range(5):
            await wire.send(b"x" + head + b"x" * (size - 1))
            assert len(list((tmp_path / "spool").iterdir())) == 1
        wire.end()
        return wire.written

    assert run(work).count(b"200 OK") == 5
    assert list((tmp_path / "spool").iterdir()) == []


# --- sessions that know of each other -----------------------------------------------------------------


def chat(root: Path) -> Serving:
    return Serving(chatting(responder(root, late("/", "0s"))), Journal(), lambda: Spools(root / "spool"))


def test_what_is_published_reaches_all_who_have_subscribed_and_nobody_else(run: Run, tmp_path: Path) -> None:
    shop = chat(tmp_path)

    async def work() -> list[bytes]:
        one, two, three = wires = [Wire(shop) for _ in range(3)]
        await one.send(b"join a\njoin b\n")
        await two.send(b"join a\n")
        await three.send(b"say a 1\nsay b 2\nsay c 3\n")
        await two.send(b"say a 4\nleave a\nsay a 5\n")
        one.end()
        await three.send(b"say a 6\n")
        return [wire.written for wire in wires]

    told = run(work)
    assert told[0] == b"hello\njoined\njoined\na: 1\nb: 2\na: 4\na: 5\n"
    assert told[1] == b"hello\njoined\na: 1\n2 heard\na: 4\nleft\n1 heard\n" or told[1] == (
        b"hello\njoined\na: 1\n2 heard\nleft\n1 heard\na: 4\n"
    )
    assert told[2] == b"hello\n2 heard\n1 heard\n0 heard\n0 heard\n"
    assert not shop._told
    assert not shop._topics


def test_a_session_is_told_the_time_when_it_asks_for_it(run: Run, tmp_path: Path) -> None:
    shop = chat(tmp_path)

    async def work() -> bytes:
        wire = Wire(shop)
        await wire.send(b"date\nx\n")
        wire.end()
        return wire.written

    before = int(time())
    hello, is_, told, *rest = run(work).split(b"\n")
    assert (hello, is_, rest) == (b"hello", b"it is", [b"indeed", b"x?", b""])
    token, now = told.split(b": ")
    assert token == b"1"
    assert before <= int(now) <= time()


def test_what_sessions_share_outlives_a_reload_and_is_told_of_each_end(run: Run, tmp_path: Path) -> None:
    shop = chat(tmp_path)

    async def work() -> tuple[list[str], list[str]]:
        before = Wire(shop)
        shop.replace(chatting(responder(tmp_path, late("/", "0s"))))
        after = Wire(shop)
        shared = list(after.connection.context.state)
        before.end()
        after.connection.abort()
        await asyncio.sleep(0)
        return shared, shop.context.state

    shared, ended = run(work)
    assert shared == ["came", "came"]
    assert ended == ["came", "came", "gone", "gone"]


def test_a_subscriber_that_does_not_read_is_closed_and_the_others_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "MAX_HEARD", 20)
    shop = chat(tmp_path)

    async def work() -> tuple[Wire, Wire, Wire]:
        slow, quick, loud = Wire(shop, room=200), Wire(shop), Wire(shop)
        await slow.send(b"join a\n")
        await quick.send(b"join a\n")
        for number in range(100):
            await loud.send(b"say a %070d\n" % number)
            await asyncio.sleep(0)
        return slow, quick, loud

    slow, quick, loud = run(work)
    assert slow.transport.closed == "abort"
    assert quick.written.count(b"a: ") == 100
    assert loud.written.count(b"2 heard") + loud.written.count(b"1 heard") == 100
    assert loud.written.endswith(b"1 heard\n")


# --- TLS that starts later ----------------------------------------------------------------------------


def secure(shop: Serving, folder: Path) -> ssl.SSLContext:
    """Gives the service TLS, and a client's context that trusts it."""
    ca = trustme.CA()
    shop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(shop.tls)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    return trusting


async def listening(shop: Serving) -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shop), "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def test_a_session_starts_tls_and_goes_on_in_it(run: Run, tmp_path: Path) -> None:
    shop = chat(tmp_path)
    trusting = secure(shop, tmp_path)

    async def work() -> tuple[list[bytes], list[str]]:
        server, port = await listening(shop)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told = [await reader.readline()]
        writer.write(b"one\ntls\n")
        told += [await reader.readline(), await reader.readline()]
        await writer.start_tls(trusting, server_hostname="127.0.0.1")
        for number in range(3):
            writer.write(b"%d\n" % number)
            told.append(await reader.readline())
        writer.write(b"join a\nsay a me\n")
        told += [await reader.readline() for _ in range(3)]
        writer.close()
        while shop.connections:  # noqa: ASYNC110  bounded by the fixture
            await asyncio.sleep(0.002)
        server.close()
        return told, shop.context.state

    told, room = run(work)
    assert told[:6] == [b"hello\n", b"one?\n", b"go on\n", b"0?\n", b"1?\n", b"2?\n"]
    assert sorted(told[6:]) == [b"1 heard\n", b"a: me\n", b"joined\n"]
    assert room == ["came", "gone"]


@pytest.mark.parametrize("said", [b"no handshake at all\n", b"\x16\x03\x01\x00\x05abcde", b""])
def test_a_handshake_that_fails_ends_that_connection_and_leaves_nothing(
    run: Run, tmp_path: Path, said: bytes
) -> None:
    shop = chat(tmp_path)
    secure(shop, tmp_path)

    async def work() -> tuple[bytes, list[str]]:
        server, port = await listening(shop)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"tls\n")
        told = await reader.readline()
        writer.write(said)
        writer.write_eof()
        rest = b""
        with contextlib.suppress(ConnectionError):
            rest = await reader.read()
        writer.close()
        while shop.connections:  # noqa: ASYNC110  bounded by the fixture
            await asyncio.sleep(0.002)
        server.close()
        assert b"?" not in rest
        return told, shop.context.state

    assert run(work) == (b"go on\n", ["came", "gone"])


def test_tls_that_the_service_has_not_ends_the_connection(run: Run, tmp_path: Path) -> None:
    shop = chat(tmp_path)

    async def work() -> Wire:
        wire = Wire(shop)
        await wire.send(b"tls\nmore\n")
        await asyncio.sleep(0)
        return wire

    wire = run(work)
    assert wire.transport.closed == "abort"
    assert b"more" not in wire.written
