"""What the command line is told. The daemon's half is a real AdminServer, or a socket that misbehaves."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from svcmock.admin import AdminServer, Refusal
from svcmock.control import AdminClient, AdminError, NoDaemon, read_token
from svcmock.model import Tcp, Unix
from svcmock.protocol import Doc

TOKEN = "a-token-of-enough-characters"


def why(given: dict[str, Doc]) -> Doc:
    if "id" not in given:
        raise Refusal(404, "nothing was missed yet")
    return given


@pytest.fixture
def served() -> Iterator[Callable[..., Tcp | Unix]]:
    """Starts control APIs in a thread, each at the address given."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[AdminServer] = []

    def start(address: Tcp | Unix, token: str | None = None) -> Tcp | Unix:
        servers.append(AdminServer({("GET", "/why"): why, ("POST", "/why"): why}))
        return asyncio.run_coroutine_threadsafe(servers[-1].start(address, token), loop).result(5)

    yield start
    for server in servers:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture
def odd(short_folder: Path) -> Iterator[Callable[[bytes | None], Unix]]:
    """A listener that answers anything with these bytes, or with None never."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_folder / "odd.sock"))
    listener.listen()
    threads: list[threading.Thread] = []

    def answer(data: bytes | None) -> Unix:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                if data is None:
                    connection.recv(4096)
                else:
                    connection.sendall(data)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return Unix(str(short_folder / "odd.sock"))

    yield answer
    for thread in threads:
        thread.join(5)
    listener.close()


def test_a_call_over_a_unix_socket(served: Callable[..., Unix], short_folder: Path) -> None:
    client = AdminClient(served(Unix(str(short_folder / "c.sock"))))
    assert client.call("GET", "/why", {"id": "a b&c"}) == {"id": "a b&c"}
    assert client.call("POST", "/why", {"id": {"deep": [1, None]}}) == {"id": {"deep": [1, None]}}


def test_a_call_over_tcp_with_the_token(served: Callable[..., Tcp]) -> None:
    address = served(Tcp("127.0.0.1", 0), TOKEN)
    assert address.port != 0
    assert AdminClient(address, TOKEN).call("GET", "/why", {"id": "7"}) == {"id": "7"}
    with pytest.raises(AdminError, match="with the daemon's token") as caught:
        AdminClient(address, TOKEN + "x").call("POST", "/why", {"id": 1})
    assert caught.value.status == 401


def test_a_daemon_that_listens_everywhere_is_asked_on_the_loopback(served: Callable[..., Tcp]) -> None:
    address = served(Tcp("0.0.0.0", 0), TOKEN)
    assert AdminClient(address, TOKEN).call("GET", "/why", {"id": "7"}) == {"id": "7"}


def test_what_the_daemon_refuses_is_said_in_its_words(served: Callable[..., Unix], short_folder: Path) -> None:
    client = AdminClient(served(Unix(str(short_folder / "c.sock"))))
    with pytest.raises(AdminError, match=r"^nothing was missed yet$") as caught:
        client.call("GET", "/why")
    assert caught.value.status == 404
    assert not isinstance(caught.value, NoDaemon)


def test_without_a_daemon(short_folder: Path, free_port: Callable[[], int]) -> None:
    missing = Unix(str(short_folder / "c.sock"))
    with pytest.raises(NoDaemon, match="no daemon is running for this project"):
        AdminClient(missing).call("GET", "/status")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(missing.path)
    with pytest.raises(NoDaemon):
        AdminClient(missing).call("GET", "/status")
    with pytest.raises(NoDaemon):
        AdminClient(Tcp("127.0.0.1", free_port()), TOKEN).call("GET", "/status")


def test_a_daemon_that_does_not_answer(odd: Callable[[bytes | None], Unix]) -> None:
    with pytest.raises(AdminError, match=r"did not answer in 0\.1 s"):
        AdminClient(odd(None), timeout=0.1).call("GET", "/status")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "is no svcmock daemon"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "is no svcmock daemon"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", "status 503"),
    ],
)
def test_an_odd_answer(odd: Callable[[bytes | None], Unix], data: bytes, told: str) -> None:
    with pytest.raises(AdminError, match=told):
        AdminClient(odd(data), timeout=5).call("GET", "/status")


def test_asking_needs_no_event_loop() -> None:
    code = "import sys, svcmock.control; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (b"a-token-of-enough-characters\n", 0o644, "others can read this token"),
        (b"short", 0o600, "at least 16 printable"),
        (b"", 0o600, "at least 16 printable"),
        (b"a token with several words", 0o600, "at least 16 printable"),
        (b"a-token-with-\xff-in-the-middle", 0o600, "at least 16 printable"),
        (b"a-token-with-\x07-in-the-middle", 0o600, "at least 16 printable"),
    ],
)
def test_a_token_file_that_is_not_good(tmp_path: Path, content: bytes, mode: int, told: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(AdminError, match=told):
        read_token(path)


def test_a_good_token_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    assert read_token(path) == TOKEN
    with pytest.raises(AdminError, match="No such file"):
        read_token(tmp_path / "none")
