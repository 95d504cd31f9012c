"""Broken files and hostile clients: each is told what is wrong, and everybody else is served meanwhile."""

import gzip
import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from svcmock.cli import main
from svcmock.running import running
from tests.e2e.processes import Mock, Svcmock, resident, wait_until
from tests.e2e.projects import ROUTES, connect, get, project, receive, talk

SERVICE = "shop: {listen: 0, routes: routes/, limits: {idle: 0.4}, options: {max_body: 1000000}}"
LARGE = 4 << 20
MIB = 1 << 20


@contextmanager
def served(svcmock: Svcmock, folder: Path, routes: str = ROUTES, service: str = SERVICE) -> Iterator[Mock]:
    """A daemon, and a well-behaved client that asks it all the while and must get every answer."""
    mock = svcmock.up(project(folder / "shop", service, routes))
    over = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", mock.ports["shop"], timeout=20)
        while not over.wait(0.005):
            try:
                connection.request("GET", "/users/42")
                response = connection.getresponse()
                body = response.read()
                if (response.status, body) != (200, b'{"id":42}'):
                    wrong.append((response.status, body))
            except OSError as error:
                wrong.append(error)
        connection.close()

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield mock
        assert mock.status()["services"]["shop"]["hits"] > 0
    finally:
        over.set()
        client.join()
    assert wrong == []
    assert running(mock.project) is not None
    assert "Traceback" not in mock.log()


# --- files ---------------------------------------------------------------------------------------------

BROKEN_FILES = {
    "yaml": ("- request: {path: /a\n  respond: {status: 200}\n", ".yaml:"),
    "unknown key": (
        "- {request: {path: /a}, respond: {status: 200}, matsch: {}}",
        ":1:49: unknown key `matsch`; did you mean `match`?",
    ),
    "wrong type": ("- {request: {path: /a}, respond: {status: [200]}}", ":1:35: expected a status such as"),
    "no body file": (
        "- {request: {path: /a}, respond: {body: {file: gone.bin}}}",
        "there is no file `routes/gone.bin`",
    ),
    "parent folder": (
        "- {request: {path: /a}, respond: {body: {file: ../../secret}}}",
        "outside of the project",
    ),
    "absolute": ("- {request: {path: /a}, respond: {body: {file: /etc/passwd}}}", "outside of the project"),
    "symlink": ("- {request: {path: /a}, respond: {body: {file: link}}}", "outside of the project"),
    "folder": ("- {request: {path: /a}, respond: {body: {file: .}}}", "there is no file"),
    "lookahead": ("- {match: {path: {regex: '(?=a)b'}}, respond: {status: 200}}", ".yaml:1:"),
    "nested deep": ("- {request: " + "[" * 5000 + "]" * 5000 + "}", ".yaml:1:"),
    "no UTF-8": ("- {request: {path: \udcff}}", ".yaml:1:"),
    "alias bomb": (
        "a: &a [x, x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)),
        ".yaml:",
    ),
}


def test_broken_files_are_told_with_their_places(svcmock: Svcmock, tmp_path: Path) -> None:
    """All of them at once; `check` and `up` say the same, and no traceback."""
    (tmp_path / "secret").write_text("outside")
    shop = project(tmp_path / "shop")
    (shop / "routes/link").symlink_to(tmp_path / "secret")
    names = {kind: f"routes/{kind.replace(' ', '-')}.yaml" for kind in BROKEN_FILES}
    for kind, (text, _) in BROKEN_FILES.items():
        (shop / names[kind]).write_bytes(text.encode("utf-8", "surrogateescape"))
    checked = svcmock.run("check", shop, code=1)
    started = svcmock.run("up", shop, "-d", code=1)
    for told in (checked.stdout, started.stderr):
        for kind, (_, expected) in BROKEN_FILES.items():
            lines = [line for line in told.splitlines() if f"{names[kind]}:" in line]
            assert any(expected in line for line in lines), (kind, lines)
    assert "Traceback" not in checked.stdout + checked.stderr + started.stderr


BROKEN_GRAPHS = {
    "two on one port": ("a: {listen: 18181}\n  b: {listen: 18181}", "and so does service `a`"),
    "routes outside": ("a: {listen: 0, routes: ../}", "`../` is outside of the project"),
    "routes absolute": ("a: {listen: 0, routes: /etc}", "`/etc` is outside of the project"),
    "routes symlink": ("a: {listen: 0, routes: away}", "outside of the project"),
    "cert outside": ("a: {listen: 0, tls: {cert: ../c.pem, key: ../k.pem}}", "outside of the project"),
    "port": ("a: {listen: 70000}", "svcmock.yaml:3:7: expected a port"),
    "TCP control": ("a: {listen: 0}\nadmin: {listen: 127.0.0.1:0}", "needs `token_file`"),
    "protocol": ("a: {listen: 0, protocol: smtp}", "unknown protocol `smtp`"),
    "no mapping": ("[]", "svcmock.yaml:2:1: expected a mapping"),
}


@pytest.mark.parametrize("kind", BROKEN_GRAPHS)
def test_a_broken_graph_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    text, expected = BROKEN_GRAPHS[kind]
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "away").symlink_to(tmp_path)
    (shop / "svcmock.yaml").write_text(f"version: 1\nservices:\n  {text}\n")
    assert main(["check", str(shop)]) == 1
    told = capsys.readouterr().out
    assert expected in told
    assert told.startswith("svcmock.yaml:")


def test_a_body_file_that_goes_away_is_an_error_not_a_hang(svcmock: Svcmock, tmp_path: Path) -> None:
    routes = ROUTES + "- {request: {path: /large}, respond: {body: {file: bodies/large}}}\n"
    (tmp_path / "shop/routes/bodies").mkdir(parents=True)
    large = tmp_path / "shop/routes/bodies/large"
    large.write_bytes(b"x" * LARGE)
    folder = tmp_path / "shop"
    (folder / "routes/a.yaml").write_text(routes)
    (folder / "svcmock.yaml").write_text(f"version: 1\nservices:\n  {SERVICE}\n")
    port = svcmock.up(folder).ports["shop"]
    assert get(port, "/large") == (200, b"x" * LARGE)
    large.rename(large.with_name("elsewhere"))
    status, body = get(port, "/large")
    assert status == 501
    assert b"No such file" in body or b"there is no file" in body
    assert get(port)[0] == 200
    large.with_name("elsewhere").rename(large)
    wait_until(lambda: get(port, "/large")[0] == 200)


# --- clients -------------------------------------------------------------------------------------------

GET = b"GET /users/42 HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /users/42 HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "header of 10 MB": (GET + b"A: " + b"a" * (10 * MIB) + b"\r\n\r\n", 431),
    "target of 10 MB": (b"GET /" + b"a" * (10 * MIB) + b" HTTP/1.1\r\n\r\n", 414),
    "100,000 headers": (GET + b"A: b\r\n" * 100_000 + b"\r\n", 431),
    "half a head": (GET + b"A: ", 408),
    "half a body": (POST + b"Content-Length: 10\r\n\r\nhalf", 408),
    "half a chunk": (CHUNKED + b"5\r\nab", 408),
    "garbage": (bytes(range(256)) * 4, 400),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    "both lengths": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "chunk size": (CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n", 400),
    "bare LF": (b"GET /users/42 HTTP/1.1\nHost: a\n\n", 400),
    "obs-fold": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "space before colon": (GET + b"Content-Length : 3\r\n\r\n", 400),
    "declared body too large": (POST + b"Content-Length: 1000001\r\n\r\n", 413),
    "chunked body too large": (
        CHUNKED + b"10000\r\n" + b"x" * 65536 + b"\r\n"
        + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 20,
        413,
    ),
    "one enormous chunk": (
        CHUNKED + b"ffffffffffffffffff\r\n",
        400,
    ),
    "chunk extension of 1 MB": (
        CHUNKED + b"1;" + b"a" * MIB + b"\r\nx\r\n0\r\n\r\n",
        400,
    ),
}  # fmt: skip


def pushed(port: int, data: bytes) -> bytes:
    """Send as much as is taken, as a client does that does not look; then what was answered."""
    with connect(port) as sock:
        with suppress(OSError):
            sock.sendall(data)
        return receive(sock)


def test_requests_that_are_refused(svcmock: Svcmock, tmp_path: Path) -> None:
    """Each gets its status and the end of its connection, whatever follows it."""
    with served(svcmock, tmp_path) as mock:
        port = mock.ports["shop"]
        got = {name: pushed(port, data) for name, (data, _) in REFUSED.items()}
    statuses = {name: int(reply.split(b" ", 2)[1]) for name, reply in got.items() if reply}
    assert statuses == {name: status for name, (_, status) in REFUSED.items()}
    assert all(
        b"\r\nConnection: close\r\n" in reply and reply.count(b"HTTP/1.1 ") == 1 for reply in got.values()
    )


def test_a_client_that_never_reads_is_closed_and_costs_little(svcmock: Svcmock, tmp_path: Path) -> None:
    """Twenty of them ask for 4 MiB each, and for more behind it."""
    routes = ROUTES + "- {request: {path: /large}, respond: {body: {file: large.bin}}}\n"
    (tmp_path / "shop").mkdir()
    with served_with_file(svcmock, tmp_path, routes) as mock:
        before = resident(mock.pid)
        port = mock.ports["shop"]
        clients = []
        for _ in range(20):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            clients.append(client)
        wait_until(lambda: mock.status()["services"]["shop"]["connections"] <= 2, mock.log)
        assert resident(mock.pid) - before < 30 * MIB
        assert "closed a client that does not read" in mock.log()
        for client in clients:
            client.close()


@contextmanager
def served_with_file(svcmock: Svcmock, folder: Path, routes: str) -> Iterator[Mock]:
    below = folder / "x/shop/routes"
    below.mkdir(parents=True)
    (below / "large.bin").write_bytes(b"x" * LARGE)
    (below / "a.yaml").write_text(routes)
    (below.parent / "svcmock.yaml").write_text(f"version: 1\nservices:\n  {SERVICE}\n")
    mock = svcmock.up(below.parent)
    yield mock
    assert get(mock.ports["shop"])[0] == 200


def test_a_slow_reader_gets_everything(svcmock: Svcmock, tmp_path: Path) -> None:
    """It takes longer than `idle` for the whole, never for a piece."""
    routes = ROUTES + "- {request: {path: /large}, respond: {body: {file: large.bin}}}\n"
    with served_with_file(svcmock, tmp_path, routes) as mock:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", mock.ports["shop"]))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got, gaps = 0, threading.Event()
        while piece := client.recv(100_000):
            got += len(piece)
            if got < LARGE // 8:
                gaps.wait(0.02)
        client.close()
    assert got > LARGE


def test_twenty_thousand_pipelined_requests_unread(svcmock: Svcmock, tmp_path: Path) -> None:
    """They are all answered, in order, once the client reads; until then they wait in its own buffers."""
    service = "shop: {listen: 0, routes: routes/}"
    with served(svcmock, tmp_path, service=service) as mock:
        before = resident(mock.pid)
        count = 20_000
        with connect(mock.ports["shop"]) as sock:
            writer = threading.Thread(
                target=sock.sendall, args=((GET + b"\r\n") * (count - 1) + GET + b"Connection: close\r\n\r\n",)
            )
            writer.start()
            assert get(mock.ports["shop"])[0] == 200
            assert resident(mock.pid) - before < 30 * MIB
            answered = receive(sock)
            writer.join()
    assert answered.count(b'{"id":42}') == count


def test_a_body_of_one_byte_at_a_time(svcmock: Svcmock, tmp_path: Path) -> None:
    with served(svcmock, tmp_path) as mock, connect(mock.ports["shop"]) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET + b"Connection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert receive(sock).endswith(b'{"id":42}')


def test_a_gzip_bomb_is_not_blown_up(svcmock: Svcmock, tmp_path: Path) -> None:
    """900 kB that would be 900 MB: a miss, or a refusal, at no great cost."""
    bomb = gzip.compress(bytes(100 * MIB), 9) * 9
    head = POST + b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    with served(svcmock, tmp_path) as mock:
        before = resident(mock.pid)
        reply = talk(mock.ports["shop"], head % len(bomb) + bomb)
        assert int(reply.split(b" ", 2)[1]) in (400, 413, 501)
        assert resident(mock.pid) - before < 80 * MIB


CATASTROPHIC = ("(a+)+$", "(a|a)*b", "(.*)*x", "a{0,500}a{0,500}b")


def test_catastrophic_patterns_take_no_time(svcmock: Svcmock, tmp_path: Path) -> None:
    """A backtracking engine would need longer than the age of the universe for any of them."""
    routes = ROUTES
    for number, pattern in enumerate(CATASTROPHIC):
        demands = f"{{path: /re/{number}, headers: {{x: {{regex: '^{pattern}'}}}}}}"
        routes += f"- {{match: {demands}, respond: {{status: 204}}}}\n"
    with served(svcmock, tmp_path, routes) as mock:
        for number in range(len(CATASTROPHIC)):
            head = b"GET /re/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: " % number
            reply = talk(mock.ports["shop"], head + b"a" * 20_000 + b"!\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 501 ")


def test_more_clients_than_allowed(svcmock: Svcmock, tmp_path: Path) -> None:
    """New ones are closed at once and counted; those there are go on; afterwards there is room again."""
    shop = project(tmp_path / "shop", "shop: {listen: 0, routes: routes/, limits: {connections: 3}}")
    mock = svcmock.up(shop)
    port = mock.ports["shop"]
    clients = [connect(port) for _ in range(3)]
    for client in clients:
        client.sendall(GET + b"\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    with connect(port) as over, suppress(ConnectionResetError):
        assert over.recv(1) == b""
    assert mock.status()["services"]["shop"]["refused"] == 1
    assert "the limit of connections is reached" in mock.log()
    clients[0].sendall(GET + b"\r\n")
    assert clients[0].recv(1000).startswith(b"HTTP/1.1 200 ")
    for client in clients:
        client.close()
    wait_until(lambda: mock.status()["services"]["shop"]["connections"] == 0)
    assert get(port)[0] == 200


def test_clients_that_break_off_anywhere(svcmock: Svcmock, tmp_path: Path) -> None:
    """Reset in the middle of a head, a body, a delayed answer; and of a TLS handshake."""
    service = SERVICE + "\ntls: {listen: 0, tls: auto, routes: routes/}"
    with served(svcmock, tmp_path, service=service) as mock:
        halves = [
            b"G",
            GET,
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03",
        ]
        for port in mock.ports.values():
            for half in halves * 5:
                with connect(port) as sock:
                    sock.sendall(half)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: sum(s["connections"] for s in mock.status()["services"].values()) == 1)
        context = ssl._create_unverified_context()
        with connect(mock.ports["tls"]) as raw, context.wrap_socket(raw, server_hostname="a") as sock:
            sock.sendall(GET + b"Connection: close\r\n\r\n")
            assert receive(sock).endswith(b'{"id":42}')
