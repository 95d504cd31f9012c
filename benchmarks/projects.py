"""The projects that are served: what a recording of a small JSON service looks like, with one route or many."""

import json
from collections.abc import Sequence
from pathlib import Path

from svcmock.recording import load_or_create_key, tokenizer

BODY = '{"id": 42, "name": "Ann", "tags": ["a", "b"], "active": true, "score": 17.5}'
"""What every route answers, and nginx too."""
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "benchmark/1.0",
}
ORDER = '{"item": {"id": 42, "name": "tea"}, "count": 3, "note": null, "express": true}'
"""What is posted."""
ORDERS = "/shop/orders"
LARGE = "".join(f"{number:>1023}\n" for number in range(100))
"""A body of 100 KB."""
SHORT = f"{'short':>99}\n"
"""A body of 100 bytes."""
SECRET = "Bearer 0123456789abcdef"
"""A credential that clients send."""

_GRAPH = """\
version: 1
services:
  catalog:
    listen: 127.0.0.1:0
    protocol: http
    routes: [routes.{kind}]
"""


def path_of(number: int) -> str:
    """The path of a route, by its number."""
    return f"/shop/items/{number}"


def recorded_token(folder: Path) -> str:
    """The value that a recording made in this project holds in place of SECRET."""
    private = folder / ".svcmock"
    private.mkdir(mode=0o700, exist_ok=True)
    token = tokenizer(load_or_create_key(private / "redaction.key"))
    scheme, _, secret = SECRET.partition(" ")
    return f"{scheme} {token(secret.encode()).decode()}"


def write(
    folder: Path,
    routes: int,
    *,
    headers: dict[str, str] | None = None,
    credential: bool = False,
    kind: str = "yaml",
) -> Path:
    """A project with so many routes, each recorded with these request headers. As YAML or JSON Lines."""
    folder.mkdir()
    if credential:
        headers = {**(headers or {}), "Authorization": recorded_token(folder)}
    (folder / "svcmock.yaml").write_text(_GRAPH.format(kind=kind))
    with (folder / f"routes.{kind}").open("w") as file:
        for number in range(routes):
            file.write(_yaml(number, headers) if kind == "yaml" else json.dumps(_route(number, headers)) + "\n")
    return folder


def write_matched(folder: Path) -> Path:
    """A project as a person writes it: one route with a pattern."""
    folder.mkdir()
    (folder / "svcmock.yaml").write_text(_GRAPH.format(kind="yaml"))
    route = {"match": {"method": "GET", "path": "/shop/items/{id}"}, "respond": _route(0, None)["respond"]}
    (folder / "routes.yaml").write_text(f"--- {json.dumps(route)}\n")
    return folder


def write_routes(folder: Path, routes: Sequence[object], files: dict[str, str] | None = None) -> Path:
    """A project with these routes, and files beside them."""
    folder.mkdir()
    (folder / "svcmock.yaml").write_text(_GRAPH.format(kind="jsonl"))
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    put_routes(folder, routes)
    return folder


def put_routes(folder: Path, routes: Sequence[object]) -> None:
    """Put these routes in the place of the project's: whoever reads sees all the old ones or all the new."""
    draft = folder / ".routes.draft"
    draft.write_text("".join(json.dumps(route) + "\n" for route in routes))
    draft.replace(folder / "routes.jsonl")


def answering(path: str, body: object, sent: str = "") -> dict[str, object]:
    """A route that answers a GET, or the POST of a JSON document, with this body."""
    request: dict[str, object] = {"method": "POST" if sent else "GET", "path": path}
    if sent:
        request["json"] = json.loads(sent)
    respond = {"status": 200, "headers": [["Content-Type", "application/json"]], "body": body}
    return {"request": request, "respond": respond}


def _route(number: int, headers: dict[str, str] | None) -> dict[str, object]:
    request: dict[str, object] = {"method": "GET", "path": path_of(number)}
    if headers:
        request["headers"] = [[name, value] for name, value in headers.items()]
    return {
        "recorded": {"at": "2026-11-23T03:22:10.123Z", "took": "1.9ms", "connection": 3},
        "request": request,
        "respond": {
            "status": 200,
            "reason": "OK",
            "headers": [
                ["Server", "nginx"],
                ["Date", "Mon, 23 Nov 2026 03:22:10 GMT"],
                ["Content-Type", "application/json"],
                ["Content-Length", str(len(BODY))],
                ["Connection", "keep-alive"],
            ],
            "body": BODY,
        },
    }


def _yaml(number: int, headers: dict[str, str] | None) -> str:
    """A document as the recorder lays it out."""
    route = _route(number, headers)
    lines = ["---"]
    for part, value in route.items():
        assert isinstance(value, dict)
        lines.append(f"{part}:")
        for name, said in value.items():
            if name == "headers":
                lines.append("  headers:")
                lines += [f"    - {json.dumps(pair)}" for pair in said]
            else:
                lines.append(f"  {name}: {json.dumps(said)}")
    return "\n".join((*lines, "...")) + "\n"
