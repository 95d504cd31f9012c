"""Notifications from end to end of the plugin: their documents and keys, and how a session tells them."""

import msgspec
import pytest

from svcmock.protocol import Ask, Invalid, Publish, Send, Wake
from svcmock_protocols.postgres import asking, documents, plugin
from svcmock_protocols.postgres.messages import Notification, Options, Reply, Request, Result, failed
from svcmock_protocols.postgres.session import PostgresSession
from svcmock_protocols.postgres.shared import State, channel
from svcmock_protocols.postgres.standing import Standing
from tests.protocols.postgres import wire

GO = Notification("jobs", "go")
INSERT = Request("INSERT INTO t VALUES ($1)", ("a",), (25,))
DONE = Reply((Result(tag="INSERT 0 1"),))


# --- documents and keys ---


@pytest.mark.parametrize(
    ("request_", "reply", "docs"),
    [
        (
            Request(INSERT.sql, INSERT.params, INSERT.types, op="follows"),
            Reply(notifies=(GO,)),
            (
                {"follows": {"sql": INSERT.sql, "params": ["a"], "types": ["text"]}},
                {"notifies": [{"channel": "jobs", "payload": "go"}]},
            ),
        ),
        (
            Request("jobs", op="listen", number=3),
            Reply(notifies=(GO,), after=1.5),
            (
                {"listen": "jobs", "number": 3},
                {"notifies": [{"channel": "jobs", "payload": "go"}], "after": "1500ms"},
            ),
        ),
        (
            INSERT,
            Reply((Result(tag="INSERT 0 1"),), notifies=(GO,)),
            (
                {"sql": INSERT.sql, "params": ["a"], "types": ["text"]},
                {"notifies": [{"channel": "jobs", "payload": "go"}]},
            ),
        ),
    ],
)
def test_documents(request_, reply, docs):
    dumped = documents.dump(request_, reply)
    read = documents.request(msgspec.convert(dumped.request, documents.RequestDoc), wire.nofiles)
    assert read == request_
    assert documents.reply(msgspec.convert(dumped.respond, documents.ReplyDoc), wire.nofiles, read) == reply
    shown = {name: value for name, value in dumped.respond.items() if name != "tag"}
    assert (dumped.request, shown) == docs


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"follows": {"sql": "x"}, "listen": "jobs"}, ()),
        ({"follows": {"sql": "x"}, "sql": "x"}, ()),
        ({"follows": {"params": []}}, ("follows",)),
        ({"follows": {"sql": "x", "params": [1.5]}}, ("follows", "params", 0)),
        ({"follows": {"describe": "x"}}, ("follows",)),
        ({"follows": {"strange": 1}}, ("follows",)),
        ({"listen": "jobs", "number": -1}, ("number",)),
        ({"sql": "x", "number": 1}, ("number",)),
        ({"listen": "a\0b"}, ("listen",)),
    ],
)
def test_requests_that_mean_nothing(doc, at):
    with pytest.raises(Invalid) as caught:
        documents.request(msgspec.convert(doc, documents.RequestDoc), wire.nofiles)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"notifies": [{"payload": "x"}]}, ("notifies", 0)),
        ({"notifies": [{"channel": "a"}, {"channel": "a", "text": "x"}]}, ("notifies", 1)),
        ({"after": "soon"}, ("after",)),
        ({"after": -1}, ("after",)),
        ({"after": "99999999s"}, ("after",)),
    ],
)
def test_replies_that_mean_nothing(doc, at):
    with pytest.raises(Invalid) as caught:
        documents.reply(msgspec.convert(doc, documents.ReplyDoc), wire.nofiles, INSERT)
    assert caught.value.at == at


def test_each_is_found_by_what_it_follows():
    context = wire.context()
    channels = ("jobs", "JOBS", "jo  bs")
    requests = [
        INSERT,
        *[Request(INSERT.sql, (what,), op="follows", number=number) for what in "ab" for number in (0, 1)],
        *[Request(name, op="listen", number=number) for name in channels for number in (0, 1)],
    ]
    keys = [plugin.key(one, context) for one in requests]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(plugin.address(one) + b"\0") for key, one in zip(keys, requests, strict=True))
    same = Request("INSERT  INTO t VALUES ($1);", ("a",), (1043,), op="follows")
    assert plugin.key(same, context) == keys[1]


def test_fields():
    follows = Request("SELECT  1", op="follows")
    assert plugin.fields(follows, wire.context())["follows"] == "SELECT 1"
    assert not {"sql", "listen", "describe"} & set(plugin.fields(follows, wire.context()))
    listen = Request("jobs", op="listen")
    assert plugin.fields(listen, wire.context())["listen"] == "jobs"
    assert plugin.decisive(listen, wire.context()) == {"listen": "jobs"}


# --- sessions ---


def session(state: State) -> PostgresSession:
    return PostgresSession(Options(), Standing({}), state.key(), state)


def run(one: PostgresSession, data: bytes, replies: dict[Request, Reply], outs: list | None = None) -> list:
    """All that comes of it; what these do not answer is not to be had."""
    done, waiting = [], list(one.received(data) if outs is None else outs)
    while waiting:
        out = waiting.pop(0)
        done.append(out)
        if isinstance(out, Ask):
            waiting[:0] = one.answered(out, replies.get(out.request))
    return done


def asked(outs: list) -> list[str]:
    return [out.request.op for out in outs if isinstance(out, Ask)]


A, B, C = (Reply(notifies=(Notification("jobs", payload),)) for payload in "abc")
TURNS = [(A, B), (C, B), (C, B)]
"""What is found for each number, in three runs of a statement."""
STATEMENT = wire.parse(INSERT.sql, "", (25,)) + wire.bind((b"a",)) + wire.execute() + wire.SYNC
FOLLOWING = {
    INSERT: DONE,
    Request(INSERT.sql, ("a",), (25,), op="follows"): Reply(notifies=(GO,)),
    Request(INSERT.sql, ("a",), (25,), op="follows", number=1): Reply(notifies=(Notification("jobs", "on"),)),
}


def test_what_follows_is_asked_for_while_somebody_listens():
    state = State()
    ear, one = session(state), session(state)
    assert asked(run(one, STATEMENT, FOLLOWING)) == ["query"]
    rest = one.at_rest
    run(ear, wire.query("LISTEN jobs"), {})
    assert one.at_rest not in (rest, None)
    outs = run(one, STATEMENT, FOLLOWING)
    assert asked(outs) == ["query", *["follows"] * 3]
    told = [out.topic for out in outs if isinstance(out, Publish)]
    assert told == [channel("jobs")] * 2
    ear.closed()
    assert one.at_rest == rest


def test_nobody_is_told_before_the_commit():
    state = State()
    run(session(state), wire.query("LISTEN jobs"), {})
    one = session(state)
    for end, count in ((b"ROLLBACK", 0), (b"COMMIT", 2)):
        outs = run(one, wire.query("BEGIN"), {}) + run(one, STATEMENT, FOLLOWING)
        assert not [out for out in outs if isinstance(out, Publish)]
        outs = run(one, wire.query(end.decode()), {})
        assert sum(isinstance(out, Publish) for out in outs) == count


def test_a_failure_is_followed_by_nothing():
    state = State()
    run(session(state), wire.query("LISTEN jobs"), {})
    outs = run(session(state), STATEMENT, {**FOLLOWING, INSERT: failed("23505", "twice")})
    assert asked(outs) == ["query"]


def test_what_was_recorded_before_types_were_known_follows_too():
    state = State()
    run(session(state), wire.query("LISTEN jobs"), {})
    when = Request("INSERT INTO t VALUES ($1)", ("2024-01-01",), (1184,))
    untyped = Request(when.sql, when.params, (), op="follows")
    data = wire.parse(when.sql, "", (1184,)) + wire.bind((b"2024-01-01",)) + wire.execute() + wire.SYNC
    outs = run(session(state), data, {when: DONE, untyped: Reply(notifies=(GO,))})
    assert asked(outs) == ["query", "follows", "follows", "follows"]
    assert sum(isinstance(out, Publish) for out in outs) == 1


def test_a_run_that_notified_less_than_the_one_before():
    """Replies take turns, and the last of them stays: that of another run does not follow here."""
    state = State()
    run(session(state), wire.query("LISTEN jobs"), {})
    one = session(state)
    asks = [Request(INSERT.sql, ("a",), (25,), None, "follows", number) for number in (0, 1)]
    turns = [{INSERT: DONE, **dict(zip(asks, turn, strict=True))} for turn in TURNS]
    told = [[out.message for out in run(one, STATEMENT, turn) if isinstance(out, Publish)] for turn in turns]
    assert [[message[-2:-1] for message in each] for each in told] == [[b"a", b"b"], [b"c"], [b"c", b"b"]]


def test_there_is_an_end_to_what_follows(monkeypatch):
    monkeypatch.setattr(asking, "MAX_FOLLOWING", 1)
    state = State()
    run(session(state), wire.query("LISTEN jobs"), {})
    assert asked(run(session(state), STATEMENT, FOLLOWING)) == ["query", "follows"]


def test_what_follows_a_listen_comes_when_the_client_is_ready():
    one = session(State())
    first = Request("jobs", op="listen")
    outs = run(one, wire.query("LISTEN jobs"), {first: Reply(notifies=(GO,), after=2.0)})
    (wake,) = [out for out in outs if isinstance(out, Wake)]
    assert wake.after == 2.0
    run(one, wire.query("BEGIN"), {})
    assert not [out for out in one.woke(wake.token) if isinstance(out, Send)]
    told = wire.sent(run(one, wire.query("ROLLBACK"), {}))
    assert wire.message(b"A", wire.i32(0), b"jobs\0go\0") in told
