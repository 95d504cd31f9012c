"""The plugin object: what the daemon learns about HTTP through the contract."""

from pathlib import Path

import pytest

import svcmock_protocols.http
from svcmock.noise import Noise
from svcmock.protocol import Context, Explanation, Plugin
from svcmock_protocols.http import plugin
from svcmock_protocols.http.codec import STRICTER_THAN_H11
from svcmock_protocols.http.fields import NAMES
from svcmock_protocols.http.messages import Options, Reply, Request


def members(protocol):
    return {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}


def test_it_has_every_member_of_the_contract():
    assert [name for name in sorted(members(Plugin)) if not hasattr(plugin, name)] == []
    assert plugin.name == "http"
    assert plugin.tls_schemes <= set(plugin.schemes)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"G",
        b"GET",
        b"GET ",
        b"GET /a",
        b"GET /a ",
        b"GET /a HT",
        b"GET /a HTTP/1.1",
        b"GET /a HTTP/1.1\r\nHost: x\r\n",
        b"M-SEARCH * HTTP/1.1\r\n",
        b"GET http://x/ HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_openings_of_http(head):
    assert plugin.sniff(head)


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01",
        b"\0\0\0\x08\x04\xd2\x16/",
        b"*1\r\n$4\r\nPING\r\n",
        b"EHLO client.example\r\n",
        b"get key\r\n",
        b"GET  /a",
        b" GET",
        b"GET /a b",
        b"X" * 40,
        b"\r\n",
    ],
)
def test_openings_of_something_else(head):
    assert not plugin.sniff(head)


def test_a_log_line_names_method_and_path_but_no_query():
    assert plugin.summary(Request(b"GET", b"/users/42?access_token=secret")) == "GET /users/42"
    assert len(plugin.summary(Request(b"GET", b"/" + b"x" * 9000))) <= 210
    assert plugin.outcome(Reply(404)) == "404"


def test_faults_are_whole_replies():
    made = plugin.faults["unavailable"]
    assert made.head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 1\r\n" in made.head
    whole = [fault for name, fault in plugin.faults.items() if not name.startswith("grpc_")]
    assert len(whole) == 11
    assert all(fault.head and fault.body for fault in whole)
    assert {"bad_gateway", "unavailable", "too_many_requests"} <= set(plugin.faults)


def test_documents_pass_through_the_contract():
    asked, answered = (
        Request(b"GET", b"/a?b=1", block=b"Host: h\r\n"),
        Reply(204, b"No Content", framing="none"),
    )
    made = plugin.dump(asked, answered, context())
    assert made.request == {"method": "GET", "path": "/a", "query": {"b": "1"}, "headers": [["Host", "h"]]}
    assert made.respond == {"status": 204}


def context():
    return Context(options=Options(), ignore=Noise(plugin.noise), token=lambda secret: b"svcmock-" + b"x" * 24)


def test_redact_gives_what_a_recording_holds():
    asked = Request(
        b"GET", b"/a?access_token=very-secret-value", block=b"Host: h\r\nCookie: s=very-secret-value\r\n"
    )
    made = plugin.redact(asked, context())
    assert b"very-secret-value" not in made.target + made.block
    assert plugin.redact(made, context()) == made


def test_redact_keeps_nothing_it_cannot_promise_to_clean():
    many = b"; ".join(b"c%d=secret-value-%d" % (i, i) for i in range(400))
    asked = Request(b"GET", b"/a?b", block=b"Host: h\r\nCookie: " + many + b"\r\n", body=b"secret-value-7")
    assert plugin.redact(asked, context()) == Request(b"GET", b"/a")


def test_matching_passes_through_the_contract():
    asked = Request(b"GET", b"/a?b=1", block=b"Host: h\r\nAccept: x/y\r\n")
    assert plugin.key(asked, context()).startswith(plugin.address(asked) + b"\0")
    assert plugin.conditions(asked, context()) == {"headers.accept": b"x/y"}
    assert plugin.present(asked, ("headers.accept",), context()) == (b"x/y",)
    assert plugin.fields(asked, context())["query"] == {"b": ["1"]}
    assert plugin.decisive(asked, context()) == {"method": "GET", "path": "/a", "query": {"b": ["1"]}}


def test_a_miss_has_the_status_of_the_options():
    known = Explanation(miss="m-1", service="s", protocol="http", request="GET /a")
    made = plugin.miss(
        Request(b"GET", b"/a"), known, Context(Options(miss_status=404), Noise(), lambda secret: secret)
    )
    assert made.status == 404


# --- the README ---------------------------------------------------------------------------------------

README = (Path(svcmock_protocols.http.__file__).parent / "README.md").read_text()


@pytest.mark.parametrize("struct", [plugin.RequestDoc, plugin.ReplyDoc, plugin.Options])
def test_the_readme_describes_every_member(struct):
    assert [name for name in struct.__struct_fields__ if f"`{name}`" not in README] == []


def test_the_readme_names_fields_faults_and_what_is_stricter():
    named = [*NAMES, *plugin.faults, *STRICTER_THAN_H11]
    assert [name for name in named if f"`{name}`" not in README] == []
