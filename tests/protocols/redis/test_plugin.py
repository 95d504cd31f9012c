"""The plugin object: what the daemon learns about Redis through the contract."""

from pathlib import Path

import pytest

import svcmock_protocols.redis
from svcmock.capabilities import Ending, Hearing, Schooled, Sharing
from svcmock.protocol import Context, Explanation, Invalid, Plugin, Upstream
from svcmock_protocols.redis import plugin
from svcmock_protocols.redis.canonical import NAMES
from svcmock_protocols.redis.documents import ReplyDoc, RequestDoc
from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.messages import Options, Reply, Request, Simple
from tests.protocols.redis.making import asked, context, token
from tests.protocols.redis.test_facts import Files
from tests.protocols.redis.test_writing import Bodies


def members(protocol):
    return {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}


def test_it_has_every_member_of_the_contract():
    assert [name for name in sorted(members(Plugin)) if not hasattr(plugin, name)] == []
    assert plugin.name == "redis"
    assert plugin.tls_schemes <= set(plugin.schemes)
    assert isinstance(plugin, Sharing)
    assert isinstance(plugin, Schooled)
    session = plugin.session(context())
    assert isinstance(session, Hearing)
    assert isinstance(session, Ending)
    assert plugin.tap(context(), Upstream("redis://db:6379", "db:6379")) is not None


@pytest.mark.parametrize("head", [b"", b"*", b"*1", b"*1\r", b"*1\r\n", b"*1\r\n$4\r\nPING\r\n", b"*12\r\n$"])
def test_openings_of_redis(head):
    assert plugin.sniff(head)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n", b"PING\r\n", b"*x", b"*1\r\nx", b"*\r\n$", b"\x16\x03\x01", b"\0\0\0\x08"]
)
def test_openings_of_something_else(head):
    assert not plugin.sniff(head)


def test_documents_pass_through_the_contract():
    made = plugin.dump(asked("GET a"), Reply(b"1"), context())
    assert (made.request, made.respond) == ({"command": "GET a"}, {"value": "1"})
    assert plugin.request(RequestDoc(**made.request), Bodies(), context()) == asked("GET a")
    assert plugin.reply(ReplyDoc(**made.respond), Bodies(), context(), None) == Reply(b"1", b"$1\r\n1\r\n")
    assert not plugin.tied(ReplyDoc(value="1"))


def test_matching_passes_through_the_contract():
    request = asked("GET user:42", 1)
    assert plugin.key(request, context()) == b"GET\0user:42\x001"
    assert plugin.key(request, context()).startswith(plugin.address(request) + b"\0")
    assert plugin.conditions(request, context()) == {}
    assert plugin.present(request, ("a",), context()) == (None,)
    assert plugin.fields(request, context())["key"] == "user:42"
    assert plugin.decisive(request, context()) == {"command": "GET", "args": ["user:42"], "db": 1}
    assert plugin.redact(Request((b"AUTH", b"x")), context()) == Request((b"AUTH", token(b"")))


def test_lines_of_a_log():
    assert plugin.summary(asked("GET a")) == "GET a"
    assert plugin.outcome(Reply(Simple(b"OK"))) == "OK"
    known = Explanation("m-1", "s", "redis", "GET a", see="svcmock why m-1")
    assert b"no recorded reply for GET a" in plugin.miss(asked("GET a"), known, context()).value.text


def test_what_is_known_of_the_server():
    assert plugin.sources(Options()) == ()
    assert plugin.schema(Options(), Files()) == Facts()
    with pytest.raises(Invalid):
        plugin.schema(Options(announce="nowhere"), Files())


def test_a_context_without_options_or_state_is_borne():
    bare = Context(None, context().ignore, token)
    assert plugin.session(bare).opened() == ()


# --- the README ---------------------------------------------------------------------------------------

README = (Path(svcmock_protocols.redis.__file__).parent / "README.md").read_text()


@pytest.mark.parametrize("struct", [RequestDoc, ReplyDoc, Options])
def test_the_readme_describes_every_member(struct):
    assert [name for name in struct.__struct_fields__ if f"`{name}`" not in README] == []


def test_the_readme_names_fields_and_errors():
    assert [name for name in (*NAMES, *plugin.faults) if f"`{name}`" not in README] == []
