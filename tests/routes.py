"""Routes given as plain documents, compiled for the HTTP plugin: what several test modules begin with."""

from pathlib import Path
from typing import Any

from svcmock.engine import Responder
from svcmock.model import Service, Tcp
from svcmock.noise import Noise
from svcmock.project import load
from svcmock.protocol import Context
from svcmock.turns import Turns
from svcmock.yamlout import emit
from svcmock_protocols.http import plugin
from svcmock_protocols.http.messages import Options, Request

PLUGINS = {"http": plugin}
CONTEXT = Context(Options(), Noise(plugin.noise), lambda secret: b"svcmock-any" if secret else b"")
SERVICE = Service("shop", Tcp("127.0.0.1", 0))


def project(root: Path, *docs: Any, service: str = "", text: str | None = None) -> Path:
    """A project with one service called `shop`; `service` is more YAML for it, flow style."""
    (root / "routes").mkdir(parents=True, exist_ok=True)
    more = f", {service}" if service else ""
    graph = f"version: 1\nservices:\n  shop: {{listen: 0, protocol: http, routes: routes/{more}}}\n"
    (root / "svcmock.yaml").write_text(graph)
    written = "".join(f"---\n{emit(doc)}" for doc in docs) if text is None else text
    (root / "routes" / "shop.yaml").write_text(written)
    return root


def responder(root: Path, *docs: Any, service: str = "", turns: Turns | None = None) -> Responder:
    """The service of a project with these routes."""
    loaded = load(project(root, *docs, service=service), PLUGINS, turns)
    assert [str(problem) for problem in loaded.problems if problem.severity == "error"] == []
    return loaded.responders["shop"]


def request(
    target: str = "/", method: str = "GET", headers: str = "", body: bytes = b"", kind: str = "application/json"
) -> Request:
    """A request as the codec gives it. `headers`: lines, separated by `|`."""
    block = "".join(f"{line}\r\n" for line in headers.split("|") if line)
    if body:
        block += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return Request(method.encode(), target.encode(), b"1.1", block.encode(), body)
