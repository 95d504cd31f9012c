"""docs/route-files.md is complete, and its examples load and do what they say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import msgspec
import pytest

from svcmock.matching.operators import PREDICATES
from svcmock.model import Limits, RouteDoc, Service, Tls
from svcmock.templates import _FILTERS
from svcmock_protocols.http import plugin
from tests.e2e.processes import Mock, Svcmock

PAGE = Path(__file__).resolve().parent.parent / "docs" / "route-files.md"
NOT_WRITTEN = {"name", "line"}
"""Of Service: what is no key of the file."""


def names(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize(
    ("what", "known"),
    [
        ("route", names(RouteDoc)),
        ("service", sorted(set(names(Service)) - NOT_WRITTEN)),
        ("limits", names(Limits)),
        ("tls", names(Tls)),
        ("options", names(plugin.Options)),
        ("request", names(plugin.RequestDoc)),
        ("respond", names(plugin.ReplyDoc)),
        ("predicates", sorted(PREDICATES)),
        ("filters", ["default", *_FILTERS]),
        ("fields", sorted(set(plugin.field_names) - {"trailers"})),
    ],
)
def test_every_name_is_explained(what: str, known: list[str]) -> None:
    text = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    quoted = {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[\w]+", code)}
    assert known
    assert [name for name in known if name not in quoted] == [], what


@pytest.mark.parametrize(
    ("kind", "key", "default"),
    [
        (Service, "protocol", "`http`"),
        (Service, "upstream_verify", "`true`"),
        (Service, "policy", "`sequence`"),
        (Service, "seed", "`0`"),
        (Service, "pace", "`1.0`"),
        (Limits, "connections", "10000"),
        (Limits, "idle", "60"),
        (Limits, "drain", "5"),
        (plugin.Options, "miss_status", "501"),
        (plugin.Options, "max_body_memory", "1 MiB"),
        (plugin.Options, "max_body", "1 GiB"),
        (plugin.Options, "max_head", "64 KiB"),
    ],
)
def test_defaults_are_the_ones_that_hold(kind: type[msgspec.Struct], key: str, default: str) -> None:
    assert f"\n| `{key}` | {default} |" in PAGE.read_text()
    (real,) = [field.default for field in msgspec.structs.fields(kind) if field.name == key]
    told = default.strip("`")
    for unit, factor in (("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)):
        if told.endswith(unit):
            told = str(int(told.split()[0]) * factor)
    assert told == (json.dumps(real) if not isinstance(real, str) else real) or float(told) == real


# --- the examples -------------------------------------------------------------------------------------


@pytest.fixture
def svcmock(tmp_path: Path) -> Iterator[Svcmock]:
    cli = Svcmock(tmp_path)
    yield cli
    cli.close()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the page, on free ports."""
    root = tmp_path / "project"
    found = re.findall(r"^```yaml (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 5
    for name, text in found:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"listen: \S+", "listen: 0", text))
    return root


def test_the_examples_are_free_of_problems(svcmock: Svcmock, project: Path) -> None:
    assert json.loads(svcmock.run("check", project, "--json").stdout) == {"ok": True, "problems": []}


@pytest.fixture
def mock(svcmock: Svcmock, project: Path) -> Mock:
    return svcmock.up(project)


def test_the_examples_answer(mock: Mock) -> None:
    with httpx.Client(base_url=mock.urls["catalog"], trust_env=False) as client:
        assert client.get("/users/42").json() == {"id": 42, "name": "Ann"}
        assert client.get("/slow/x").json() == {"name": "x"}
        assert client.get("/slow/x", params={"debug": "1"}).status_code == 501
        price = {"Accept": "application/json", "X-Shop": "another"}
        assert client.get("/price", headers=price).json() == {"price": 7}
        order = client.post(
            "/orders",
            params=[("tag", "a"), ("dry_run", "true"), ("tag", "b")],
            headers={"Accept": "application/json", "X-Version": "2"},
            json={"item": 42.0},
        )
        assert (order.status_code, order.reason_phrase, order.text) == (202, "Will Do", '{\n  "ok": true\n}\n')
        assert order.headers.get_list("x-id") == ["1", "2"]
        assert client.get("/events").text == "data: 1\n\ndata: 2\n\n"
        assert client.get("/picture").content == b"\x89PNG\r\n\x1a\n"
        assert client.post("/xml", content=b"<order id='7'><item/></order>").status_code == 204
        assert client.post("/xml", content=b"<order id='8'><item/></order>").status_code == 501


def test_the_examples_of_grpc_answer(mock: Mock) -> None:
    with grpc.insecure_channel(mock.addresses["catalog"]) as channel:
        item = channel.unary_unary("/shop.Catalog/GetItem")
        reply, call = item.with_call(b"\x08\x2a", metadata=(("x-tenant", "a"),), timeout=30)
        assert reply == b"\x08\x2a\x12\x03Tea"
        assert call.initial_metadata() == (("x-region", "eu"),)
        assert call.trailing_metadata() == (("x-cost", "1"),)
        with pytest.raises(grpc.RpcError, match="no item 13"):
            item(b"\x08\x0d", timeout=30)
        chat = channel.stream_stream("/shop.Support/Chat")
        said = list(chat(iter([b"\n\x05hello", b"\n\x03bye"]), timeout=30))
        assert said == [b"\n\x08Welcome.", b"\n\x0fHow can I help?", b"\n\x08Goodbye."]


BODY = {
    "name": "BETA", "rank": 1.5, "tags": ["blue", "red"], "note": "open", "kind": "large", "size": 5,
    "extra": [1],
    "inner": {"a": 1, "z": 0}, "whole": {"b": 2, "a": 1}, "items": [{"count": 0}, {"count": 2}],
    "shape": {"w": 1},
}  # fmt: skip
QUERY = {"page": "3", "size": "50"}
HEADERS = {
    "X-Id": "6f1c1c9e-7f5a-4a43-8d3a-1d2f3c4b5a69",
    "X-When": "2026-01-31T12:00:00Z",
    "X-Kind": "a-m-z",
    "Content-Type": "application/json",
}


def test_the_example_of_every_predicate(mock: Mock) -> None:
    def ask(
        body: dict[str, object] | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        return client.put(
            "/all/of-it",
            content=json.dumps({**BODY, **(body or {})}, separators=(",", ":")).replace("BETA", "beta"),
            params={**QUERY, **(query or {})},
            headers={**HEADERS, **(headers or {})},
        )

    with httpx.Client(base_url=mock.urls["catalog"], trust_env=False) as client:
        answer = ask()
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-id"] == HEADERS["X-Id"].upper()
        assert answer.json() == {
            "name": "beta",
            "text": "beta on page 3",
            "letter": "b",
            "tags": 2,
            "as_text": '{"a":1,"z":0}-',
            "kind": "none",
            "when": "2026-01-31T12:00:00Z",
            "rank": 1.5,
            "extra": [1],
        }
        for body in (
            {"name": 1}, {"rank": "1.5"}, {"tags": ["blue"]}, {"note": "secret"}, {"kind": "medium"},
            {"size": 9}, {"inner": {"z": 0}}, {"whole": {"a": 1, "b": 2, "c": 3}}, {"items": [{"count": 0}]},
            {"shape": {}},
        ):  # fmt: skip
            assert ask(body=body).status_code == 501, body
        for query in ({"page": "three"}, {"size": "0"}, {"size": "100"}, {"old": "1"}):
            assert ask(query=query).status_code == 501, query
        for headers in (
            {"X-Id": "7"},
            {"X-When": "today"},
            {"X-Kind": "a-z"},
            {"X-Kind": "m-z"},
            {"X-Kind": "a-m"},
        ):
            assert ask(headers=headers).status_code == 501, headers
