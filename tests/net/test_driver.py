"""One client connection: order, back-pressure, closing, and what becomes of a client that does not go on."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from svcmock.journal import Journal
from svcmock.net import driver
from svcmock.net import serving as serving_module
from svcmock.net.driver import Connection
from svcmock.net.serving import Serving
from svcmock.net.spool import Spools
from tests.net.wire import HIGH, Wire, connections, noted
from tests.routes import responder

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine function to its end on one of the two event loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        async def bounded(work: Callable[[], Awaitable[Any]]) -> Any:
            async with asyncio.timeout(20):
                return await work()

        yield lambda work: runner.run(bounded(work))


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
    assert wire.transport.most_waiting <= HIGH + driver.FILE_PIECE + 4096
    head, _, rest = wire.written.partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    assert rest[:size] == b"".join(b"%08d" % number * 128 for number in range(size // 1024))
    assert rest.endswith(b"after")


def test_a_client_that_leaves_in_the_middle_of_a_file_leaves_nothing_open(run: Run, tmp_path: Path) -> None:
    shop = serving(tmp_path, big_file(tmp_path, 4 * 2**20))

    async def work() -> Connection:
        wire = Wire(shop, room=HIGH)
        await wire.send(get("/big"))
        assert wire.connection._file is not None
        wire.end()
        return wire.connection

    connection = run(work)
    assert connection._file is None
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
            await wire.send(get("/"))
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
