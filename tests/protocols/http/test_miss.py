"""The reply to a request that nothing matches."""

import json

from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Difference, Explanation, Near, Stage
from svcmock_protocols.http.codec import with_head
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.miss import miss

ASKED = Request(b"GET", b"/users/42")


def explanation(got="x", label="m-7"):
    return Explanation(
        miss=label,
        service="catalog",
        protocol="http",
        request="GET /users/42",
        funnel=(Stage("path", 10, 1),),
        nearest=(Near("routes/a.yaml:3", 4, 5, (Difference("query.page", "equals", "2", got),)),),
        see="svcmock why m-7",
    )


def test_a_miss_explains_itself():
    made = miss(ASKED, explanation(), Options())
    assert made.head == (
        b"HTTP/1.1 501 Not Implemented\r\nContent-Type: application/json\r\nX-Svcmock-Miss: m-7\r\n"
        b"Content-Length: %d\r\n\r\n" % len(made.body)
    )
    told = json.loads(made.body)
    assert told["miss"] == "m-7"
    assert told["funnel"] == [{"stage": "path", "in": 10, "out": 1}]
    assert told["nearest"][0]["failed"][0] == {
        "at": "query.page",
        "op": "equals",
        "want": "2",
        "got": "x",
        "hint": None,
    }
    assert made.body.startswith(b'{\n  "miss": "m-7",\n')
    assert made.body.endswith(b"}\n")


def test_the_status_is_an_option():
    assert miss(ASKED, explanation(), Options(miss_status=404)).head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert miss(ASKED, explanation(), Options(miss_status=599)).head.startswith(b"HTTP/1.1 599 \r\n")
    assert miss(ASKED, explanation(), None).status == 501


def test_a_lone_surrogate_from_a_json_body_is_escaped():
    made = miss(ASKED, explanation(got="\ud800"), Options())
    assert json.loads(made.body)["nearest"][0]["failed"][0]["got"] == "\ud800"
    assert b"\\ud800" in made.body


def test_the_id_cannot_break_the_head():
    assert b"X-Svcmock-Miss: a??b\r\n" in miss(ASKED, explanation(label="a\r\nb"), Options()).head


@given(st.integers(200, 599), st.text(max_size=20), st.text(max_size=20))
def test_its_head_is_that_of_any_reply(status, label, got):
    made = miss(ASKED, explanation(got, label), Options(miss_status=status))
    assert made == with_head(Reply(made.status, made.reason, made.block, made.body))
