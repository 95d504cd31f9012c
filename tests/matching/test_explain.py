"""Explanations: every failing field, edits that work, bounds, and nothing of a secret."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcmock import engine
from svcmock.engine import Responder
from svcmock.matching import explain as explain_module
from svcmock.noise import Noise
from svcmock.protocol import Context, Difference, Explanation, Near
from svcmock_protocols.http.messages import Request
from tests.routes import request, responder

SECRET = "s3cr3t-value-of-a-credential"


def nearest(served: Responder, asked: Request) -> Near:
    assert not served.answers(asked)
    return served.explain(asked, 1).nearest[0]


def failed(served: Responder, asked: Request) -> dict[str, tuple[Any, Any]]:
    return {difference.at: (difference.want, difference.got) for difference in nearest(served, asked).failed}


def edited(route: Any, edit: Any) -> Any:
    """The edit made by whoever reads it: names separated by dots, from the top of the document."""
    after = json.loads(json.dumps(route))
    for verb, changes in edit.items():
        for path in changes:
            at = after
            *steps, last = path.split(".")
            for step in steps:
                at = at.setdefault(step, {})
            if verb == "set":
                at[last] = changes[path]
            else:
                at.pop(last)
    return after


def post(body: Any, path: str = "/o", **more: Any) -> Any:
    return {
        "request": {
            "method": "POST",
            "path": path,
            "headers": [["Content-Type", "application/json"]],
            "json": body,
        },
        "respond": {"status": 201},
        **more,
    }


def sent(body: Any, target: str = "/o", headers: str = "") -> Request:
    return request(target, "POST", headers, json.dumps(body).encode())


# --- fields -------------------------------------------------------------------------------------------


def test_json_is_compared_leaf_by_leaf(tmp_path: Path) -> None:
    served = responder(tmp_path, post({"items": [{"qty": 1, "sku": "a"}], "note": "x", "only": 1}))
    asked = sent({"items": [{"qty": 2, "sku": "a"}], "note": "X", "more": None})
    assert failed(served, asked) == {
        "json.items.0.qty": (1, 2),
        "json.note": ("x", "X"),
        "json.only": (1, None),
        "json.more": (None, None),
    }
    hints = {d.at: d.hint for d in nearest(served, asked).failed if d.hint}
    assert hints == {"json.note": "upper and lower case differ"}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/s", {"query.page": (["1"], None), "query.q": (["x"], None)}),
        ("/s?page=1&q=y", {"query.q": (["x"], ["y"])}),
        ("/s?page=1&q=x&q=x", {"query.q": (["x"], ["x", "x"])}),
        ("/s?page=1&q=x&z=1", {"query.z": (None, ["1"])}),
    ],
)
def test_a_query_is_compared_name_by_name(tmp_path: Path, target: str, expected: Any) -> None:
    route = {"request": {"path": "/s", "query": {"page": "1", "q": "x"}}, "respond": {}}
    assert failed(responder(tmp_path, route), request(target)) == expected


def test_a_query_that_only_the_request_has_is_named_too(tmp_path: Path) -> None:
    assert failed(responder(tmp_path, {"request": {"path": "/s"}, "respond": {}}), request("/s?z=1")) == {
        "query.z": (None, ["1"])
    }


def test_headers_are_named_and_hinted_at(tmp_path: Path) -> None:
    route = {"request": {"path": "/", "headers": [["X-A", "One"], ["X-B", "2"]]}, "respond": {}}
    near = nearest(responder(tmp_path, route), request("/", headers="x-a: one"))
    assert list(near.failed) == [
        Difference("headers.x-a", "equals", "One", "one", "upper and lower case differ"),
        Difference("headers.x-b", "equals", "2"),
    ]
    assert (near.passed, near.of) == (2, 4)


@pytest.mark.parametrize(
    ("recorded", "live", "hint"),
    [
        (1, "1", "one is a number or a boolean, the other is text"),
        ("/a/", "/a", "a trailing slash differs"),
        ("a b", "a  b", "white space differs"),
        (1, 2, None),
        (None, 0, None),
    ],
)
def test_what_looks_alike_is_said(tmp_path: Path, recorded: Any, live: Any, hint: str | None) -> None:
    (difference,) = nearest(responder(tmp_path, post({"k": recorded})), sent({"k": live})).failed
    assert difference.hint == hint


def test_a_predicate_route_names_all_of_its_demands_that_fail(tmp_path: Path) -> None:
    match = {"path": "/u/{id}", "query": {"n": {"gt": 3}}, "headers": {"X-Kind": {"in": ["a", "b"]}}}
    served = responder(tmp_path, {"match": match, "respond": {"status": 204}, "name": "by id"})
    near = nearest(served, request("/u/5?n=2", headers="x-kind: c"))
    assert {d.at: (d.op, d.want, d.got) for d in near.failed} == {
        "query.n": ("gt", 3, ["2"]),
        "headers.x-kind": ("in", ["a", "b"], ["c"]),
    }
    assert (near.route, near.passed, near.of, near.would_answer) == ("routes/shop.yaml:2#by id", 1, 3, "204")


def test_the_nearest_route_comes_first_whatever_its_kind(tmp_path: Path) -> None:
    served = responder(
        tmp_path,
        post({"a": 1, "b": 2}),
        post({"a": 1, "b": 2}, path="/other"),
        {"match": {"path": "/o", "method": "POST", "json": {"a": {"gt": 5}, "b": 2}}, "respond": {}},
    )
    routes = [near.route.rpartition(":")[2] for near in served.explain(sent({"a": 7, "b": 3}), 1).nearest]
    assert len(routes) == 3
    assert routes[0] != "13"
    assert served.explain(sent({"a": 1, "b": 3}), 1).hints[0].startswith("only json.b keeps routes/shop.yaml:2")


def test_a_route_of_which_nothing_matches_is_not_all_but_there(tmp_path: Path) -> None:
    served = responder(
        tmp_path, {"match": {"path": "/a"}, "template": True, "respond": {"body": "{{ request.path }}"}}
    )
    explanation = served.explain(request("/b"), 1)
    assert (explanation.nearest[0].passed, explanation.nearest[0].would_answer) == (0, None)
    assert explanation.hints == ()


LONG = "SELECT " + ", ".join(f"column_{number}" for number in range(200))


@pytest.mark.parametrize(
    "route",
    [
        post({"sql": f"{LONG} FROM a"}),
        {"match": {"path": "/o", "json": {"sql": f"{LONG} FROM a"}}, "respond": {}},
    ],
)
def test_long_values_are_quoted_where_they_differ(tmp_path: Path, route: Any) -> None:
    (difference,) = nearest(responder(tmp_path, route), sent({"sql": f"{LONG} FROM b WHERE id = 1"})).failed
    assert difference.want == "..." + f"{LONG} FROM "[-60:] + "a"
    assert difference.got == "..." + f"{LONG} FROM "[-60:] + "b WHERE id = 1"


def test_of_a_query_too(tmp_path: Path) -> None:
    served = responder(tmp_path, {"match": {"path": "/s", "query": {"q": "x" * 2000 + "a"}}, "respond": {}})
    (difference,) = nearest(served, request(f"/s?q={'x' * 2000}b")).failed
    assert (difference.want, difference.got) == ("..." + "x" * 60 + "a", ["..." + "x" * 60 + "b"])


# --- the funnel ---------------------------------------------------------------------------------------


def assert_consistent(explanation: Explanation, routes: int) -> None:
    assert explanation.funnel[0].routes_in == routes
    for stage, following in zip(explanation.funnel, explanation.funnel[1:], strict=False):
        assert stage.routes_out == following.routes_in
    assert all(0 <= stage.routes_out <= stage.routes_in for stage in explanation.funnel)
    assert explanation.funnel[-1].routes_out == 0


def test_the_funnel_thins_out_part_by_part(tmp_path: Path) -> None:
    docs = [
        post({"a": 1}),
        post({"a": 2}),
        {"request": {"path": "/o"}, "respond": {}},
        post({}, path="/elsewhere"),
    ]
    explanation = responder(tmp_path, *docs).explain(sent({"a": 3}), 1)
    assert [(stage.stage, stage.routes_in, stage.routes_out) for stage in explanation.funnel] == [
        ("address", 4, 3),
        ("json", 3, 1),
        ("method", 1, 0),
    ]


def test_without_routes_there_is_a_funnel_and_nothing_near(tmp_path: Path) -> None:
    served = responder(tmp_path, {"match": {"path": "/a"}, "respond": {}})
    assert_consistent(served.explain(request("/zzz"), 1), 1)
    empty = responder(tmp_path / "empty", {"request": {"path": "/x"}, "respond": {}})
    assert_consistent(empty.explain(request("/"), 1), 1)


# --- edits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "asked", "edit"),
    [
        (post({"a": 1, "at": 5}), sent({"a": 1, "at": 6}), {"set": {"ignore": ["json.at"]}}),
        (post({"a": 1}), sent({"a": 1, "at": 6}), {"set": {"ignore": ["json.at"]}}),
        (post({"a": 1, "at": 6}), sent({"a": 1}), {"set": {"ignore": ["json.at"]}}),
        (
            post({"a": 1, "at": 6}, ignore=["json.b"]),
            sent({"a": 1}, "/o?trace=1"),
            {"set": {"ignore": ["json.at", "json.b", "query.trace"]}},
        ),
        ({"request": {"path": "/a"}, "respond": {}}, request("/b"), {"set": {"request.path": "/b"}}),
        (
            {"request": {"path": "/a"}, "respond": {}},
            request("/b", "PUT"),
            {"set": {"request.method": "PUT", "request.path": "/b"}},
        ),
        (
            {"match": {"path": "/a/{x}", "query": {"n": {"gt": 3}}}, "respond": {}},
            request("/a/b?n=1"),
            {"set": {"match.query.n": "1"}},
        ),
        (
            {"match": {"path": "/a", "headers": {"X-Kind": "b"}}, "respond": {}},
            request("/a"),
            {"remove": ["match.headers.X-Kind"]},
        ),
        (
            {"match": {"path": "/a", "json": {"k": {"absent": True}}}, "respond": {}},
            sent({"k": {"gt": 3}}, "/a"),
            {"set": {"match.json.k": {"equals": {"gt": 3}}}},
        ),
    ],
)
def test_the_edit_changes_what_has_to_be_changed(tmp_path: Path, route: Any, asked: Request, edit: Any) -> None:
    assert nearest(responder(tmp_path, route), asked).edit == edit


def test_a_body_where_there_was_none_takes_a_new_request(tmp_path: Path) -> None:
    route = {"request": {"method": "POST", "path": "/o"}, "respond": {}}
    edit: Any = nearest(responder(tmp_path, route), sent({"a": 1})).edit
    assert edit == {"set": {"request.json.a": 1}}


NAMES = st.sampled_from(["a", "b", "x.y", "in", "é", "0"])
SCALARS = st.sampled_from([1, 2, 1.5, True, None, "1", "", "{t}", "Ä", 10**20])
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=2) | st.dictionaries(NAMES, below, max_size=3), max_leaves=6
)
TARGETS = st.sampled_from(["/o", "/o/", "/p", "/o?q=1", "/o?q=2&r=", "/o?q=1&q=1", "/%7Bx%7D", "/o?a.b=1"])
LINES = st.lists(st.sampled_from(["X-A: 1", "X-A: 2", "x-b: y", f"Authorization: Bearer {SECRET}"]), max_size=2)
REQUESTS = st.builds(
    lambda target, method, lines, body: request(
        target, method, "|".join(lines), b"" if body is None else json.dumps(body).encode()
    ),
    TARGETS,
    st.sampled_from(["GET", "POST"]),
    LINES,
    st.none() | VALUES,
)
DEMANDS = st.sampled_from(
    [
        {"gt": 1},
        {"regex": "^z"},
        "1",
        {"absent": True},
        {"any_of": ["1", "2"]},
        {"not": {"any": None}},
        {"uuid": None},
    ]
)
MATCHES = st.fixed_dictionaries(
    {"path": st.sampled_from(["/o", "/{p}", "/none"]) | st.just({"suffix": "z"})},
    optional={
        "method": st.sampled_from(["GET", "PUT"]),
        "query": st.dictionaries(st.sampled_from(["q", "r"]), DEMANDS, min_size=1),
        "headers": st.dictionaries(st.sampled_from(["X-A", "authorization"]), DEMANDS, min_size=1),
        "json": st.dictionaries(st.sampled_from(["a", "b"]), DEMANDS, min_size=1),
        "all_of": st.just([{"query": {"q": {"gt": 7}}}]),
    },
)


CONTEXT = Context(None, Noise(), lambda credential: credential)


def recorded(asked: Request) -> Any:
    """A route as the recorder writes it."""
    from svcmock_protocols.http import plugin
    from svcmock_protocols.http.messages import Reply

    return {"request": plugin.dump(asked, Reply(200, b"OK"), CONTEXT).request, "respond": {"status": 200}}


ROUTES = st.lists(
    REQUESTS.map(recorded) | MATCHES.map(lambda m: {"match": m, "respond": {}}), min_size=1, max_size=4
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(ROUTES, REQUESTS)
def test_every_edit_makes_its_route_answer(tmp_path: Path, routes: list[Any], asked: Request) -> None:
    served = responder(tmp_path, *routes)
    if served.answers(asked):
        return
    explanation = served.explain(asked, 7)
    assert_consistent(explanation, len(routes))
    assert SECRET not in msgspec.json.encode(explanation).decode()
    lines = {answer.line: answer.doc for answer in answers(served)}
    for near in explanation.nearest:
        assert near.failed
        assert 0 <= near.passed < near.of
        place = sorted(lines).index(int(near.route.rpartition(":")[2]))
        if near.edit is not None:
            changed = edited(routes[place], near.edit)
            assert responder(tmp_path, changed).answers(asked), (routes[place], near.edit)


def answers(served: Responder) -> list[Any]:
    index = served.index
    slots = [*index.exact.values(), *(s for ts in index.ignoring.values() for _, t in ts for s in t.values())]
    found = [one for slot in slots for one in (slot.found() if hasattr(slot, "found") else [slot])]
    found += [one for _, _, one in index.predicates.all]
    return [answer for one in found for answer in getattr(one, "answers", [one])]


# --- bounds and hostile input -------------------------------------------------------------------------


def test_long_values_are_cut_and_large_edits_left_out(tmp_path: Path) -> None:
    served = responder(tmp_path, post({"k": "short", "list": [1]}))
    near = nearest(
        served, sent({"k": "v" * 5000, "list": ["w" * 3000] * 3, "n": {str(i): i for i in range(500)}})
    )
    assert len(msgspec.json.encode(near)) < 3000
    many = nearest(served, sent({f"k{number}": number for number in range(5000)}))
    assert len(many.failed) == explain_module.MAX_DIFFERENCES
    assert len(msgspec.json.encode(many)) < 6000


@pytest.mark.parametrize(
    "body",
    [
        b'{"k": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"k": 1' + b"0" * 3000 + b"}",
        b'{"k": NaN}',
        b"[" * 5000,
        b'{"k": [["\\udfff"]]}',
        b"\xff\xfe",
        b'{"": {"": ""}}',
    ],
)
def test_any_body_can_be_explained_and_answered(tmp_path: Path, body: bytes) -> None:
    routes = [post({"k": 1}), {"match": {"path": "/o", "json": {"k": {"regex": "^z"}}}, "respond": {}}]
    served = responder(tmp_path, *routes)
    asked = request("/o", "POST", body=body)
    explanation = served.explain(asked, 1)
    assert len(explanation.nearest) == 2
    assert msgspec.json.decode(msgspec.json.encode(explanation))
    assert served.miss(asked, 1, explained=True).outcome.route is None


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=60))
def test_no_request_is_too_odd_for_an_explanation(
    tmp_path_factory: pytest.TempPathFactory, target: bytes, block: bytes, body: bytes
) -> None:
    asked = Request(b"POST", b"/" + target, b"1.1", b"X-Odd: " + block.replace(b"\n", b"") + b"\r\n", body)
    assert_consistent(ODD(tmp_path_factory).explain(asked, 1), 3)


_ODD: list[Responder] = []


def ODD(factory: pytest.TempPathFactory) -> Responder:  # noqa: N802
    if not _ODD:
        routes = [
            post({"k": 1}),
            {"match": {"path": "/{x}", "json": {"k": 1}}, "respond": {}},
            recorded(request("/a")),
        ]
        _ODD.append(responder(factory.mktemp("odd"), *routes))
    return _ODD[0]


def test_a_route_whose_body_is_gone_is_not_near(tmp_path: Path) -> None:
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "b.bin").write_bytes(b"body")
    route = {"request": {"method": "PUT", "path": "/f", "body": {"file": "b.bin"}}, "respond": {}}
    served = responder(tmp_path, route)
    (folder / "b.bin").unlink()
    explanation = served.explain(request("/f", "PUT", body=b"other", kind="text/plain"), 1)
    assert explanation.nearest == ()
    assert_consistent(explanation, 1)


def test_a_body_that_goes_after_an_explanation_is_not_near_in_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "b.bin").write_bytes(b"body")
    route = {"request": {"method": "PUT", "path": "/f", "body": {"file": "b.bin"}}, "respond": {}}
    served = responder(tmp_path, route)
    asked = request("/f", "PUT", body=b"other", kind="text/plain")
    assert len(served.explain(asked, 1).nearest) == 1
    (folder / "b.bin").unlink()
    assert served.explain(asked, 1).nearest == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(ROUTES, st.lists(REQUESTS, min_size=2, max_size=4))
def test_what_was_explained_before_makes_no_difference(
    tmp_path: Path, routes: list[Any], asked: list[Request]
) -> None:
    used = responder(tmp_path, *routes)
    explained = [used.explain(each, 1) for each in asked]
    assert explained == [responder(tmp_path, *routes).explain(each, 1) for each in asked]


def test_what_routes_demand_is_remembered_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_DEMANDS", 3)
    long = "x" * engine.DEMAND_MAX
    served = responder(tmp_path, *[post({"n": n}) for n in range(8)], post({"long": long}))
    first = served.explain(sent({"n": "none"}), 1)
    assert 0 < len(served._demands) <= 3
    assert not any(long in str(want) for want in served._demands.values())
    assert served.explain(sent({"n": "none"}), 1) == first


@pytest.mark.parametrize("kind", ["exact", "match", "query"])
def test_among_very_many_routes_few_are_read_and_the_near_one_is_found(tmp_path: Path, kind: str) -> None:
    count = 20_000
    lines = {
        "exact": lambda n: f'{{"request":{{"path":"/u/{n:05}"}},"respond":{{}}}}',
        "match": lambda n: f'{{"match":{{"path":"/u/{n:05}/{{x}}","query":{{"k":"1"}}}},"respond":{{}}}}',
        "query": lambda n: f'{{"request":{{"path":"/u","query":{{"id":"{n:05}"}}}},"respond":{{}}}}',
    }[kind]
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "many.jsonl").write_text("\n".join(map(lines, range(count))))
    served = responder(tmp_path, {"request": {"path": "/zzz"}, "respond": {}})
    asked = {"exact": "/u/07777?x=1", "match": "/u/07777/y?k=2", "query": "/u?id=07777&z=1"}[kind]
    read = []
    original = served._read

    def counted(answer: Any, files: Any) -> Any:
        read.append(answer)
        return original(answer, files)

    served._read = counted  # type: ignore[method-assign]
    explanation = served.explain(request(asked), 1)
    assert explanation.nearest[0].route == "routes/many.jsonl:7778"
    assert len(read) <= explain_module.MAX_CANDIDATES + explain_module.MAX_NEAREST
    assert_consistent(explanation, count + 1)
    assert len(msgspec.json.encode(explanation)) < 8000


# --- secrets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        request("/o", "POST", f"Authorization: Bearer {SECRET}|Cookie: session={SECRET}", b'{"k": 2}'),
        request(f"/o?access_token={SECRET}&q=1", "POST"),
        request("/o", "POST", body=json.dumps({"password": SECRET, "k": 1}).encode()),
        request("/u/1", headers=f"Authorization: Bearer {SECRET}"),
    ],
)
@pytest.mark.parametrize("keyed", [True, False])
def test_no_credential_is_quoted(tmp_path: Path, asked: Request, keyed: bool) -> None:
    routes = [
        post({"k": 1}),
        {"match": {"path": "/u/{id}", "headers": {"authorization": {"prefix": "Basic "}}}, "respond": {}},
        {"match": {"path": "/o", "query": {"access_token": "x"}}, "respond": {}},
    ]
    if keyed:
        routes.append(
            {"request": {"path": "/t", "headers": [["Authorization", "svcmock-" + "a" * 24]]}, "respond": {}}
        )
    served = responder(tmp_path, *routes)
    explanation = served.explain(asked, 1)
    assert explanation.nearest
    assert SECRET not in msgspec.json.encode(explanation).decode()
    decision = served.miss(asked, 1, explained=True, problem="a reason")
    assert SECRET.encode() not in decision.reply.body
    assert b"a reason" in decision.reply.body
