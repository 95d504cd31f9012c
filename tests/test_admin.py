"""The control API over real sockets, on both event loops; every byte of a request is literal."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from svcmock import admin
from svcmock.admin import AdminServer, Refusal
from svcmock.control import AdminClient, AdminError
from svcmock.model import Address, Tcp, Unix
from svcmock.protocol import Doc, Invalid, SvcmockError

TOKEN = "a-token-of-enough-characters"
LOOPS = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
Loop = Callable[[], asyncio.AbstractEventLoop]


def run(loop: Loop, work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


def status(_: dict[str, Doc]) -> dict[str, Doc]:
    return {"services": {"catalog": 8081}}


async def echo(given: dict[str, Doc]) -> dict[str, Doc]:
    await asyncio.sleep(0)
    return {"given": given}


HANDLERS: dict[tuple[str, str], Any] = {
    ("GET", "/status"): status,
    ("GET", "/echo"): echo,
    ("POST", "/echo"): echo,
}


@asynccontextmanager
async def serving(address: Address, token: str | None = None, **more: Any) -> AsyncIterator[Address]:
    server = AdminServer({**HANDLERS, **{("GET", f"/{name}"): handler for name, handler in more.items()}})
    where = await server.start(address, token)
    try:
        yield where
    finally:
        await server.close()


async def exchange(address: Address, sent: bytes, *, half_close: bool = True) -> bytes:
    """Everything the server says to these bytes, until it closes."""
    if isinstance(address, Unix):
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(sent)
    if half_close:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", *(headers or ["Host: localhost"]), "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    typed = headers or ("Host: localhost", "Content-Type: application/json")
    lines = [f"POST {path} HTTP/1.1", *typed, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


# --- asking -------------------------------------------------------------------------------------------


@LOOPS
def test_an_answer_byte_for_byte(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            assert await exchange(address, get("/status")) == (
                b"HTTP/1.1 200 OK\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: 36\r\n"
                b"Cache-Control: no-store\r\n"
                b"X-Content-Type-Options: nosniff\r\n"
                b"\r\n"
                b'{"services":{"catalog":8081}}\n'
            ).replace(b"36", b"30")

    run(loop, work)


@LOOPS
def test_requests_on_one_connection_are_answered_in_order(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            sent = post("/echo", b'{"n": 1}') + get("/echo?n=2&empty=") + post("/echo?n=3&m=4", b'{"n": [5]}')
            answer = await exchange(address, sent)
            bodies = [line for line in answer.splitlines() if line.startswith(b"{")]
            assert bodies == [
                b'{"given":{"n":1}}',
                b'{"given":{"n":"2","empty":""}}',
                b'{"given":{"n":[5],"m":"4"}}',
            ]

    run(loop, work)


@LOOPS
def test_a_request_in_single_bytes(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            reader, writer = await asyncio.open_unix_connection(address.path)  # type: ignore[union-attr]
            for byte in post("/echo", b'{"n": 1}'):
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            writer.write_eof()
            assert parsed(await reader.read()) == (200, {"given": {"n": 1}})
            writer.close()

    run(loop, work)


@LOOPS
def test_what_is_wrong_with_a_request_is_told(loop: Loop, short_folder: Path) -> None:
    cases: list[tuple[bytes, int, str]] = [
        (get("/nothing"), 404, "there is no /nothing"),
        (post("/status", b"{}"), 405, "/status does not take POST"),
        (post("/echo", b"{}", "Host: x"), 415, "a POST needs `Content-Type: application/json`"),
        (post("/echo", b"{}", "Host: x", "Content-Type: text/plain"), 415, "a POST needs"),
        (post("/echo", b"[1]"), 400, "the body is not a JSON object"),
        (post("/echo", b"{nonsense"), 400, "the body is not a JSON object"),
        (post("/echo", b'{"a":' + b"[" * 100_000), 400, "the body is not a JSON object"),
        (get("/echo?" + "&".join(f"f{n}=1" for n in range(101))), 400, "a query has at most 100 fields"),
        (b"nonsense\r\n\r\n", 400, "illegal request line"),
        (b"GET /status HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host: header"),
        (get("/status", "Host: x", "X-Long: " + "x" * 20_000), 431, ""),
    ]

    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            for sent, code, why in cases:
                got, doc = parsed(await exchange(address, sent))
                assert (got, doc["error"][: len(why)]) == (code, why), sent[:60]
            assert b"\r\nAllow: GET\r\n" in await exchange(address, post("/status", b"{}"))

    run(loop, work)


@LOOPS
def test_a_refused_client_sees_why_before_it_has_sent_everything(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            typed = ("Host: x", "Content-Type: application/json", "Content-Length: 2000000")
            sent = "\r\n".join(["POST /echo HTTP/1.1", *typed, "", ""]).encode() + b"x" * 1_100_000
            code, doc = parsed(await exchange(address, sent, half_close=False))
            assert (code, doc) == (413, {"error": "a request body holds at most 1048576 bytes"})

    run(loop, work)


def raising(error: Exception) -> Callable[[dict[str, Doc]], Doc]:
    def handler(_: dict[str, Doc]) -> Doc:
        raise error

    return handler


@LOOPS
def test_what_a_handler_raises_becomes_a_status(loop: Loop, short_folder: Path) -> None:
    cases = {
        "refused": (Refusal(404, "no miss has the id 7"), 404, "no miss has the id 7"),
        "invalid": (Invalid(("id",), "expected a number"), 400, "expected a number"),
        "unable": (SvcmockError("the routes are broken"), 409, "the routes are broken"),
        "late": (TimeoutError(), 504, "this takes too long"),
        "broken": (KeyError("x"), 500, "internal error: KeyError: 'x'"),
    }

    async def work() -> None:
        handlers = {name: raising(error) for name, (error, _, _) in cases.items()}
        async with serving(Unix(str(short_folder / "c.sock")), **handlers, cyclic=lambda _: cycle()) as address:
            for name, (_, code, why) in cases.items():
                assert parsed(await exchange(address, get(f"/{name}"))) == (code, {"error": why})
            assert parsed(await exchange(address, get("/cyclic")))[0] == 500
            assert parsed(await exchange(address, get("/status")))[0] == 200

    run(loop, work)


def cycle() -> Doc:
    document: dict[str, Doc] = {}
    document["self"] = document
    return document


# --- the unix socket ----------------------------------------------------------------------------------


@LOOPS
def test_the_socket_is_its_owners_only_and_goes_with_the_server(loop: Loop, short_folder: Path) -> None:
    path = short_folder / "made" / "c.sock"

    async def work() -> None:
        async with serving(Unix(str(path))):
            assert path.stat().st_mode & 0o777 == 0o600
            assert path.parent.stat().st_mode & 0o777 == 0o700
        assert not path.exists()

    run(loop, work)


def test_a_second_server_is_told_that_one_runs(short_folder: Path) -> None:
    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            with pytest.raises(AdminError, match="is running already"):
                await AdminServer({}).start(address)
            assert parsed(await exchange(address, get("/status")))[0] == 200

    run(asyncio.new_event_loop, work)


def test_the_socket_of_a_killed_daemon_is_replaced(short_folder: Path) -> None:
    path = short_folder / "c.sock"
    code = (
        "import asyncio, sys\n"
        "from svcmock.admin import AdminServer\n"
        "from svcmock.model import Unix\n"
        "async def main():\n"
        "    await AdminServer({}).start(Unix(sys.argv[1]))\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"up\n"
        killed.send_signal(signal.SIGKILL)
    assert path.is_socket()

    async def work() -> None:
        async with serving(Unix(str(path))) as address:
            assert parsed(await exchange(address, get("/status")))[0] == 200

    run(asyncio.new_event_loop, work)


def test_what_is_in_the_way_is_not_removed(short_folder: Path) -> None:
    path = short_folder / "c.sock"
    path.write_text("precious")

    async def work() -> None:
        with pytest.raises(AdminError, match="is in the way of the control socket, and is no socket"):
            await AdminServer({}).start(Unix(str(path)))
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(AdminError, match="something else listens there"):
                await AdminServer({}).start(Unix(str(path)))

    run(asyncio.new_event_loop, work)
    assert path.is_socket()


def test_a_project_deep_in_the_tree_has_a_control_socket_too(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30) / "c.sock"

    async def work() -> None:
        async with serving(Unix(str(path))) as address:
            client = AdminClient(address)
            assert await asyncio.to_thread(client.call, "GET", "/status") == {"services": {"catalog": 8081}}
        assert not path.exists()

    run(asyncio.new_event_loop, work)


# --- TCP ----------------------------------------------------------------------------------------------


def test_tcp_needs_a_token() -> None:
    async def work() -> None:
        with pytest.raises(AdminError, match="only with a `token_file`"):
            await AdminServer({}).start(Tcp("127.0.0.1", 0))

    run(asyncio.new_event_loop, work)


@LOOPS
def test_the_token_is_checked_before_anything_is_looked_up(loop: Loop) -> None:
    async def work() -> None:
        async with serving(Tcp("127.0.0.1", 0), TOKEN) as address:
            good = f"Authorization: Bearer {TOKEN}"
            for wrong in (
                "X: y",
                "Authorization: Bearer",
                f"Authorization: Bearer {TOKEN}x",
                f"Authorization: {TOKEN}",
            ):
                for path in ("/status", "/nothing"):
                    code, doc = parsed(await exchange(address, get(path, "Host: localhost", wrong)))
                    assert (code, doc) == (
                        401,
                        {"error": "needs `Authorization: Bearer` with the daemon's token"},
                    )
            assert parsed(await exchange(address, get("/status", "Host: localhost", good)))[0] == 200

    run(loop, work)


@LOOPS
def test_only_our_own_names_are_answered(loop: Loop) -> None:
    async def work() -> None:
        async with serving(Tcp("127.0.0.1", 0), TOKEN) as address:
            token = f"Authorization: Bearer {TOKEN}"
            hosts = {
                "localhost": 200,
                "LOCALHOST:8081": 200,
                "127.0.0.1:1": 200,
                "127.8.9.1": 200,
                "[::1]:80": 200,
                "evil.example": 403,
                "localhost.evil.example": 403,
                "192.0.2.1": 403,
                "127.0.0.1.evil.example": 403,
                "x@evil.example": 403,
                "[": 403,
                "": 403,
            }
            for host, code in hosts.items():
                assert parsed(await exchange(address, get("/status", f"Host: {host}", token)))[0] == code, host

    run(loop, work)


def test_a_port_in_use_is_told() -> None:
    async def work() -> None:
        async with serving(Tcp("127.0.0.1", 0), TOKEN) as address:
            with pytest.raises(
                AdminError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*address already in use"
            ):
                await AdminServer({}).start(address, TOKEN)

    run(asyncio.new_event_loop, work)


# --- limits and ends ----------------------------------------------------------------------------------


@LOOPS
def test_a_client_that_sends_nothing_or_half_is_closed(
    loop: Loop, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.05)

    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            for sent in (b"", b"GET /sta", get("/status")):
                answer = await exchange(address, sent, half_close=False)
                assert answer.startswith(b"HTTP/1.1 200") is sent.endswith(b"\r\n\r\n")

    run(loop, work)


@LOOPS
def test_a_client_that_never_reads_is_closed(
    loop: Loop, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.1)

    async def work() -> None:
        asked = asyncio.Event()

        def big(_: dict[str, Doc]) -> Doc:
            asked.set()
            return {"x": "y" * 20_000_000}

        server = AdminServer({("GET", "/big"): big})
        await server.start(Unix(str(short_folder / "c.sock")))
        _, writer = await asyncio.open_unix_connection(short_folder / "c.sock", limit=1024)
        writer.write(get("/big") * 3)
        await asked.wait()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        assert not server.connections
        writer.transport.abort()
        await server.close()

    run(loop, work)


@LOOPS
def test_a_handler_that_takes_too_long(loop: Loop, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "HANDLER_SECONDS", 0.02)

    async def slow(_: dict[str, Doc]) -> Doc:
        await asyncio.sleep(5)

    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock")), slow=slow) as address:
            assert parsed(await exchange(address, get("/slow"))) == (504, {"error": "this takes too long"})

    run(loop, work)


@LOOPS
def test_connections_are_bounded(loop: Loop, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "MAX_CONNECTIONS", 2)

    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            path = address.path  # type: ignore[union-attr]
            held = [await asyncio.open_unix_connection(path) for _ in range(2)]
            await asyncio.sleep(0.02)
            reader, writer = await asyncio.open_unix_connection(path)
            assert await reader.read() == b""
            writer.close()
            for _, holder in held:
                holder.close()
            await asyncio.sleep(0.02)
            assert parsed(await exchange(address, get("/status")))[0] == 200

    run(loop, work)


@LOOPS
def test_a_reply_under_way_leaves_before_the_server_closes(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        began = asyncio.Event()

        async def stop(_: dict[str, Doc]) -> Doc:
            began.set()
            await asyncio.sleep(0.05)
            return {"stopped": True}

        server = AdminServer({("GET", "/stop"): stop})
        address = await server.start(Unix(str(short_folder / "c.sock")))
        asked = asyncio.create_task(exchange(address, get("/stop"), half_close=False))
        await began.wait()
        await server.close()
        assert parsed(await asked) == (200, {"stopped": True})

    run(loop, work)


@LOOPS
def test_a_handler_goes_on_when_its_client_leaves(loop: Loop, short_folder: Path) -> None:
    async def work() -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def reload(_: dict[str, Doc]) -> Doc:
            began.set()
            await asyncio.sleep(0.05)
            ended.set()

        async with serving(Unix(str(short_folder / "c.sock")), reload=reload) as address:
            _, writer = await asyncio.open_unix_connection(address.path)  # type: ignore[union-attr]
            writer.write(get("/reload"))
            await began.wait()
            writer.transport.abort()
            await ended.wait()

    run(loop, work)


def test_nothing_is_left_open(short_folder: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        folder = Path("/dev/fd")
    before = len(os.listdir(folder))  # noqa: PTH208

    async def work() -> None:
        async with serving(Unix(str(short_folder / "c.sock"))) as address:
            for sent in (get("/status"), b"nonsense\r\n\r\n", b""):
                await exchange(address, sent)

    run(asyncio.new_event_loop, work)
    assert len(os.listdir(folder)) == before  # noqa: PTH208
