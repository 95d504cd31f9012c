"""Decisions: turns, policies, templates, delays, credentials, and what cannot be answered."""

from pathlib import Path
from typing import Any

import pytest

from svcmock.engine import Responder, Unservable
from svcmock.project import load
from svcmock.recording import ANY_CREDENTIAL, load_or_create_key, tokenizer
from svcmock.turns import LocalTurns
from svcmock_protocols.http import HttpPlugin
from tests.routes import project, request, responder


def route(status: int, path: str = "/", **more: Any) -> Any:
    return {"request": {"path": path}, "respond": {"status": status}, **more}


def said(served: Responder, path: str = "/", times: int = 1) -> list[int]:
    decisions = [served.decide(request(path)) for _ in range(times)]
    return [0 if decision is None else decision.reply.status for decision in decisions]


# --- turns --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("sequence", [201, 202, 203, 203, 203]),
        ("cycle", [201, 202, 203, 201, 202]),
        ("once", [201, 202, 203, 0, 0]),
    ],
)
def test_several_answers_follow_each_other_by_policy(tmp_path: Path, policy: str, expected: list[int]) -> None:
    docs = [route(201), route(202), route(203)]
    assert said(responder(tmp_path, *docs, service=f"policy: {policy}"), times=5) == expected
    docs[0]["policy"] = policy
    assert said(responder(tmp_path, *docs), times=5) == expected


def test_only_what_sticks_is_fixed(tmp_path: Path) -> None:
    served = responder(tmp_path, route(201), route(202))
    decisions = [served.decide(request("/")) for _ in range(3)]
    assert [decision and decision.fixed for decision in decisions] == [False, True, True]
    assert [decision and decision.outcome.route for decision in decisions] == [
        "routes/shop.yaml:2",
        "routes/shop.yaml:5",
        "routes/shop.yaml:5",
    ]


def test_random_answers_are_repeatable_and_differ_by_seed(tmp_path: Path) -> None:
    docs = [route(status) for status in range(200, 220)]
    runs = [
        said(responder(tmp_path, *docs, service=f"policy: random, seed: {seed}"), times=12)
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) > 3


@pytest.mark.parametrize("policy", ["sequence", "cycle", "random"])
def test_answers_that_are_all_alike_need_no_turns(tmp_path: Path, policy: str) -> None:
    docs = [route(200, recorded={"at": f"2026-01-0{day}T00:00:00Z"}) for day in (1, 2, 3)]
    served = responder(tmp_path, *docs, service=f"policy: {policy}")
    decisions = [served.decide(request("/")) for _ in range(3)]
    assert all(decision is not None and decision.fixed for decision in decisions)
    assert isinstance(served.turns, LocalTurns)
    assert served.turns.taken == {}


@pytest.mark.parametrize(
    "other",
    [
        route(200, delay="20ms"),
        {"request": {"path": "/"}, "respond": {"status": 200, "json": 1}},
        {"request": {"path": "/"}, "respond": {"status": 200}, "template": True},
        route(200, policy="once"),
        {"request": {"path": "/"}, "respond": {"status": 200, "json": {"b": 2, "a": 1}}},
    ],
)
def test_answers_that_differ_in_anything_take_turns(tmp_path: Path, other: Any) -> None:
    first: Any = {"request": {"path": "/"}, "respond": {"status": 200}}
    if "json" in other["respond"]:
        first["respond"]["json"] = True if other["respond"]["json"] == 1 else {"a": 1, "b": 2}
    decision = responder(tmp_path, first, other).decide(request("/"))
    assert decision is not None
    assert not decision.fixed


def test_a_reload_keeps_the_turns_of_what_it_did_not_change(tmp_path: Path) -> None:
    kept, changed = [route(201), route(202), route(203)], [route(211, "/c"), route(212, "/c")]
    served = responder(tmp_path, *kept, *changed)
    assert said(served) + said(served, "/c") == [201, 211]
    after = responder(
        tmp_path, *kept, route(211, "/c"), route(213, "/c"), route(220, "/new"), turns=served.turns
    )
    assert said(after) + said(after, "/c") == [202, 211]


def test_services_with_equal_routes_count_each_by_itself(tmp_path: Path) -> None:
    root = project(tmp_path, route(201, policy="once"), route(202))
    graph = "version: 1\nservices:\n"
    for name in ("shop", "other"):
        graph += f"  {name}: {{listen: 0, protocol: http, routes: routes/}}\n"
    (root / "svcmock.yaml").write_text(graph)
    responders = load(root, {"http": HttpPlugin()}, LocalTurns()).responders
    assert said(responders["shop"], times=3) == [201, 202, 0]
    assert said(responders["other"], times=3) == [201, 202, 0]


@pytest.mark.parametrize(
    ("policy", "expected"), [("sequence", [201, 202, 203, 203]), ("cycle", [201, 202, 203, 201]),
                             ("once", [201, 202, 203, 0]), ("random, seed: 3", None)]
)  # fmt: skip
def test_several_who_count_together_answer_as_one(
    tmp_path: Path, policy: str, expected: list[int] | None
) -> None:
    docs = [route(201), route(202), route(203)]
    turns = LocalTurns()
    several = [responder(tmp_path, *docs, service=f"policy: {policy}", turns=turns) for _ in range(2)]
    alone = responder(tmp_path, *docs, service=f"policy: {policy}")
    together = [status for _ in range(2) for each in several for status in said(each)]
    assert together == said(alone, times=4)
    assert expected in (None, together)


def test_another_policy_begins_anew(tmp_path: Path) -> None:
    turns = LocalTurns()
    docs = [route(201), route(202)]
    assert said(responder(tmp_path, *docs, turns=turns), times=3) == [201, 202, 202]
    assert said(responder(tmp_path, *docs, service="policy: once", turns=turns), times=3) == [201, 202, 0]


def test_used_up_answers_are_a_miss_that_says_so(tmp_path: Path) -> None:
    served = responder(tmp_path, route(201, policy="once"), route(202))
    assert served.answers(request("/"))
    assert said(served, times=3) == [201, 202, 0]
    assert not served.answers(request("/"))
    assert served.explain(request("/"), 1).hints[0] == "all 2 recorded answers were used up (policy: once)"
    assert b"used up" in served.miss(request("/"), 1, explained=True).reply.body


def test_a_hint_of_used_up_answers_is_not_given_while_some_are_left(tmp_path: Path) -> None:
    served = responder(tmp_path, route(201, policy="once"))
    assert served.explain(request("/"), 1).hints == ()


# --- replies ------------------------------------------------------------------------------------------


def test_a_delay_is_told_and_never_fixed(tmp_path: Path) -> None:
    decision = responder(tmp_path, route(200, delay="20ms")).decide(request("/"))
    assert decision is not None
    assert (decision.delay, decision.fixed) == (0.02, False)


UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_a_template_gets_what_captures_bound(tmp_path: Path) -> None:
    match = {"path": "/u/{name}", "headers": {"X-Id": {"uuid": "id"}}, "query": {"n": {"int": "n"}}}
    respond = {
        "status": 200,
        "json": {"id": "{{id}}", "name": "{{name}}", "n": "{{n}}", "how": "{{request.method}}"},
    }
    served = responder(tmp_path, {"match": match, "respond": respond, "template": True})
    decision = served.decide(request("/u/ann?n=7", headers=f"X-Id: {UUID}"))
    assert decision is not None
    assert not decision.fixed
    body = decision.reply.body
    assert UUID.encode() in body
    assert b"ann" in body
    assert b"GET" in body
    again = served.decide(request("/u/bob?n=8", headers=f"X-Id: {UUID}"))
    assert again is not None
    assert b"bob" in again.reply.body


def test_a_route_that_cannot_answer_says_why_once_and_again(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "b.bin").write_bytes(b"x")
    served = responder(tmp_path, {"request": {"path": "/"}, "respond": {"body": {"file": "b.bin"}}})
    (tmp_path / "routes" / "b.bin").unlink()
    for _ in range(2):
        with pytest.raises(
            Unservable, match=r"route routes/shop.yaml:2 cannot answer: respond.*there is no file"
        ):
            served.decide(request("/"))
    reply = served.miss(request("/"), 1, explained=False, problem="route x cannot answer: gone").reply
    assert b"cannot answer: gone" in reply.body


def test_an_unexplained_miss_names_where_to_look(tmp_path: Path) -> None:
    decision = responder(tmp_path, route(200)).miss(request("/zzz"), 12, explained=False)
    assert decision.reply.status == 501
    assert not decision.fixed
    assert decision.outcome.route is None
    assert b"svcmock why m-12" in decision.reply.body
    assert b'"nearest"' not in decision.reply.body


@pytest.mark.parametrize("number", [10**30, -(10**25)])
def test_numbers_of_any_size_are_served_and_matched(tmp_path: Path, number: int) -> None:
    docs: list[Any] = [
        {
            "request": {"method": "POST", "path": "/n", "json": {"n": number}},
            "respond": {"json": {"n": number}},
        },
        {"match": {"path": "/m", "json": {"n": number}}, "respond": {"status": 204}},
    ]
    served = responder(tmp_path, *docs)
    body = b'{"n": %d}' % number
    exact = served.decide(request("/n", "POST", body=body))
    matched = served.decide(request("/m", "POST", body=body))
    assert exact is not None
    assert str(number).encode() in exact.reply.body
    assert matched is not None
    assert served.explain(request("/n", "POST", body=b'{"n": 1}'), 1).nearest[0].failed[0].want == str(number)


# --- credentials --------------------------------------------------------------------------------------


def recorded_with(token: bytes) -> Any:
    return {"request": {"path": "/me", "headers": [["Authorization", b"Bearer ".decode() + token.decode()]]},
            "respond": {"status": 200}}  # fmt: skip


def test_a_live_credential_matches_the_token_it_was_recorded_as(tmp_path: Path) -> None:
    key_file = tmp_path / ".svcmock" / "redaction.key"
    key_file.parent.mkdir()
    token = tokenizer(load_or_create_key(key_file))(b"the-real-credential")
    served = responder(tmp_path, recorded_with(token))
    assert served.decide(request("/me", headers="Authorization: Bearer the-real-credential")) is not None
    assert served.decide(request("/me", headers=f"Authorization: Bearer {token.decode()}")) is not None
    assert served.decide(request("/me", headers="Authorization: Bearer another-credential")) is None
    assert served.decide(request("/me")) is None


def test_without_the_key_any_credential_matches_and_none_does_not(tmp_path: Path) -> None:
    served = responder(tmp_path, recorded_with(b"svcmock-" + b"a" * 24))
    assert tokenizer(None)(b"x") == ANY_CREDENTIAL
    assert served.decide(request("/me", headers="Authorization: Bearer whatever-it-is")) is not None
    assert served.decide(request("/me")) is None


def test_predicates_take_a_credential_as_sent_and_as_recorded(tmp_path: Path) -> None:
    match = {"path": "/p", "headers": {"authorization": {"equals": "Bearer the-real-credential"}}}
    plain: Any = {"match": match, "respond": {"status": 200}}
    asked = request("/p", headers="Authorization: Bearer the-real-credential")
    other = request("/p", headers="Authorization: Bearer another-credential")
    for docs in ([plain], [plain, recorded_with(b"svcmock-" + b"a" * 24)]):
        served = responder(tmp_path, *docs)
        assert served.decide(asked) is not None
        assert served.answers(asked)
        assert served.decide(other) is None


@pytest.mark.parametrize(
    "respond",
    [
        {"body": "{{request.json.a}}"},
        {"body": {"file": "{{request.json.a}}"}},
        {"headers": [["{{request.json.a}}", "1"]]},
        {"headers": {"X": "{{request.json.a}}"}},
        {"json": {"a": "{{request.json.a}}"}},
        {"reason": "{{request.json.a}}"},
    ],
)
def test_a_lone_surrogate_in_a_request_makes_its_answer_unservable_and_nothing_worse(
    tmp_path: Path, respond: dict[str, Any]
) -> None:
    served = responder(tmp_path, {"match": {"path": "/e"}, "respond": respond, "template": True})
    with pytest.raises(Unservable, match="cannot answer"):
        served.decide(request("/e", method="POST", body=rb'{"a":"\ud800"}'))


def test_a_miss_looks_for_credentials_once(tmp_path: Path) -> None:
    """An unfolded body of megabytes takes seconds to look through."""
    looked = 0

    class Counting(HttpPlugin):
        def redact(self, request: Any, context: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().redact(request, context)

    loaded = load(project(tmp_path, route(200)), {"http": Counting()})
    served = loaded.responders["shop"]
    asked = request("/zzz", headers="Authorization: Bearer 0123456789")
    assert served.decide(asked) is None
    looked = 0
    served.miss(asked, 1, explained=False)
    served.miss(asked, 1, explained=False)
    assert looked == 1
