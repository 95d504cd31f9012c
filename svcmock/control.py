"""The client of the control API: how the command line reaches a running daemon.

Decides what a user is told when there is no daemon, or one that does not answer. Synchronous and light: a
`svcmock status` must not pay for an event loop.
"""

import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from svcmock.model import Address, Unix
from svcmock.net.unix import short_path
from svcmock.protocol import Doc, SvcmockError


class AdminError(SvcmockError):
    """The control API cannot be offered or reached, or it refused. `status` is the HTTP status, if one came."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


class NoDaemon(AdminError):
    """Nothing listens at the project's control address."""


def read_token(path: Path) -> str:
    """The token in a file that nobody but its owner can read. Raises AdminError."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(4096).strip()
    except OSError as error:
        raise AdminError(f"{path}: {error.strerror}") from None
    if mode & 0o077:
        raise AdminError(f"{path}: others can read this token; chmod 600 it")
    if len(token) < 16 or not token.isascii() or not token.decode("ascii").isprintable() or b" " in token:
        raise AdminError(f"{path}: a token is at least 16 printable ASCII characters without spaces")
    return token.decode("ascii")


class AdminClient:
    """Talks to the daemon behind `address`, one connection a call. `timeout` in seconds."""

    def __init__(self, address: Address, token: str | None = None, timeout: float = 10.0) -> None:
        self._address = address
        self._token = token
        self._timeout = timeout

    def call(self, method: str, path: str, body: Mapping[str, Doc] | None = None) -> dict[str, Doc]:
        """Ask for `path`; `body` is the query of a GET and the JSON of anything else.

        Raises NoDaemon, or AdminError with the daemon's own words and status.
        """
        headers = {"Host": "localhost"} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        payload = None
        if method == "GET":
            path += f"?{urlencode(body)}" if body else ""
        else:
            headers["Content-Type"] = "application/json"
            payload = msgspec.json.encode(body or {})
        connection = _connection(self._address, self._timeout)
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return _result(response.status, response.read())
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoDaemon(
                f"no daemon is running for this project (nothing listens on {self._address})"
            ) from None
        except TimeoutError:
            raise AdminError(f"the daemon on {self._address} did not answer in {self._timeout:g} s") from None
        except PermissionError:
            raise AdminError(f"{self._address} belongs to another user") from None
        except (OSError, http.client.HTTPException) as error:
            raise AdminError(f"the daemon on {self._address} broke off: {error!r}") from None
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = Path(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as short:
            self.sock.connect(short)


def _connection(address: Address, timeout: float) -> http.client.HTTPConnection:
    if isinstance(address, Unix):
        return _UnixConnection(address.path, timeout)
    # A daemon that listens everywhere is asked on the loopback.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104  no listener here
    return http.client.HTTPConnection(host, address.port, timeout=timeout)


def _result(status: int, body: bytes) -> dict[str, Doc]:
    try:
        doc = msgspec.json.decode(body, type=dict[str, Doc])
    except msgspec.DecodeError:
        raise AdminError(
            f"what answered is no svcmock daemon (status {status}, no JSON object)", status
        ) from None
    if status >= 400:
        raise AdminError(str(doc.get("error", f"status {status}")), status)
    return doc
