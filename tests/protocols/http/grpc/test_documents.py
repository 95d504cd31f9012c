"""gRPC calls in route files: what they look like, that nothing is lost, and what is refused."""

import gzip

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.protocol import Invalid
from svcmock_protocols.http import documents, plugin
from svcmock_protocols.http.grpc import view, web
from svcmock_protocols.http.grpc.framing import Message
from svcmock_protocols.http.messages import Chunk, Interim, Reply, Request
from tests.protocols.http.grpc.roundtrip import BLIND, ID, KNOWN, TEA, reply, request, survives
from tests.protocols.http.grpc.shop import TYPE, USUAL, Files, answer, body, call, encoded

# --- what it looks like -------------------------------------------------------------------------------

PAIRS = [
    (
        call(ID),
        answer(TEA),
        {"grpc": "shop.Catalog/GetItem", "message": {"id": 42}},
        {"message": {"id": 42, "name": "Tea"}},
    ),
    (
        call(ID, block=b"host: h\r\n" + USUAL + b"x-tenant: a\r\n"),
        answer(TEA, block=TYPE + b"x-region: eu\r\n", trailers=b"grpc-status: 0\r\nx-cost: 3\r\n"),
        {
            "grpc": "shop.Catalog/GetItem",
            "metadata": [["host", "h"], ["x-tenant", "a"]],
            "message": {"id": 42},
        },
        {"metadata": [["x-region", "eu"]], "message": {"id": 42, "name": "Tea"}, "trailers": [["x-cost", "3"]]},
    ),
    (
        call(ID, block=b"host: h\r\n" + TYPE + b"user-agent: grpc-go/1.65.0\r\nte: trailers\r\n"),
        answer(TEA, trailers=b"x-cost: 3\r\ngrpc-status: 0\r\ngrpc-message: \r\n"),
        {
            "grpc": "shop.Catalog/GetItem",
            "metadata": [["host", "h"], "content-type", ["user-agent", "grpc-go/1.65.0"], "te"],
            "message": {"id": 42},
        },
        {
            "message": {"id": 42, "name": "Tea"},
            "status": {"code": "OK", "message": ""},
            "trailers": [["x-cost", "3"], "grpc-status", "grpc-message"],
        },
    ),
    (
        call(ID, block=TYPE),
        answer(block=TYPE + b"grpc-status: 5\r\n", trailers=b""),
        {
            "grpc": "shop.Catalog/GetItem",
            "metadata": [["content-type", "application/grpc"]],
            "message": {"id": 42},
        },
        {"status": "NOT_FOUND"},
    ),
    (
        call(ID),
        answer(block=TYPE + b"grpc-status: 5\r\ngrpc-message: no item%0A43\r\nx-a: b\r\n", trailers=b""),
        {"grpc": "shop.Catalog/GetItem", "message": {"id": 42}},
        {"status": {"code": "NOT_FOUND", "message": "no item\n43"}, "trailers": [["x-a", "b"]]},
    ),
    (
        call(),
        answer(trailers=b"grpc-status: 5\r\n"),
        {"grpc": "shop.Catalog/GetItem"},
        {"status": "NOT_FOUND", "trailers_only": False},
    ),
    (call(), answer(), {"grpc": "shop.Catalog/GetItem"}, {"grpc": True}),
    (
        call(),
        answer(b"", b""),
        {"grpc": "shop.Catalog/GetItem"},
        {"messages": [{"message": {}}, {"message": {}}], "chunks": []},
    ),
    (
        call(b""),
        answer(block=TYPE + b"grpc-status: 0\r\n", trailers=b""),
        {"grpc": "shop.Catalog/GetItem", "message": {}},
        {"trailers_only": True},
    ),
    (
        call(ID),
        answer(trailers=b"grpc-status: 99\r\n"),
        {"grpc": "shop.Catalog/GetItem", "message": {"id": 42}},
        {"status": {"code": 99}, "trailers_only": False},
    ),
    (
        call(ID),
        answer(trailers=b"grpc-status: 05\r\n"),
        {"grpc": "shop.Catalog/GetItem", "message": {"id": 42}},
        {"status": "none", "trailers": [["grpc-status", "05"]]},
    ),
    (
        call(ID, block=USUAL + b"trace-bin: /wAB\r\nodd-bin: a b\r\nempty-bin: \r\nx: \r\n"),
        answer(TEA),
        {
            "grpc": "shop.Catalog/GetItem",
            "metadata": [["trace-bin", {"hex": "ff0001"}], ["odd-bin", "a b"], ["empty-bin", ""], ["x", ""]],
            "message": {"id": 42},
        },
        {"message": {"id": 42, "name": "Tea"}},
    ),
]


@pytest.mark.parametrize(("asked", "answered", "asks", "says"), PAIRS)
def test_a_call_reads_as_a_person_would_write_it(asked, answered, asks, says):
    made = survives(asked, answered)
    assert made.request == asks
    assert made.respond == says
    assert list(made.respond) == list(says)
    survives(asked, answered, BLIND)


def test_without_a_schema_fields_go_by_their_numbers():
    made = survives(call(ID), answer(TEA), BLIND)
    assert made.request["message"] == {"1": 42}
    assert made.respond == {"message": {"1": 42, "2": "Tea"}}
    assert reply(made.respond) == reply({"message": {"id": 42, "name": "Tea"}})


def test_a_stream_shows_its_messages_and_the_time_between_them():
    one, two = encoded("Item", id=1), encoded("Item", id=2)
    size = len(body(one))
    answered = answer(one, two, chunks=(Chunk(size), Chunk(size, 0.02)))
    made = survives(call(ID, rpc="List"), answered)
    assert made.respond == {"messages": [{"message": {"id": 1}}, {"after": "20ms", "message": {"id": 2}}]}
    uneven = answer(one, two, chunks=(Chunk(3), Chunk(2 * size - 3, 0.02)))
    assert survives(call(ID, rpc="List"), uneven).respond["chunks"] == [3, f"{2 * size - 3} after 20ms"]
    alone = answer(one, chunks=(Chunk(size),))
    assert survives(call(ID, rpc="List"), alone).respond == {
        "messages": [{"after": "0s", "message": {"id": 1}}]
    }


def test_a_conversation_shows_what_is_answered():
    asked = call(encoded("Id", id=1), encoded("Id", id=2), rpc="Watch")
    one, two = encoded("Item", id=1), encoded("Item", id=2)
    size = len(body(one))
    answered = answer(
        one, two, two, chunks=(Chunk(size, 0.0, 0), Chunk(size, 0.0, 2), Chunk(size, 0.01, 3)), ends_on=3
    )
    made = survives(asked, answered)
    assert made.request["messages"] == [{"message": {"id": 1}}, {"message": {"id": 2}}]
    assert made.respond == {
        "messages": [
            {"on": 0, "message": {"id": 1}},
            {"on": 2, "message": {"id": 2}},
            {"after": "10ms", "on": "end", "message": {"id": 2}},
        ]
    }
    early = answer(one, chunks=(Chunk(size, 0.0, 1),), ends_on=1)
    assert survives(asked, early).respond == {
        "messages": [{"on": 1, "message": {"id": 1}}],
        "status": {"code": "OK", "on": 1},
    }
    failed = answer(block=TYPE + b"grpc-status: 10\r\n", trailers=b"", ends_on=3)
    assert survives(asked, failed).respond == {"status": {"code": "ABORTED", "on": "end"}}


def test_a_message_without_on_goes_with_the_one_before_it():
    asked = call(ID, ID, rpc="Watch")
    made = reply({"messages": [{"message": {}}, {"on": 1, "message": {}}, {"message": {}}]}, asked=asked)
    assert [chunk.on for chunk in made.chunks] == [0, 1, 1]
    assert made.ends_on == 3


def test_grpc_web_shows_its_trailers():
    trailers = web.trailer_frame([(b"grpc-status", b"0"), (b"x-a", b"b")])
    block = b"Content-Type: application/grpc-web+proto\r\n"
    asked = Request(b"POST", b"/shop.Catalog/GetItem", b"1.1", b"Host: h\r\n" + block, body(ID))
    answered = Reply(200, block=block.lower(), body=body(TEA) + trailers, framing="chunked", version=b"2")
    made = survives(asked, answered)
    assert made.request == {
        "grpc": "shop.Catalog/GetItem",
        "version": "1.1",
        "metadata": [["Host", "h"], ["Content-Type", "application/grpc-web+proto"]],
        "message": {"id": 42},
    }
    assert made.respond == {
        "metadata": [["content-type", "application/grpc-web+proto"]],
        "message": {"id": 42, "name": "Tea"},
        "trailers": [["x-a", "b"]],
    }
    text = block.lower().replace(b"web", b"web-text")
    coded = msgspec.structs.replace(answered, block=text, body=web.encode_text_body(answered.body))
    assert survives(asked, coded).respond["message"] == {"id": 42, "name": "Tea"}


UNFIT = [
    answer(TEA, trailers=b"x: y\r\n"),
    answer(b"", trailers=b""),
    Reply(
        200,
        block=TYPE,
        body=b"\0\0\0\0\x09abc",
        framing="chunked",
        trailers=b"grpc-status: 0\r\n",
        version=b"2",
    ),
    Reply(
        200, block=TYPE, body=b"\x07abcdefgh", framing="chunked", trailers=b"grpc-status: 0\r\n", version=b"2"
    ),
    Reply(503, block=TYPE, framing="chunked", version=b"2"),
    answer(TEA, interim=(Interim(103, b""),)),
    answer(TEA, trailers=b"grpc-status: 0\r\ngrpc-status: 0\r\n"),
    answer(TEA, block=TYPE + TYPE),
]


@pytest.mark.parametrize("answered", UNFIT)
def test_what_is_no_call_is_written_as_http(answered):
    asked = Request(b"POST", b"/shop.Catalog/GetItem", b"2", USUAL, b"\0\0\0\0\x09abc")
    made = survives(asked, answered)
    assert made.request["version"] == "2"
    assert "grpc" not in made.request


# --- losslessness -------------------------------------------------------------------------------------

DATA = st.one_of(
    st.builds(
        lambda i, name, price, tags: encoded("Item", id=i, name=name, price=price, tags=tags),
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters(codec="utf-8"), max_size=6),
        st.floats(allow_nan=False),
        st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=2),
    ),
    st.binary(max_size=12),
    st.just(b""),
)
MESSAGES = st.one_of(
    DATA.map(Message),
    DATA.map(lambda data: Message(gzip.compress(data, mtime=1), compressed=True)),
    DATA.map(lambda data: Message(data, compressed=True)),
)
NAMES = st.sampled_from(
    [
        b"x-a",
        b"x-b-bin",
        b"grpc-encoding",
        b"host",
        b"content-type",
        b"te",
        b"grpc-status",
        b"grpc-message",
        b"grpc-status-details-bin",
    ]
)
VALUES = st.sampled_from(
    [
        b"",
        b"a",
        b"gzip",
        b"application/grpc",
        b"application/grpc+proto",
        b"trailers",
        b"0",
        b"5",
        b"05",
        b"no%20item",
        b"/wAB",
        b"aGk",
        b"CAU",
        b"a b",
        b"f\xfcr",
    ]
)
LINES = st.builds(lambda name, value: name + b": " + value + b"\r\n", NAMES, VALUES)
STATUS = st.sampled_from(
    [
        b"",
        b"grpc-status: 0\r\n",
        b"grpc-status: 5\r\n",
        b"grpc-status: 5\r\ngrpc-message: gone\r\n",
        b"grpc-message: x\r\ngrpc-status: 14\r\n",
    ]
)
GAPS = st.sampled_from([0.0, 0.02, 0.0019])


@st.composite
def blocks(draw, *usual):
    made = [*usual, *draw(st.lists(LINES, max_size=2))]
    return b"".join(draw(st.permutations(made)) if draw(st.booleans()) else made)


@st.composite
def exchanges(draw):
    rpc = draw(st.sampled_from(["GetItem", "Watch", "NoSuch"]))
    sent = draw(st.lists(MESSAGES, max_size=3))
    asked = call(*sent, rpc=rpc, block=draw(blocks(b"te: trailers\r\n", TYPE, b"host: h\r\n")))
    said = draw(st.lists(MESSAGES, max_size=3))
    sizes = [len(body(one)) for one in said]
    form = draw(st.sampled_from(["whole", "cut", "talk", "odd", "odd talk"]))
    chunks, ends = (), -1
    if form == "cut":
        chunks = tuple(Chunk(size, draw(GAPS)) for size in sizes)
    elif form == "talk":
        parts = sorted(draw(st.integers(0, len(sent) + 1)) for _ in sizes)
        chunks = tuple(Chunk(size, draw(GAPS), part) for size, part in zip(sizes, parts, strict=True))
        ends = draw(st.integers(max(parts, default=0), len(sent) + 1))
    elif form != "whole" and sum(sizes) > 1:
        first = draw(st.integers(1, sum(sizes) - 1))
        on = draw(st.sampled_from([-1, 0, 1]))
        chunks = (
            Chunk(first, draw(GAPS), on),
            Chunk(sum(sizes) - first, draw(GAPS), draw(st.sampled_from([-1, 0, 1]))),
        )
        ends = draw(st.sampled_from([-1, 1, len(sent) + 1])) if form == "odd talk" else -1
    head, status = draw(blocks(TYPE)), draw(blocks(draw(STATUS)))
    if not said and draw(st.booleans()):
        head, status = head + status, b""
    if view.kind(head) is None:
        ends = -1  # two types, and so none: no call has parts then
    answered = answer(*said, block=head, trailers=status, chunks=chunks, ends_on=ends)
    if draw(st.booleans()):
        answered = msgspec.structs.replace(answered, self_authority=b"127.0.0.1:1")
    return asked, answered


@settings(max_examples=120, deadline=None)
@given(exchanges(), st.sampled_from([KNOWN, BLIND]))
def test_every_call_survives_its_document(exchange, where):
    survives(*exchange, where)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([KNOWN, BLIND]))
def test_any_bodies_survive(one, two, where):
    asked = Request(b"POST", b"/shop.Catalog/GetItem", b"2", USUAL, one)
    survives(
        asked,
        Reply(200, block=TYPE, body=two, framing="chunked", trailers=b"grpc-status: 0\r\n", version=b"2"),
        where,
    )


# --- plain HTTP/2 -------------------------------------------------------------------------------------


def test_plain_messages_of_http_2():
    asked = Request(b"GET", b"/a?b=1", b"2", b"host: h\r\naccept: x/y\r\n")
    answered = Reply(
        404,
        block=b"content-type: text/plain\r\n",
        body=b"no",
        framing="chunked",
        chunks=(Chunk(1), Chunk(1, 0.5)),
        trailers=b"x-sum: 1\r\n",
        interim=(Interim(103, b"", b"link: </a>\r\n"),),
        version=b"2",
    )
    made = survives(asked, answered)
    assert made.request == {
        "method": "GET",
        "path": "/a",
        "query": {"b": "1"},
        "version": "2",
        "headers": [["host", "h"], ["accept", "x/y"]],
    }
    assert made.respond == {
        "status": 404,
        "version": "2",
        "headers": [["content-type", "text/plain"]],
        "stream": ["n", {"after": "500ms", "data": "o"}],
        "trailers": [["x-sum", "1"]],
        "interim": [{"status": 103, "headers": [["link", "</a>"]]}],
    }
    sized = Reply(200, block=b"content-length: 2\r\n", body=b"hi", trailers=b"x: y\r\n", version=b"2")
    assert "framing" not in survives(asked, sized).respond
    nothing = Reply(200, block=b"content-length: 2\r\n", framing="none", version=b"2")
    assert survives(Request(b"HEAD", b"/", b"2"), nothing).respond["framing"] == "none"


def test_names_are_lower_case_in_http_2():
    made = reply({"version": "2", "headers": {"X-A": "b"}, "json": {}, "trailers": {"X-T": "1"}})
    assert made.block == b"x-a: b\r\ncontent-type: application/json\r\n"
    assert made.trailers == b"x-t: 1\r\n"
    assert reply({"metadata": {"X-A": "b"}, "message": {}}).block == TYPE + b"x-a: b\r\n"


# --- written by hand ----------------------------------------------------------------------------------


def test_a_call_written_by_hand():
    made = request({"grpc": "shop.Catalog/GetItem", "metadata": {"x-tenant": "a"}, "message": {"id": 42}})
    assert made == call(ID, block=USUAL + b"x-tenant: a\r\n")
    told = reply({"message": {"name": "Tea", "id": 42}})
    assert told.body == body(TEA)
    assert (told.block, told.trailers, told.version) == (TYPE, b"grpc-status: 0\r\n", b"2")
    timed = request(
        {"grpc": "shop.Catalog/Add", "messages": [{"after": "5ms", "message": {"id": 1}}, {"message": {}}]}
    )
    assert timed.body == body(encoded("Item", id=1), b"")


def test_a_reply_is_checked_before_it_is_known_what_it_answers():
    typed = msgspec.convert({"message": {"anything": 1}, "status": "not_found"}, plugin.ReplyDoc)
    assert documents.reply(typed, Files(), KNOWN, None).trailers == b"grpc-status: 5\r\n"
    with pytest.raises(Invalid, match="schema has no method"):
        reply({"message": {"name": "x"}}, asked=call(rpc="NoSuch"))
    assert reply({"message": {"1": 4}}, asked=call(rpc="NoSuch")).body == body(b"\x08\x04")
    with pytest.raises(Invalid, match="descriptor_set"):
        reply({"message": {"name": "x"}}, BLIND)


@pytest.mark.parametrize(
    ("doc", "tied"),
    [
        ({"json": 1}, False),
        ({"status": "NOT_FOUND"}, False),
        ({"message": {}}, True),
        ({"messages": [{"wire": "a"}]}, False),
        ({"messages": [{"wire": "a"}, {"message": {}}]}, True),
        ({"messages": [{"wire": "a", "on": "end"}]}, True),
        ({"status": {"on": "end"}}, True),
    ],
)
def test_what_depends_on_the_request(doc, tied):
    assert plugin.tied(msgspec.convert(doc, plugin.ReplyDoc)) is tied


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"message": {"no": 1}}, ("message", "no")),
        ({"messages": [{"message": {"id": "x"}}]}, ("messages", 0, "message", "id")),
        ({"messages": {"message": {}}}, ("messages",)),
        ({"messages": [{"id": 1}]}, ("messages", 0, "id")),
        ({"messages": [{}]}, ("messages", 0)),
        ({"messages": [7]}, ("messages", 0)),
        ({"messages": [{"message": {}, "compressed": True}]}, ("messages", 0, "compressed")),
        ({"messages": [{"message": {}, "compressed": 1}]}, ("messages", 0, "compressed")),
        ({"messages": [{"message": {}, "after": "soon"}]}, ("messages", 0, "after")),
        ({"messages": [{"message": {}, "on": 7}]}, ("messages", 0, "on")),
        ({"messages": [{"message": {}, "on": "later"}]}, ("messages", 0, "on")),
        ({"messages": [{"message": {}, "on": 1}, {"message": {}, "on": 0}]}, ("messages", 1, "on")),
        ({"messages": [{"message": {}, "on": 1}], "status": {"on": 0}}, ("status", "on")),
        ({"messages": [{"wire": {"file": "none"}}]}, ("messages", 0, "wire", "file")),
        ({"message": {}, "messages": []}, ("messages",)),
        ({"message": {}, "json": {}}, ("json",)),
        ({"message": {}, "headers": []}, ("headers",)),
        ({"message": {}, "status": 404}, ("status",)),
        ({"message": {}, "trailers_only": True}, ("trailers_only",)),
        ({"message": {}, "chunks": [1]}, ("chunks",)),
        ({"messages": [{"message": {}, "after": "1s"}], "chunks": [5]}, ("chunks",)),
        ({"status": "NOT_FUND"}, ("status",)),
        ({"status": "200"}, ("status",)),
        ({"status": {"code": "5"}}, ("status", "code")),
        ({"status": {"kode": 5}}, ("status", "kode")),
        (
            {"status": {"code": "ABORTED", "details": [{"@type": "x/no.Such"}]}},
            ("status", "details", 0, "@type"),
        ),
        ({"status": {"code": "ABORTED", "details": [{"a": 1}]}}, ("status", "details", 0)),
        ({"status": {"code": "ABORTED", "details": {}}}, ("status", "details")),
        ({"status": "ABORTED", "trailers": [["grpc-status", "1"]]}, ("trailers",)),
        ({"status": {"message": "a"}, "trailers": [["grpc-message", "1"]]}, ("trailers",)),
        ({"message": {}, "trailers": ["grpc-message"]}, ("trailers", 0)),
        ({"message": {}, "metadata": [["a", "b\r\nc"]]}, ("metadata", 0)),
        ({"message": {}, "metadata": [["content-type", "text/plain"]]}, ("metadata",)),
        ({"message": {}, "metadata": "x"}, ("metadata",)),
        ({"status": 1.5}, ("status",)),
        ({"status": True}, ("status",)),
        ({"version": "2", "reason": "x"}, ("reason",)),
        ({"version": "2", "headers": {"Transfer-Encoding": "chunked"}}, ("headers",)),
    ],
)
def test_replies_that_cannot_be(doc, at):
    with pytest.raises(Invalid) as caught:
        reply(doc)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"grpc": "GetItem"}, ("grpc",)),
        ({"grpc": "/shop.Catalog/GetItem"}, ("grpc",)),
        ({"grpc": "shop.Catalog/Get Item"}, ("grpc",)),
        ({"grpc": "shop.Catalog/GetItem", "path": "/a"}, ("path",)),
        ({"grpc": "shop.Catalog/GetItem", "method": "POST"}, ("method",)),
        ({"grpc": "shop.Catalog/GetItem", "json": None}, ("json",)),
        ({"grpc": "shop.Catalog/GetItem", "message": {"no": 1}}, ("message", "no")),
        ({"grpc": "shop.Catalog/NoSuch", "message": {"id": 1}}, ("message",)),
        ({"path": "/a", "message": {}}, ("message",)),
        ({"path": "/a", "metadata": []}, ("metadata",)),
        ({"path": "/a", "version": "3"}, ("version",)),
    ],
)
def test_requests_that_cannot_be(doc, at):
    with pytest.raises(Invalid) as caught:
        request(doc)
    assert caught.value.at == at
