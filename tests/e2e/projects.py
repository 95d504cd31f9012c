"""Small projects written by hand, and the plainest of clients for them."""

import http.client
import socket
from pathlib import Path

ROUTES = """\
- request: {method: GET, path: /users/42}
  respond: {status: 200, headers: [[Content-Type, application/json]], body: '{"id":42}'}
- request: {method: GET, path: /slow}
  delay: 500ms
  respond: {status: 200, body: slow}
"""


def project(folder: Path, services: str = "shop: {listen: 0, routes: routes/}", routes: str = ROUTES) -> Path:
    """A project in `folder`. `services`: one `name: {...}` a line."""
    (folder / "routes").mkdir(parents=True)
    (folder / "routes/a.yaml").write_text(routes)
    configure(folder, services)
    return folder


def configure(folder: Path, services: str, more: str = "") -> None:
    """Write `svcmock.yaml`."""
    lines = "".join(f"  {line}\n" for line in services.splitlines())
    (folder / "svcmock.yaml").write_text(f"version: 1\nservices:\n{lines}{more}")


def get(port: int, path: str = "/users/42") -> tuple[int, bytes]:
    """Ask on a new connection; gives status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def receive(sock: socket.socket) -> bytes:
    """Everything until the other side has ended."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def talk(port: int, data: bytes) -> bytes:
    """Send, and receive until the other side has ended."""
    with connect(port) as sock:
        sock.sendall(data)
        return receive(sock)
