"""The index against a plain reading of its rules, and the promise that cost does not grow with the routes."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcmock.compile import Compiled, compile_file, unpacked
from svcmock.matching import index as index_module
from svcmock.matching.answers import Found, Group
from svcmock.matching.index import Builder, Index, Split, equality_key
from svcmock.matching.predicates import compile_match
from svcmock.matching.recall import count_keys, near_keys
from svcmock.model import Policy
from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Invalid
from svcmock_protocols.http import plugin
from tests.routes import CONTEXT, request, responder


class NoFiles:
    def __call__(self, name: str) -> Blob:
        raise Invalid((), f"no file {name}")

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), f"no file {blob.path}")


def build(docs: list[Any], policy: Policy = "sequence") -> Index:
    """An index of these documents; an answer's `line` is its document's place."""

    def context_for(ignore: tuple[str, ...]) -> Context:
        if not ignore:
            return CONTEXT
        return Context(CONTEXT.options, Noise((*CONTEXT.ignore.patterns, *ignore)), CONTEXT.token)

    contexts: dict[tuple[str, ...], Context] = {}
    builder = Builder(plugin, CONTEXT, policy)
    data = json.dumps(docs).encode()
    compiled, problems = compile_file(data, "r.json", plugin, context_for, NoFiles())
    assert problems == []
    for place, entry in enumerate(compiled.entries):
        _add(builder, place, entry, lambda ignore: contexts.setdefault(ignore, context_for(ignore)))
    return builder.build()


def _add(
    builder: Builder, place: int, entry: Compiled, context_for: Callable[[tuple[str, ...]], Context]
) -> None:
    answer = msgspec.structs.replace(entry, line=place).answer("r.json", builder.take_places(1))
    if entry.key:
        own = context_for(entry.ignore) if entry.ignore else None
        builder.add_exact(entry.key, answer, own)
        return
    answer.matcher, wrong = compile_match(unpacked(entry.match), template_field="path", template_separator="/")
    assert wrong == []
    builder.add_matched(entry.match, answer)


def places(found: Found | None) -> list[int]:
    if found is None:
        return []
    return [answer.line for answer in (found.answers if isinstance(found, Group) else [found])]


# --- an independent reading of the rules --------------------------------------------------------------

METHODS = st.sampled_from(["GET", "POST"])
PATHS = st.sampled_from(["/a", "/a/b", "/x"])
VALUES = st.sampled_from([1, 2, True, "1", None])
HEADERS = st.dictionaries(st.sampled_from(["x-a", "x-b", "x-c"]), st.sampled_from(["1", "2"]), max_size=3)
QUERIES = st.dictionaries(st.sampled_from(["q", "r"]), st.sampled_from(["1", "2"]), max_size=2)
BODIES = st.none() | st.dictionaries(st.sampled_from(["k", "n"]), VALUES, max_size=2)
IGNORES = st.lists(st.sampled_from(["json.n", "query.r", "headers.x-c"]), unique=True, max_size=2)


def exact_route(method: str, path: str, query: Any, headers: Any, body: Any, ignore: list[str]) -> Any:
    doc: dict[str, Any] = {"method": method, "path": path}
    if query:
        doc["query"] = query
    doc["headers"] = [[name, value] for name, value in headers.items()]
    if body is not None:
        doc["json"] = body
        doc["headers"].append(["Content-Type", "application/json"])
    return {"request": doc, "ignore": sorted(ignore), "respond": {"status": 200}}


EXACT = st.builds(exact_route, METHODS, PATHS, QUERIES, HEADERS, BODIES, IGNORES)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "method": METHODS,
        "path": st.sampled_from(["/a", "/{p}", "/a/{p}", "/{p}/b", "/{p}/{q}"]) | st.just({"prefix": "/a"}),
        "query": QUERIES,
        "headers": HEADERS,
        "json": st.dictionaries(st.sampled_from(["k", "n"]), VALUES, min_size=1, max_size=2),
    },
)
ROUTES = st.lists(EXACT | MATCHES.map(lambda match: {"match": match, "respond": {"status": 200}}), max_size=14)
REQUESTS = st.tuples(METHODS, PATHS, QUERIES, HEADERS, BODIES)


def equal(one: Any, other: Any) -> bool:
    """JSON equality: numbers by value, booleans only with booleans."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return (
        (one is None) == (other is None) and isinstance(one, bool) == isinstance(other, bool) and one == other
    )


def without(value: Any, root: str, ignore: list[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: item for name, item in value.items() if f"{root}.{name}" not in ignore}


def exact_holds(route: Any, asked: Any) -> bool:
    method, path, query, headers, body = asked
    want, ignore = route["request"], route["ignore"]
    demanded = without({k.lower(): v for k, v in want["headers"]}, "headers", ignore)
    live = {**headers, **({} if body is None else {"content-type": "application/json"})}
    return (
        (want["method"], want["path"]) == (method, path)
        and without(want.get("query", {}), "query", ignore) == without(query, "query", ignore)
        and ("json" in want) == (body is not None)
        and equal(without(want.get("json"), "json", ignore), without(body, "json", ignore))
        and all(live.get(name) == value for name, value in demanded.items())
    )


def path_rank(want: Any, path: str) -> tuple[int, int] | None:
    """How specific a demand on the path is, or None where it does not hold."""
    if isinstance(want, dict):
        return (1, len(want["prefix"])) if path.startswith(want["prefix"]) else None
    parts, segments = want.split("/"), path.split("/")
    if "{" not in want:
        return (3, len(parts)) if want == path else None
    fits = len(parts) == len(segments) and all(
        bool(got) if part.startswith("{") else part == got for part, got in zip(parts, segments, strict=True)
    )
    return (2, sum(not part.startswith("{") for part in parts)) if fits else None


def match_rank(match: Any, asked: Any) -> tuple[int, int, int] | None:
    """The specificity of a `match:` that holds for the request."""
    method, path, query, headers, body = asked
    rank: tuple[int, int] | None = (0, 0)
    checks = 0
    if "path" in match:
        rank, checks = path_rank(match["path"], path), 1
    holds = rank is not None and match.get("method", method) == method
    checks += "method" in match
    for name, live in (("query", query), ("headers", headers), ("json", body or {})):
        wanted = match.get(name, {})
        holds = holds and (name != "json" or not wanted or body is not None)
        holds = holds and all(key in live and equal(value, live[key]) for key, value in wanted.items())
        checks += len(wanted)
        if name in match and not wanted:
            return None  # an empty mapping demands JSON: kept out of the comparison
    return (*rank, checks) if holds and rank is not None else None


def demand_of(route: Any) -> Any:
    """Equal for routes that demand the same."""
    if "match" in route:
        return ("match", json.dumps(route["match"], sort_keys=True))
    want, ignore = route["request"], route["ignore"]
    headers = without({k.lower(): v for k, v in want["headers"]}, "headers", ignore)
    query = without(want.get("query", {}), "query", ignore)
    body = without(want.get("json"), "json", ignore)
    return json.dumps(
        [want["method"], want["path"], query, headers, body, "json" in want, ignore], sort_keys=True
    )


def naive(routes: list[Any], asked: Any) -> list[int]:
    """The places of the routes that answer, by going through all of them."""
    order: dict[Any, int] = {}
    for place, route in enumerate(routes):
        order.setdefault(demand_of(route), place)
    ranked = []
    for route in routes:
        first = order[demand_of(route)]
        if "match" in route:
            specific = match_rank(route["match"], asked)
            if specific is not None:
                ranked.append(((2, *(-part for part in specific), first), route))
        elif exact_holds(route, asked):
            conditions = len(
                without({k.lower(): v for k, v in route["request"]["headers"]}, "headers", route["ignore"])
            )
            ranked.append(((int(bool(route["ignore"])), -conditions, 0, 0, first), route))
    if not ranked:
        return []
    best = min(ranked, key=lambda item: item[0])[1]
    return [place for place, route in enumerate(routes) if demand_of(route) == demand_of(best)]


def live(asked: Any) -> Any:
    method, path, query, headers, body = asked
    target = path + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
    lines = "|".join(f"{name}: {value}" for name, value in headers.items())
    return request(target, method, lines, b"" if body is None else json.dumps(body).encode())


def usable(route: Any) -> bool:
    return all(route.get("match", {}).get(name, True) != {} for name in ("query", "headers"))


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(ROUTES, st.lists(REQUESTS, min_size=1, max_size=8))
def test_finds_what_a_reading_of_all_routes_finds(routes: list[Any], asked: list[Any]) -> None:
    routes = [route for route in routes if usable(route)]
    index = build(routes)
    assert index.size == len(routes)
    for one in asked:
        assert places(index.find(live(one))) == naive(routes, one)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MATCHES.filter(lambda match: usable({"match": match})), min_size=10, max_size=60), REQUESTS)
def test_a_tree_of_many_equalities_finds_what_a_reading_of_all_finds(matches: list[Any], asked: Any) -> None:
    routes = [{"match": match, "respond": {"status": 200}} for match in matches]
    assert places(build(routes).find(live(asked))) == naive(routes, asked)


# --- single rules -------------------------------------------------------------------------------------


def get(path: str, *headers: list[str], **more: Any) -> Any:
    return {"request": {"path": path, "headers": list(headers)}, "respond": {"status": 200}, **more}


def test_of_as_many_conditions_on_other_headers_the_first_in_the_file_wins() -> None:
    routes = [get("/", ["x-a", "9"]), get("/", ["x-b", "2"]), get("/", ["x-a", "1"])]
    assert places(build(routes).find(request("/", headers="x-a: 1|x-b: 2"))) == [1]
    assert places(build(routes).find(request("/", headers="x-a: 1"))) == [2]
    assert build(routes).find(request("/")) is None


def test_more_conditions_win_over_fewer_wherever_they_stand() -> None:
    routes = [get("/"), get("/", ["x-a", "1"]), get("/", ["x-a", "1"], ["x-b", "2"])]
    index = build(routes)
    assert places(index.find(request("/", headers="x-a: 1|x-b: 2"))) == [2]
    assert places(index.find(request("/", headers="x-a: 1|x-b: 3"))) == [1]
    assert places(index.find(request("/", headers="x-a: 7"))) == [0]


def test_a_route_without_noise_of_its_own_wins_and_the_others_compare_among_themselves() -> None:
    routes = [
        get("/?a=1", ignore=["query.a"]),
        get("/?a=1", ["x-a", "1"], ignore=["query.b"]),
        get("/?a=7"),
    ]
    for route in routes:
        route["request"] = {"target": route["request"]["path"], "headers": route["request"]["headers"]}
    index = build(routes)
    assert places(index.find(request("/?a=7"))) == [2]
    assert places(index.find(request("/?a=1", headers="x-a: 1"))) == [1]
    assert places(index.find(request("/?a=5"))) == [0]


@pytest.mark.parametrize("headers", [[], [["x-a", "1"]]])
@pytest.mark.parametrize("own", [True, False])
def test_once_holds_for_a_single_answer_with_and_without_conditions(
    headers: list[list[str]], own: bool
) -> None:
    route = get("/", *headers, **({"policy": "once"} if own else {}))
    found = build([route], "sequence" if own else "once").find(request("/", headers="x-a: 1"))
    assert isinstance(found, Group)
    assert found.policy == "once"


def test_text_numbers_and_booleans_are_told_apart_in_json_only() -> None:
    wants: list[Any] = [1, "1", True, False, 2.5, "true", 10**30]
    routes = [{"match": {"json": {"k": want}}, "respond": {"status": 200}} for want in wants]
    index = build(routes)
    for place, want in enumerate(wants):
        assert places(index.find(request("/", "POST", body=json.dumps({"k": want}).encode()))) == [place]
    assert places(index.find(request("/", "POST", body=b'{"k": 1.0}'))) == [0]
    texts = [{"match": {"query": {"k": want}}, "respond": {"status": 200}} for want in (1, True, "x", "y", "z")]
    index = build(texts)
    assert places(index.find(request("/?k=1"))) == [0]
    assert places(index.find(request("/?k=true"))) == [1]


def test_one_of_several_values_of_a_field_is_enough() -> None:
    routes = [{"match": {"query": {"k": str(number)}}, "respond": {"status": 200}} for number in range(20)]
    index = build(routes)
    assert places(index.find(request("/?k=99&k=13"))) == [13]
    assert places(index.find(request("/?k=7&k=3"))) == [3]
    lists = [{"match": {"json": {"k": number}}, "respond": {"status": 200}} for number in range(20)]
    assert build(lists).find(request("/", "POST", body=b'{"k": [3]}')) is None


@pytest.mark.parametrize("body", [b'{"k": [1]}', b'{"k": {"\xc2\xb2": 1}}', b"[[]]", b"7"])
def test_odd_names_and_shapes_on_the_way_to_an_equality_are_no_trouble(body: bytes) -> None:
    routes = [{"match": {"json": {"k": {"²": number}}}, "respond": {"status": 200}} for number in range(9)]
    routes += [{"match": {"json": {"k": {"9" * 5000: n}}}, "respond": {"status": 200}} for n in range(9)]
    expected = [1] if "²" in body.decode() else []
    assert places(build(routes).find(request("/", "POST", body=body))) == expected


def test_two_equalities_on_one_field_need_both() -> None:
    both = [
        {"match": {"all_of": [{"query": {"k": str(n)}}, {"query": {"k": "z"}}]}, "respond": {}}
        for n in range(9)
    ]
    index = build(both)
    assert places(index.find(request("/?k=z&k=4"))) == [4]
    assert index.find(request("/?k=4")) is None


def test_templates_that_overlap_everywhere_all_take_part() -> None:
    depth = 11
    paths = [
        "/" + "/".join(f"{{s{i}}}" if mask >> i & 1 else "a" for i in range(depth)) for mask in range(2**depth)
    ]
    routes = [
        {"match": {"path": path, "query": {"only": str(n)}}, "respond": {}} for n, path in enumerate(paths)
    ]
    index = build(routes)
    for wanted in (0, 1, 777, 2**depth - 1):
        assert places(index.find(request("/a" * depth + f"?only={wanted}"))) == [wanted]


def test_routes_of_which_each_demands_another_field_load_and_answer() -> None:
    names = [f"f{number}" for number in range(300)]
    routes = [{"match": {"json": dict.fromkeys(names[place:], 1)}, "respond": {}} for place in range(300)]
    index = build(routes)
    assert places(
        index.find(request("/", "POST", body=json.dumps(dict.fromkeys(names[250:], 1)).encode()))
    ) == [250]


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, "1"), (-0.0, 0), (2**53, float(2**53))])
def test_values_that_may_be_equal_have_one_key(one: Any, other: Any) -> None:
    assert equality_key(one) == equality_key(other)


def test_booleans_and_null_have_keys_of_their_own() -> None:
    assert len({equality_key(value) for value in (True, False, None, "True", 1, 0)}) == 6


# --- cost ---------------------------------------------------------------------------------------------


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the routes that are evaluated, and every call of a Python function, while it is open."""
    counts = [0, 0]
    evaluate = index_module.evaluate

    def counted(*args: Any) -> Any:
        counts[0] += 1
        return evaluate(*args)

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        counts[1] += event == "call"

    monkeypatch.setattr(index_module, "evaluate", counted)
    sys.setprofile(profile)
    try:
        yield counts
    finally:
        sys.setprofile(None)
        monkeypatch.undo()


@pytest.mark.parametrize("kind", ["exact", "json", "template"])
def test_a_look_up_costs_the_same_among_ten_routes_and_ten_thousand(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Callable[[int], Any]] = {
        "exact": lambda n: get(f"/u/{n}", ["x-a", "1"]),
        "json": lambda n: {"match": {"path": "/u", "json": {"id": n}}, "respond": {}},
        "template": lambda n: {"match": {"path": f"/u{n}/{{id}}"}, "respond": {}},
    }
    asked = {
        "exact": request("/u/7", headers="x-a: 1"),
        "json": request("/u", "POST", body=b'{"id": 7}'),
        "template": request("/u7/x"),
    }[kind]
    calls = []
    for count in (10, 10_000):
        index = build([made[kind](number) for number in range(count)])
        assert places(index.find(asked)) == [7]
        with counting(monkeypatch) as counts:
            index.find(asked)
        assert counts[0] <= 4
        calls.append(counts[1])
    assert calls[1] <= calls[0] + 10


def test_a_miss_among_ten_thousand_predicates_evaluates_nearly_none(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build([{"match": {"path": "/u", "json": {"id": n}}, "respond": {}} for n in range(10_000)])
    with counting(monkeypatch) as counts:
        assert index.find(request("/u", "POST", body=b'{"id": "seven"}')) is None
    assert counts[0] <= 4


# --- what stands near ---------------------------------------------------------------------------------


def test_near_keys_are_bounded_and_begin_with_the_own_address() -> None:
    index = build(
        [
            *({"request": {"target": f"/{name}?q=1"}, "respond": {}} for name in ("a", "b", "c")),
            get("/b"),
            get("/a"),
        ]
    )
    key = plugin.key(request("/b?zzz=1"), CONTEXT)
    keys = index.sorted_keys()
    addresses = [near.partition(b"\0")[0] for near in near_keys(keys, key, 10)]
    assert addresses[0] == b"/b"
    assert sorted(addresses) == sorted(near.partition(b"\0")[0] for near in index.keys)
    assert len(list(near_keys(keys, key, 2))) == 2
    assert count_keys(keys, b"/b") == 2
    assert list(near_keys(build([]).sorted_keys(), key, 5)) == []


def test_near_routes_begin_with_those_that_agree_on_most() -> None:
    docs = [
        {"match": {"path": f"/u{n}/{{id}}", "json": {"k": k}}, "respond": {}}
        for n in range(50)
        for k in range(20)
    ]
    index = build([*docs, {"match": {"method": "PUT"}, "respond": {}}])
    fields = plugin.fields(request("/u7/x", "POST", body=b'{"k": "no"}'), CONTEXT)
    near = list(index.predicates.near(fields, 16))
    assert len(near) <= 16
    assert all(matcher.template is None or matcher.template[1] == "u7" for _, matcher, _ in near)
    far = list(index.predicates.near(plugin.fields(request("/a/b/c/d"), CONTEXT), 5000))
    assert len(far) > 500


def test_a_leaf_of_the_tree_is_a_split_only_where_that_helps(tmp_path: Path) -> None:
    docs = [{"match": {"path": "/u", "json": {"id": n}}, "respond": {"status": 200}} for n in range(50)]
    built = responder(tmp_path, *docs).index
    assert isinstance(built.predicates._rest, Split)
    assert built.predicates._rest.at == ("json", "id")
