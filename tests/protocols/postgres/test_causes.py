"""Which statement a notification follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.postgres import causes
from svcmock_protocols.postgres.causes import Causes
from svcmock_protocols.postgres.messages import Notification, Request

EAR, BACKEND, STRANGER = 1, 2, 3
GO, STOP = Notification("jobs", "go"), Notification("jobs", "stop")
INSERT, DELETE = Request("INSERT"), Request("DELETE")


@pytest.fixture
def known() -> Causes:
    """One connection listens, another one asks."""
    made = Causes()
    made.joined(EAR)
    made.joined(BACKEND)
    made.listens(EAR, "jobs")
    return made


def follows(request: Request, number: int = 0) -> Request:
    return Request(request.sql, op="follows", number=number)


def test_what_comes_after_the_commit_was_seen(known):
    known.busy(BACKEND)
    assert known.committed(BACKEND, INSERT, ()) == []
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT), GO)]
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT, 1), GO)]


def test_what_comes_before_it_was_seen(known):
    known.busy(BACKEND)
    assert known.heard(EAR, BACKEND, GO) == []
    assert known.heard(EAR, BACKEND, STOP) == []
    told = [(follows(INSERT), GO), (follows(INSERT, 1), STOP)]
    assert known.committed(BACKEND, INSERT, ()) == told


def test_what_was_not_committed_causes_nothing(known):
    known.committed(BACKEND, INSERT, ())
    known.busy(BACKEND)
    known.heard(EAR, BACKEND, GO)
    assert known.ready(BACKEND) == [(follows(INSERT), GO)]
    known.committed(BACKEND, None, ())
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT, 1), GO)]
    known.committed(BACKEND, DELETE, ())
    assert known.heard(EAR, BACKEND, GO) == [(follows(DELETE), GO)]


@pytest.mark.parametrize("first", ["heard", "committed"])
def test_what_a_client_notified_itself_is_not_recorded(known, first):
    known.busy(BACKEND)
    steps = [lambda: known.heard(EAR, BACKEND, GO), lambda: known.committed(BACKEND, INSERT, (GO, GO))]
    for step in steps if first == "heard" else steps[::-1]:
        assert step() == []
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT), GO)]  # that was a trigger


def test_strangers(known):
    assert known.heard(EAR, STRANGER, GO) is None
    assert known.heard(EAR, BACKEND, GO) is None  # it has done nothing that is known
    known.committed(BACKEND, INSERT, ())
    known.left(BACKEND)
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT), GO)]


def test_two_that_hear_the_same(known):
    known.joined(STRANGER)
    known.listens(STRANGER, "jobs")
    known.committed(BACKEND, INSERT, ())
    assert known.heard(STRANGER, BACKEND, GO) == []
    assert len(known.heard(EAR, BACKEND, GO)) == 1
    known.unlistens(EAR, "jobs")
    assert len(known.heard(STRANGER, BACKEND, GO)) == 1
    known.unlistens(STRANGER, "*")
    assert len(known.heard(EAR, BACKEND, GO)) == 1  # it must have listened in a way that was not seen


def test_limits(known, monkeypatch):
    monkeypatch.setattr(causes, "MAX_BACKENDS", 2)
    monkeypatch.setattr(causes, "MAX_WAITING", 2)
    monkeypatch.setattr(causes, "MAX_CAUSE", 2)
    known.busy(BACKEND)
    for _ in range(3):
        known.heard(EAR, BACKEND, GO)
    assert len(known.committed(BACKEND, INSERT, ())) == 2
    assert known.committed(BACKEND, Request("COPY", copy=b"abc"), ()) == []
    assert known.heard(EAR, BACKEND, GO) == [(follows(INSERT, 2), GO)]
    for pid in (4, 5, 0):
        known.joined(pid)
    assert known.heard(EAR, BACKEND, GO) is None
    known.busy(BACKEND)
    assert known.committed(BACKEND, INSERT, ()) == known.ready(BACKEND) == []


STEPS = st.lists(st.sampled_from(["ask", "commit", "fail", "hear", "own"]), max_size=40)


@given(STEPS)
def test_each_notification_is_recorded_once_whenever_it_comes(steps):
    """The server's order is kept; what a client notified itself is left out; nothing follows what failed."""
    known = Causes()
    known.joined(EAR)
    known.joined(BACKEND)
    known.listens(EAR, "jobs")
    known.committed(BACKEND, Request("first"), ())
    coming: list[Notification] = []
    heard: list[Notification] = []
    told: list[tuple[Request, Notification]] = []
    busy = False
    for count, step in enumerate(steps, 1):
        notification = Notification("jobs", str(count))
        if step == "hear" and coming:
            heard.append(coming.pop(0))
            told += known.heard(EAR, BACKEND, heard[-1]) or []
        elif step == "ask" and not busy:
            known.busy(BACKEND)
            busy = True
        elif step in ("commit", "own") and busy:
            # the server tells the others before it tells the client that it has committed, or later
            coming.append(notification)
            if count % 2:
                heard += coming
                told += [one for each in coming for one in known.heard(EAR, BACKEND, each) or []]
                coming.clear()
            own = (notification,) if step == "own" else ()
            told += known.committed(BACKEND, Request(f"INSERT {count}"), own)
            busy = False
        elif step == "fail" and busy:
            told += known.ready(BACKEND)
            busy = False
    if busy:
        told += known.ready(BACKEND)
    told += [one for each in coming for one in known.heard(EAR, BACKEND, each) or []]
    recorded = [notification for _, notification in told]
    assert sorted(recorded, key=_number) == recorded
    assert len(set(recorded)) == len(recorded)
    assert all(request.op == "follows" for request, _ in told)
    assert len({(request.sql, request.number) for request, _ in told}) == len(told)
    made = {str(number) for number, step in enumerate(steps, 1) if step == "commit"}
    assert {one.payload for one in recorded} <= made
    assert {one.payload for one in [*heard, *coming]} & made == {one.payload for one in recorded}


def _number(notification: Notification) -> int:
    return int(notification.payload)
