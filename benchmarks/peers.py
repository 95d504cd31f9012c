"""The other mock servers, WireMock and mountebank: started once a run, taught what each case asks for.

How they are run is what speeds them up most without changing what they answer. WireMock: no request journal, no
logging of requests, neither chunked nor compressed replies. mountebank: no log file, errors only; and its stubs
say `Connection: keep-alive`, as it closes each connection otherwise. Both keep nothing of a request then;
svcmock keeps its journal.
"""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from benchmarks import packages
from benchmarks.servers import Server, free_port, started

WIREMOCK = "WireMock"
MOUNTEBANK = "mountebank"
START_SECONDS = 60.0
TEACH_SECONDS = 240.0
"""What loading 10,000 stubs may take."""


class Stub(Struct, frozen=True):
    """What a peer is taught: the answer to one request. `sent`: its JSON body, compared by value.

    `keep`: the connection stays open after it.
    """

    method: str
    path: str
    reply: str
    sent: str = ""
    keep: bool = True


class Peer(Protocol):
    """A mock server that runs."""

    server: Server

    def teach(self, stubs: Sequence[Stub]) -> None:
        """Forget all stubs and take these; the last one is the last that is tried. Raises RuntimeError."""


class _WireMock:
    def __init__(self, server: Server) -> None:
        self.server = server

    def teach(self, stubs: Sequence[Stub]) -> None:
        admin = f"http://127.0.0.1:{self.server.port}/__admin/mappings"
        _call("DELETE", admin, None)
        # it tries the newest first, and an import adds its last one first
        _call("POST", f"{admin}/import", {"mappings": [_mapping(stub) for stub in stubs]})


def _mapping(stub: Stub) -> dict[str, object]:
    request: dict[str, object] = {"method": stub.method, "url": stub.path}
    if stub.sent:
        request["bodyPatterns"] = [{"equalToJson": stub.sent}]
    headers = {"Content-Type": "application/json"}
    return {"request": request, "response": {"status": 200, "headers": headers, "body": stub.reply}}


class _Mountebank:
    def __init__(self, server: Server, admin: int) -> None:
        self.server = server
        self._admin = admin

    def teach(self, stubs: Sequence[Stub]) -> None:
        imposter = {"port": self.server.port, "protocol": "http", "stubs": [_taught(stub) for stub in stubs]}
        _call("PUT", f"http://127.0.0.1:{self._admin}/imposters", {"imposters": [imposter]})


def _taught(stub: Stub) -> dict[str, object]:
    predicates: list[object] = [{"equals": {"method": stub.method, "path": stub.path}}]
    if stub.sent:
        # a body that is JSON is compared by value; `deepEquals` wants neither more nor less
        predicates.append({"deepEquals": {"body": json.loads(stub.sent)}})
    headers = {"Content-Type": "application/json", "Content-Length": str(len(stub.reply))}
    if stub.keep:
        headers["Connection"] = "keep-alive"
    said = {"statusCode": 200, "headers": headers, "body": stub.reply}
    return {"predicates": predicates, "responses": [{"is": said}]}


def _call(method: str, url: str, sent: object | None) -> None:
    data = None if sent is None else json.dumps(sent).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=TEACH_SECONDS) as reply:
            reply.read()
    except urllib.error.URLError as error:
        raise RuntimeError(f"{method} {url}: {error}") from None


def lacking(name: str) -> str:
    """Why a peer cannot be run here; empty if it can."""
    program = "java" if name == WIREMOCK else "node"
    if shutil.which(program) is None:
        return f"{program} is not installed"
    return "" if packages.folder(name.lower()) else "its npm package is not installed (`make bench` does that)"


@contextmanager
def wiremock(folder: Path) -> Iterator[Peer]:
    """WireMock of the npm package, which is the jar. Raises RuntimeError."""
    package = packages.folder("wiremock")
    jars = sorted(package.rglob("wiremock-standalone-*.jar")) if package else []
    if not jars:
        raise RuntimeError("WireMock's jar is not where its package has it")
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = ["java", "-jar", str(jars[-1]), "--port", str(port), "--bind-address", "127.0.0.1"]
    command += ["--no-request-journal", "--disable-request-logging", "--use-chunked-encoding", "never"]
    command += ["--disable-gzip", "--disable-banner", "--root-dir", str(folder)]
    with started(command, port, WIREMOCK, folder, START_SECONDS) as server:
        yield _WireMock(server)


@contextmanager
def mountebank(folder: Path) -> Iterator[Peer]:
    """mountebank with one imposter. Raises RuntimeError."""
    package = packages.folder("mountebank")
    if package is None:
        raise RuntimeError("mountebank is not installed")
    folder.mkdir(exist_ok=True)
    admin, port = free_port(), free_port()
    command = ["node", str(package / "bin" / "mb"), "start", "--port", str(admin), "--host", "127.0.0.1"]
    command += ["--localOnly", "--nologfile", "--loglevel", "error"]
    with started(command, admin, MOUNTEBANK, folder, START_SECONDS) as process:
        server = Server(MOUNTEBANK, process.seconds, process.pid, port)
        peer = _Mountebank(server, admin)
        peer.teach(())
        yield peer
