"""The plugin object: what the daemon learns about PostgreSQL through the contract."""

import pytest

from svcmock.capabilities import Conversing, Schooled, Sharing
from svcmock.protocol import Explanation, Plugin, Upstream
from svcmock_protocols.postgres import plugin
from svcmock_protocols.postgres.messages import Column, Reply, Request, Result, failed
from svcmock_protocols.postgres.shared import State
from tests.protocols.postgres import wire


def test_it_has_every_member_of_the_contract():
    members = {*Plugin.__annotations__, *(name for name in vars(Plugin) if not name.startswith("_"))}
    assert [name for name in sorted(members) if not hasattr(plugin, name)] == []
    assert isinstance(plugin, Sharing)
    assert isinstance(plugin, Schooled)
    assert isinstance(plugin, Conversing)
    assert isinstance(plugin.state(None), State)
    assert plugin.sources(None) == ()


@pytest.mark.parametrize("opening", [wire.SSL, wire.GSSENC, wire.startup(), wire.startup(3 << 16 | 2)])
def test_openings_of_postgresql(opening):
    assert all(plugin.sniff(opening[:size]) for size in range(len(opening) + 1))


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"*1\r\n$4\r\n", b"\0\0\0\4\0\3", b"\0\0\0\x10\0\2\0\0"]
)
def test_openings_of_something_else(head):
    assert not plugin.sniff(head)


def test_a_log_line_names_the_statement_and_the_outcome():
    assert plugin.summary(Request("SELECT\n  1 -- x")) == "SELECT 1"
    assert plugin.summary(Request("SELECT 1", op="describe")) == "describe SELECT 1"
    assert len(plugin.summary(Request("x" * 1000))) == 200
    assert plugin.outcome(Reply((Result(tag="SELECT 1"),))) == "SELECT 1"
    assert plugin.outcome(failed("23505", "m")) == "23505"
    assert plugin.outcome(Reply(types=())) == "described"
    assert plugin.outcome(Reply()) == "nothing"


def test_it_ties_the_modules_together():
    context = wire.context()
    asked = Request("SELECT 1")
    reply = Reply((Result((Column("a"),), (("1",),), "SELECT 1"),))
    documents = plugin.dump(asked, reply, context)
    doc = plugin.RequestDoc(**documents.request)
    assert plugin.request(doc, wire.nofiles, context) == asked
    respond = plugin.ReplyDoc(**documents.respond)
    assert plugin.reply(respond, wire.nofiles, context, asked) == reply
    assert plugin.tied(respond)
    assert plugin.key(asked, context).startswith(plugin.address(asked) + b"\0")
    assert plugin.conditions(asked, context) == {}
    assert plugin.present(asked, (), context) == ()
    assert plugin.fields(asked, context)["sql"] == "SELECT 1"
    assert plugin.decisive(asked, context) == {"sql": "SELECT 1"}
    assert plugin.redact(asked, context) is asked
    assert plugin.miss(asked, Explanation("m-1", "db", "postgres", "x"), context).failure.get("C") == "58000"
    assert plugin.parts(asked, reply, context)[0] is asked
    assert plugin.part(asked, reply, 0) is reply
    assert plugin.session(context).at_rest is None
    assert plugin.tap(context, Upstream("postgres://h", "h")) is not None
