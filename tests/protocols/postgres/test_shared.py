"""What connections share."""

from svcmock_protocols.postgres import shared
from svcmock_protocols.postgres.shared import State, cancelling, channel
from svcmock_protocols.postgres.types import Types
from svcmock_protocols.postgres.types.declared import Declared


def test_no_two_connections_have_the_same_key():
    state = State()
    keys = {state.key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(secret) == 4 for _, secret in keys)
    assert State().key() == State().key()


def test_what_is_told_again_is_no_news():
    state = State()
    told = [("x", 1), ("x", 1), ("y", 1), ("x", 2), ("x", 1)]
    assert [state.news(sql, what) for sql, what in told] == [True, False, True, True, True]


def test_types_that_are_not_said_are_those_of_before():
    state = State()
    assert state.types("x", (0, 23)) == (0, 23)
    assert state.types("x", (25, 0)) == (25, 23)
    assert state.types("x", (0, 0)) == (25, 23)
    assert state.types("x", (0,)) == (0,)


def test_topics_do_not_meet():
    assert len({cancelling(1, b"abcd"), cancelling(1, b"abce"), channel("1"), channel("cancel")}) == 4


def test_types_that_a_server_tells_of():
    state = State()
    mood, moods = Declared(16400, "mood", "enum"), Declared(16401, "_mood", "array", of=16400)
    assert state.made_of([23, 16401]) == {16401}
    assert state.declare(moods)
    assert not state.declare(moods)
    assert state.made_of([16401]) == {16400, 16401}
    assert not state.known.known(16401)
    assert state.declare(mood)
    assert state.known.known(16401)
    state.school(Types([Declared(16400, "other", "enum")]))
    assert state.known.name(16400) == "mood"
    known = Types([mood])
    new = State()
    new.school(known)
    assert new.known is known


def test_what_is_given_is_known_by_itself(monkeypatch):
    state, one = State(), ["reply"]
    assert [state.first(each) for each in (one, one, ["reply"])] == [True, False, True]
    monkeypatch.setattr(shared, "MAX_GIVEN", 0)
    other = ["reply"]
    assert [state.first(each) for each in (one, other, other)] == [False, True, True]
