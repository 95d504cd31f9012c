"""A project's folder: what is compiled once, when it is compiled again, and what loading reports."""

import errno
import gc
import json
import os
import tempfile
import weakref
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcmock import project as project_module
from svcmock.cache import SEAL
from svcmock.compile import CompiledFile
from svcmock.engine import Unservable
from svcmock.matching.answers import Answer
from svcmock.matching.index import Index
from svcmock.matching.recall import ROUTE_BYTES
from svcmock.project import CACHE_ABOVE, SETTLED_NS, Loaded, Loader, load
from svcmock.recording import load_or_create_key
from svcmock.yamlout import emit
from svcmock_protocols.postgres import plugin as postgres
from svcmock_protocols.postgres.messages import Request as Select
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
    project(tmp_path, A)
    for collecting in (True, False):
        (gc.enable if collecting else gc.disable)()
        try:
            load(tmp_path, PLUGINS)
            assert gc.isenabled() is collecting
        finally:
            gc.enable()


# --- large files, which stay on disk ------------------------------------------------------------------


def recorded(number: int, path: str = "", body: str = "", headers: tuple[tuple[str, str], ...] = ()) -> str:
    """A document as the recorder ends it."""
    doc = {
        "request": {"path": path or f"/u/{number}", "headers": [list(pair) for pair in headers]},
        "respond": {"body": body or f"answer {number}"},
    }
    return f"---\n{emit(doc)}...\n"


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large."""
    monkeypatch.setattr(project_module, "PARALLEL_ABOVE", 1)
    monkeypatch.setattr(project_module, "CACHE_ABOVE", 1)


def stored_project(root: Path, *texts: str, service: str = "") -> Path:
    """A project with these route files, in this order."""
    project(root, service=service, text=texts[0])
    for number, text in enumerate(texts[1:], 1):
        (root / "routes" / f"shop{number}.yaml").write_text(text)
    return root


def said(loaded: Loaded, path: str, headers: str = "") -> tuple[str, bytes] | None:
    """Which route answers, and what."""
    assert not loaded.errors, loaded.problems
    decision = loaded.responders["shop"].decide(request(path, headers=headers))
    return None if decision is None else (decision.outcome.route or "", decision.reply.body)


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("headers", [(), (("X-A", "1"),)])
def test_of_many_recordings_that_answer_the_same_one_is_kept(tmp_path: Path, headers: Any) -> None:
    """What is recorded again and again must not push out of memory what else is asked for."""
    texts = [recorded(1, "/a", "same", headers) * 40, recorded(1, "/b", "same", headers) + recorded(2, "/b")]
    index = load(stored_project(tmp_path, *texts), PLUGINS).responders["shop"].index
    assert index.stored is not None
    found = {path: index.find(request(path, headers="X-A: 1")) for path in ("/a", "/b")}
    assert isinstance(found["/a"], Answer)
    assert isinstance(found["/b"], Answer) is bool(headers), "a route that demands more comes first"
    assert index.stored.size < 5 * ROUTE_BYTES


@pytest.mark.usefixtures("on_disk")
def test_a_large_file_answers_from_disk_at_once_and_after_a_start(tmp_path: Path) -> None:
    text = "".join(recorded(number) for number in range(50))
    root = stored_project(tmp_path, text)
    for _ in range(2):
        loaded = load(root, PLUGINS)
        index = loaded.responders["shop"].index
        assert index.stored is not None
        assert index.exact == {}
        assert index.size == 50
        line = text[: text.index("/u/49")].count("\n") + 1
        assert said(loaded, "/u/49") == (f"routes/shop.yaml:{line}", b"answer 49")
        assert said(loaded, "/u/50") is None
        assert len(cached(root)) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from(["/a", "/b"]), st.sampled_from("12")),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["sequence", "cycle", "once"]),
)
def test_routes_on_disk_answer_as_those_in_memory(routes: list[tuple[int, str, str]], policy: str) -> None:
    """Some on disk, some in memory; several with one request, some with conditions."""
    texts = ["# nothing\n", "# nothing\n"]
    for number, (file, path, value) in enumerate(routes):
        texts[file] += recorded(number, path, headers=(("X-A", value),) if number % 3 else ())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = stored_project(Path(folder), *texts, service=f"policy: {policy}")
        seen = []
        for above in (10**9, 1, max(map(len, texts))):
            patch.setattr(project_module, "PARALLEL_ABOVE", above)
            loaded = load(root, PLUGINS)
            asked = [(path, f"X-A: {value}") for path in ("/a", "/b") for value in "123"] * 3
            groups = sorted(group.identity for group in loaded.responders["shop"].index.groups())
            misses = [
                loaded.responders["shop"].explain(request(path, headers="X-A: 3"), 1) for path in ("/a", "/c")
            ]
            seen.append(
                ([said(loaded, path, headers) for path, headers in asked], misses, policy == "once" or groups)
            )
        assert seen[0] == seen[1] == seen[2]


@pytest.mark.usefixtures("on_disk")
def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    root = stored_project(tmp_path, recorded(1))
    (root / ".svcmock").mkdir()
    (root / ".svcmock" / "cache").write_text("in the way")
    loaded = load(root, PLUGINS)
    assert said(loaded, "/u/1") is not None
    assert loaded.responders["shop"].index.stored is not None


@pytest.mark.usefixtures("on_disk")
def test_errors_in_a_large_file_are_told_and_nothing_is_kept(tmp_path: Path) -> None:
    root = stored_project(tmp_path, recorded(1) + "---\nrespond: {nonsense: 1}\n...\n" + recorded(2))
    loaded = load(root, PLUGINS)
    assert loaded.errors
    assert loaded.problems[0].line == recorded(1).count("\n") + 2
    assert loaded.responders["shop"].index.size == 2
    assert cached(root) == []


@pytest.mark.usefixtures("on_disk")
def test_damage_is_an_error_of_the_request_and_healed_by_the_next_load(tmp_path: Path) -> None:
    root = stored_project(tmp_path, recorded(1) + recorded(2))
    loader = Loader(root, PLUGINS)
    served = loader.load(now=NOW).responders["shop"]
    (file,) = cached(root)
    data = file.read_bytes()
    with file.open("r+b") as damaged:
        damaged.seek(data.index(b"answer 1"))
        damaged.write(b"ANSWER")
    assert served.answers(request("/u/2"))
    with pytest.raises(Unservable, match="damaged"):
        served.decide(request("/u/1"))
    assert "damaged" in served.explain(request("/u/1"), 1).hints[0]
    again = loader.load(now=NOW)
    assert said(again, "/u/1") == ("routes/shop.yaml:2", b"answer 1")
    assert [path.read_bytes() for path in cached(root)] == [data]


@pytest.mark.usefixtures("on_disk")
def test_damage_that_another_process_has_found_is_healed_here_too(tmp_path: Path) -> None:
    """Each worker has the file open; the first one to load compiles it for all."""
    root = stored_project(tmp_path, recorded(1) + recorded(2))
    first, second = Loader(root, PLUGINS), Loader(root, PLUGINS)
    served = first.load(now=NOW).responders["shop"]
    second.load(now=NOW)
    (file,) = cached(root)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(Unservable, match="damaged"):
        served.decide(request("/u/2"))
    for loader in (first, second):
        assert said(loader.load(now=NOW), "/u/2") is not None
    stored_before = file.stat().st_ino
    assert said(second.load(now=NOW), "/u/2") is not None
    assert [path.stat().st_ino for path in cached(root)] == [stored_before], "compiled once"


@pytest.mark.usefixtures("on_disk")
def test_a_compiler_that_cannot_be_started_leaves_no_descriptor_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "resource temporarily unavailable")

    root = stored_project(tmp_path, recorded(1))
    monkeypatch.setattr("subprocess.run", failing)
    before = len(list(Path("/dev/fd").iterdir()))
    assert said(load(root, PLUGINS), "/u/1") is not None
    assert len(list(Path("/dev/fd").iterdir())) == before
    assert not [path for path in cached(root) if path.name.startswith(".")]


@pytest.mark.usefixtures("on_disk")
def test_services_that_share_a_file_share_what_is_open(tmp_path: Path) -> None:
    root = stored_project(tmp_path, recorded(1))
    (root / "svcmock.yaml").write_text(
        "version: 1\nservices:\n"
        "  one: {listen: 0, protocol: http, routes: routes/}\n"
        "  two: {listen: 0, protocol: http, routes: routes/}\n"
    )
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    loaded = load(root, PLUGINS)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors + 1
    for name in ("one", "two"):
        decision = loaded.responders[name].decide(request("/u/1"))
        assert decision is not None
        assert decision.outcome.service == name


# --- loading again ------------------------------------------------------------------------------------

NOW = 2**62
"""A time at which every file is old."""


def index_of(loaded: Loaded) -> Index:
    assert not loaded.errors, loaded.problems
    return loaded.responders["shop"].index


@pytest.mark.parametrize("above", [1, 10**9])
def test_loads_that_read_the_same_have_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    monkeypatch.setattr(project_module, "PARALLEL_ABOVE", above)
    root = stored_project(tmp_path, recorded(1), recorded(2))
    loader = Loader(root, PLUGINS)
    version = loader.load().version
    assert loader.load().version == load(root, PLUGINS).version == version
    (root / "routes" / "shop1.yaml").write_text(recorded(3))
    other = loader.load().version
    assert other != version
    (root / "routes" / "shop1.yaml").rename(root / "routes" / "shop2.yaml")
    assert loader.load().version == load(root, PLUGINS).version not in {version, other}
    assert len({version.how, other.how, loader.load().version.how}) == 1
    monkeypatch.setattr(project_module, "__version__", "another")
    assert load(root, PLUGINS).version.how != version.how


@pytest.mark.usefixtures("on_disk")
def test_a_reload_that_changes_nothing_takes_over_the_index(tmp_path: Path) -> None:
    loader = Loader(stored_project(tmp_path, recorded(1), recorded(2)), PLUGINS)
    first = loader.load(now=NOW)
    for now in (0, NOW, NOW):
        again = loader.load(now=now)
        assert index_of(again) is index_of(first)
        assert again.problems == first.problems
        assert len(cached(tmp_path)) == 2


@pytest.mark.usefixtures("on_disk")
def test_a_file_that_looks_the_same_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(stored_project(tmp_path, recorded(1)), PLUGINS)
    loader.load(now=NOW)

    def no_reading(salt: bytes, file: object) -> str:
        raise AssertionError

    monkeypatch.setattr(project_module, "place_of", no_reading)
    loader.load(now=NOW)


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize(
    "what", ["content", "same size", "new file", "lost file", "policy", "pace", "noise", "key"]
)
def test_a_change_of_anything_makes_another_index(tmp_path: Path, what: str) -> None:
    root = stored_project(tmp_path, recorded(1), recorded(2))
    loader = Loader(root, PLUGINS)
    before = index_of(loader.load(now=NOW))
    file = root / "routes" / "shop.yaml"
    match what:
        case "content":
            file.write_text(recorded(1, body="something else"))
        case "same size":
            times = file.stat()
            file.write_text(recorded(1, body="ANSWER 1"))
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        case "new file":
            (root / "routes" / "more.yaml").write_text(recorded(3))
        case "lost file":
            (root / "routes" / "shop1.yaml").unlink()
        case "policy" | "pace" | "noise":
            more = {"policy": "policy: cycle", "pace": "pace: 2", "noise": "ignore: [headers.x-a]"}[what]
            graph = (root / "svcmock.yaml").read_text()
            (root / "svcmock.yaml").write_text(graph.replace("routes: routes/", f"routes: routes/, {more}"))
        case "key":
            load_or_create_key(root / ".svcmock" / "redaction.key")
    loaded = loader.load(now=NOW)
    assert index_of(loaded) is not before
    if what == "same size":
        assert said(loaded, "/u/1") == ("routes/shop.yaml:2", b"ANSWER 1")


def test_a_file_that_changed_just_now_is_read_again(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock look the same."""
    root = large(tmp_path, A)
    loader = Loader(root, PLUGINS)
    file = root / "routes" / "shop.yaml"
    now = file.stat().st_mtime_ns
    before = index_of(loader.load(now=now))
    assert index_of(loader.load(now=now)) is before
    assert loader._known.seen == {}
    loader.load(now=now + SETTLED_NS + 10**9)
    assert len(loader._known.seen) == 1


@pytest.mark.usefixtures("on_disk")
def test_a_file_that_a_route_refers_to_counts_too(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    body = tmp_path / "routes" / "b.txt"
    body.write_text("one")
    doc = emit({"request": {"path": "/f"}, "respond": {"body": {"file": "b.txt"}}})
    loader = Loader(stored_project(tmp_path, f"---\n{doc}...\n"), PLUGINS)
    first = loader.load(now=NOW)
    assert index_of(loader.load(now=NOW)) is index_of(first)
    body.write_text("two and more")
    decision = loader.load(now=NOW).responders["shop"].decide(request("/f"))
    assert decision is not None
    assert [blob.size for blob in decision.files] in ([12], [])
    assert b"".join([decision.reply.body]) == b"two and more" or decision.files


@pytest.mark.parametrize("above", [1, 10**9])
def test_an_index_that_is_replaced_is_freed_without_a_search_for_cycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    monkeypatch.setattr(project_module, "PARALLEL_ABOVE", above)
    matched = "---\nmatch: {path: '/m/{id}', method: GET}\nrespond: {}\n...\n"
    root = stored_project(tmp_path, recorded(1) + recorded(1, body="again") + matched)
    loader = Loader(root, PLUGINS)
    loaded = loader.load(now=NOW)
    said(loaded, "/u/1"), said(loaded, "/m/1"), said(loaded, "/nowhere")
    loaded.responders["shop"].explain(request("/nowhere"), 1)
    old = [weakref.ref(loaded.responders["shop"]), weakref.ref(loaded.responders["shop"].index.predicates)]
    (root / "routes" / "shop.yaml").write_text(recorded(1, body="new"))
    gc.collect()
    gc.disable()
    try:
        loaded = loader.load(now=NOW)
        assert [ref() for ref in old] == [None, None]
        assert said(loaded, "/u/1") is not None
    finally:
        gc.enable()


SELECTS = """\
---
request: {sql: "SELECT name FROM users WHERE id = $1", params: ["1"]}
respond: {columns: [name], rows: [[Ann]]}
...
---
request: {sql: "SELECT name FROM users WHERE id = $1", params: ["2"]}
respond: {columns: [name], rows: [[Bo]]}
...
"""


@pytest.mark.parametrize("above", [1, 10**9], ids=["on disk", "in memory"])
def test_a_route_that_is_answered_in_parts_is_one_route(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    """A statement is described before it is executed, and a route of it answers both."""
    monkeypatch.setattr(project_module, "PARALLEL_ABOVE", above)
    project(tmp_path, text=SELECTS)
    graph = "version: 1\nservices:\n  shop: {listen: 0, protocol: postgres, routes: routes/}\n"
    (tmp_path / "svcmock.yaml").write_text(graph)
    served = load(tmp_path, {"postgres": postgres}).responders["shop"]
    assert served.index.size == 2
    select = Select("SELECT name FROM users WHERE id = $1", ("3",))
    explanation = served.explain(select, 1)
    assert [(stage.stage, stage.routes_in, stage.routes_out) for stage in explanation.funnel] == [
        ("address", 2, 2),
        ("params", 2, 0),
    ]
    assert {near.route for near in explanation.nearest} == {"routes/shop.yaml:2", "routes/shop.yaml:6"}
    assert all([one.at for one in near.failed] == ["params.0"] for near in explanation.nearest)
    # what only describes has nothing in common with what is executed
    elsewhere = served.explain(Select("SELECT name FROM users WHERE id = 3"), 2)
    assert all([one.at for one in near.failed] == ["sql", "params"] for near in elsewhere.nearest)
    assert len(elsewhere.nearest) == 2
