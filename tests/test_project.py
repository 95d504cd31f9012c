"""A project's folder: what is compiled once, when it is compiled again, and what loading reports."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest

from svcmock.cache import SEAL
from svcmock.compile import CompiledFile
from svcmock.project import CACHE_ABOVE, Loaded, load
from svcmock.recording import load_or_create_key
from tests.routes import PLUGINS, project, request, responder

PADDING = "x" * (CACHE_ABOVE + 1)


def large(root: Path, *docs: Any, service: str = "") -> Path:
    """A project whose route file is worth a cache."""
    return project(root, *docs, {"request": {"path": "/big"}, "respond": {"body": PADDING}}, service=service)


def cached(root: Path) -> list[Path]:
    return sorted((root / ".svcmock" / "cache").glob("*"))


def poison(file: Path, path: bytes) -> None:
    """Make the cached file say that `/a` is at `path`, so that its use can be seen."""
    known = msgspec.msgpack.decode(file.read_bytes()[SEAL:], type=CompiledFile)
    first = known.entries[0]
    entries = [msgspec.structs.replace(first, key=first.key.replace(b"/a", path)), *known.entries[1:]]
    data = msgspec.msgpack.encode(msgspec.structs.replace(known, entries=entries))
    file.write_bytes(blake2b(data, digest_size=SEAL).digest() + data)


A: dict[str, Any] = {"request": {"path": "/a"}, "respond": {"status": 200}}


def answers(loaded: Loaded, path: str = "/a", headers: str = "") -> bool:
    assert not loaded.errors
    return loaded.responders["shop"].answers(request(path, headers=headers))


def test_a_second_load_takes_what_the_first_compiled(tmp_path: Path) -> None:
    root = large(tmp_path, A)
    assert answers(load(root, PLUGINS))
    (file,) = cached(root)
    assert file.parent.stat().st_mode & 0o77 == 0
    poison(file, b"/poisoned")
    loaded = load(root, PLUGINS)
    assert answers(loaded, "/poisoned")
    assert not answers(loaded)


def test_a_small_file_is_not_worth_a_cache(tmp_path: Path) -> None:
    load(project(tmp_path, A), PLUGINS)
    assert cached(tmp_path) == []


@pytest.mark.parametrize("what", ["content", "options", "noise", "key", "name"])
def test_a_change_of_anything_it_depends_on_compiles_again(tmp_path: Path, what: str) -> None:
    root = large(tmp_path, A)
    load(root, PLUGINS)
    (file,) = cached(root)
    poison(file, b"/poisoned")
    match what:
        case "content":
            large(root, A, {"request": {"path": "/b"}, "respond": {}})
        case "options":
            large(root, A, service="options: {max_head: 2048}")
        case "noise":
            large(root, A, service="ignore: [headers.x-a]")
        case "key":
            load_or_create_key(root / ".svcmock" / "redaction.key")
        case "name":
            (root / "routes" / "shop.yaml").rename(root / "routes" / "other.yaml")
    assert answers(load(root, PLUGINS))
    (now,) = cached(root)
    assert now != file


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign", "folder"])
def test_a_damaged_cache_is_compiled_again(tmp_path: Path, damage: str) -> None:
    root = large(tmp_path, A)
    load(root, PLUGINS)
    (file,) = cached(root)
    data = file.read_bytes()
    at = data.index(b"/a\0")
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(
            {
                "cut": data[:-1],
                "flipped": data[: at + 1] + b"z" + data[at + 2 :],
                "empty": b"",
                "foreign": b"\x93" * 100,
            }[damage]
        )
    assert answers(load(root, PLUGINS))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    root = large(tmp_path, A)
    (root / ".svcmock").mkdir()
    (root / ".svcmock" / "cache").write_text("in the way")
    assert answers(load(root, PLUGINS))


def test_what_is_needed_no_more_is_removed_unless_there_are_errors(tmp_path: Path) -> None:
    root = large(tmp_path, A)
    load(root, PLUGINS)
    (first,) = cached(root)
    project(root, text=f"respond: {{nonsense: 1}}\n# {PADDING}\n")
    assert load(root, PLUGINS).errors
    assert cached(root) == [first]
    large(root, A, A)
    load(root, PLUGINS)
    assert first not in cached(root)
    assert len(cached(root)) == 1


@pytest.mark.parametrize("change", ["gone", "shorter"])
def test_a_file_a_cached_route_refers_to_is_looked_at_again(tmp_path: Path, change: str) -> None:
    (tmp_path / "routes").mkdir()
    body = tmp_path / "routes" / "b.bin"
    body.write_bytes(b"f" * 70_000)
    root = large(tmp_path, {"request": {"path": "/f"}, "respond": {"body": {"file": "b.bin"}}})
    assert answers(load(root, PLUGINS), "/f")
    assert len(cached(root)) == 1
    if change == "gone":
        body.unlink()
        (problem,) = load(root, PLUGINS).problems
        assert str(problem) == "routes/shop.yaml:3:18: there is no file `routes/b.bin`"
    else:
        body.write_bytes(b"t" * 69_999)
        decision = load(root, PLUGINS).responders["shop"].decide(request("/f"))
        assert decision is not None
        assert decision.reply.body == b"t" * 69_999


def test_warnings_are_told_from_the_cache_too(tmp_path: Path) -> None:
    text = f"request: {{path: /a}}\nrespond: {{body: {PADDING}}}\n...\n---\nrecorded: {{at: x"
    root = project(tmp_path, text=text)
    first = load(root, PLUGINS)
    assert len(cached(root)) == 1
    assert [problem.severity for problem in first.problems] == ["warning"]
    assert load(root, PLUGINS).problems == first.problems


# --- noise and policy ---------------------------------------------------------------------------------

AGENT: dict[str, Any] = {"request": {"path": "/a", "headers": [["User-Agent", "one"]]}, "respond": {}}


def test_default_noise_can_be_made_to_decide(tmp_path: Path) -> None:
    assert answers(load(project(tmp_path, AGENT), PLUGINS), headers="User-Agent: two")
    loaded = load(project(tmp_path, AGENT, service='ignore: ["!headers.user-agent"]'), PLUGINS)
    assert answers(loaded, headers="User-Agent: one")
    assert not answers(loaded, headers="User-Agent: two")


def test_a_single_route_can_do_so_too(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, {**AGENT, "ignore": ["!headers.user-agent"]}), PLUGINS)
    assert answers(loaded, headers="User-Agent: one")
    assert not answers(loaded, headers="User-Agent: two")


def test_the_services_policy_holds_where_a_route_has_none(tmp_path: Path) -> None:
    served = responder(tmp_path, A, service="policy: once")
    assert served.decide(request("/a")) is not None
    assert served.decide(request("/a")) is None


# --- many ---------------------------------------------------------------------------------------------


def test_a_file_of_very_many_routes_loads_and_loads_again(tmp_path: Path) -> None:
    root = project(tmp_path, A)
    lines = (
        json.dumps({"request": {"path": f"/u/{n}"}, "respond": {"json": {"id": n}}}) for n in range(20_000)
    )
    (root / "routes" / "many.jsonl").write_text("\n".join(lines))
    for _ in range(2):
        served = load(root, PLUGINS).responders["shop"]
        assert served.index.size == 20_001
        decision = served.decide(request("/u/19999"))
        assert decision is not None
        assert decision.outcome.route == "routes/many.jsonl:20000"


def test_a_project_without_a_graph_has_problems_and_nothing_else(tmp_path: Path) -> None:
    loaded = load(tmp_path, PLUGINS)
    assert loaded.graph is None
    assert loaded.errors
    assert loaded.responders == {}


def test_loading_leaves_the_garbage_collector_as_it_was(tmp_path: Path) -> None:
    import gc

    project(tmp_path, A)
    for collecting in (True, False):
        (gc.enable if collecting else gc.disable)()
        try:
            load(tmp_path, PLUGINS)
            assert gc.isenabled() is collecting
        finally:
            gc.enable()
