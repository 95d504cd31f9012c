"""HTTP documents: what is written reads back as the same bytes, and what cannot mean anything is refused."""

import gzip
import hashlib
import json
import zlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Invalid, Spooled
from svcmock_protocols.http import coding
from svcmock_protocols.http.codec import parse_reply_head, parse_request_head, with_head
from svcmock_protocols.http.documents import ReplyDoc, RequestDoc, dump, reply, request, same
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request


class Folder:
    """A project's files in memory."""

    def __init__(self, held=None):
        self.held = dict(held or {})

    def __call__(self, name):
        if name not in self.held:
            raise Invalid((), f"no file {name}")
        return Blob(name, len(self.held[name]))

    def read(self, blob):
        return self.held[blob.path][blob.offset : blob.offset + blob.size]


ASKED = Request(b"GET", b"/")
CONTEXT = Context(Options(), Noise(), bytes)


def load_reply(doc, held=None):
    return reply(msgspec.convert(doc, ReplyDoc), Folder(held), CONTEXT, ASKED)


def load_request(doc, held=None):
    return request(msgspec.convert(doc, RequestDoc), Folder(held), CONTEXT)


def reply_again(message):
    made = dump(ASKED, message, CONTEXT)
    plain = json.loads(json.dumps(made.respond))
    assert plain == made.respond, "plain data only"
    return load_reply(plain, made.files)


def request_again(message):
    made = dump(message, Reply(200), CONTEXT)
    plain = json.loads(json.dumps(made.request))
    assert plain == made.request
    return load_request(plain, made.files)


# --- losslessness -------------------------------------------------------------------------------------

TOKENS = st.text("abcXYZ-_!09", min_size=1, max_size=8).map(lambda t: b"X-" + t.encode())
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20
).map(lambda t: t.encode("latin-1")) | st.sampled_from([b"", b"a\tb", "grün".encode(), b"yes", b"1e3"])
LINES = st.builds(
    lambda n, s, v: n + b":" + s + v + b"\r\n", TOKENS, st.sampled_from([b" ", b"", b"  ", b"\t"]), VALUES
)
BLOCKS = st.lists(LINES, max_size=4).map(b"".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
JSON_TEXT = st.builds(
    lambda v, ascii_, shape, end: (json.dumps(v, ensure_ascii=ascii_, **shape) + end).encode(),
    JSON,
    st.booleans(),
    st.sampled_from([{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}, {"indent": "\t"}]),
    st.sampled_from(["", "\n", "\n\n", " "]),
)
BODIES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=40).map(lambda t: t.encode()),
    JSON_TEXT,
    st.sampled_from(
        [b"a=1&b=2&a=3", b"a=1&a=2", b"a=%20", b"a=+", b"x" * 5000, b"\0" * 5000, b'{"a":"\\ud800"}']
    ),
)
TYPES = st.sampled_from(
    [
        b"",
        b"Content-Type: application/json\r\n",
        b"content-type: application/x-www-form-urlencoded\r\n",
        b"Content-Type: text/plain\r\n",
    ]
)
CODINGS = st.sampled_from([b"", b"gzip", b"deflate", b"br", b"zstd", b"gzip, br", b"unknown", b"lying"])


def coded(body, name):
    if name in (b"", b"unknown"):
        return body
    return b"\x1f\x8b" + body if name == b"lying" else coding.encode(body, name)


@st.composite
def coded_bodies(draw):
    body, name = draw(BODIES), draw(CODINGS)
    block = draw(TYPES) + draw(BLOCKS)
    if name:
        block += b"Content-Encoding: " + (b"gzip" if name == b"lying" else name) + b"\r\n"
        if name == b"gzip" and draw(st.booleans()):
            return gzip.compress(body, 1, mtime=7), block
    return coded(body, name), block


@st.composite
def replies(draw):
    body, block = draw(coded_bodies())
    framing = draw(st.sampled_from(["length", "chunked", "close", "none"]))
    trailers = b""
    if framing == "length":
        block = b"Content-Length: %d\r\n" % len(body) + block
    elif framing == "chunked":
        block += draw(st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:Chunked\r\n"]))
        trailers = draw(BLOCKS)
    elif framing == "none":
        body = b""
        block += draw(st.sampled_from([b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]))
    chunks = []
    left = len(body)
    while left and len(chunks) < 6 and framing != "none" and draw(st.booleans()):
        size = draw(st.integers(1, left))
        chunks.append(Chunk(size, draw(st.sampled_from([0.0, 0.02, 0.0019, 1.5, 61.25, 0.1 + 0.2]))))
        left -= size
    if chunks and left:
        chunks.append(Chunk(left))
    return Reply(
        status=draw(
            st.sampled_from([200, 404, 418, 500, 599, 999])
            if framing != "none"
            else st.sampled_from([200, 204, 304])
        ),
        reason=draw(st.sampled_from([b"OK", b"", b"Not Found", b"f\xfcr dich", b" x "])),
        block=block,
        body=body,
        framing=framing,
        chunks=tuple(chunks),
        trailers=trailers,
        interim=draw(
            st.sampled_from(
                [(), (Interim(103, b"Early Hints", b"Link: </a>; rel=preload\r\n"), Interim(102, b""))]
            )
        ),
        version=draw(st.sampled_from([b"1.1", b"1.0"])),
        self_authority=draw(st.sampled_from([b"", b"127.0.0.1:8081"])),
        negotiated=draw(st.booleans()),
    )


@settings(max_examples=200, deadline=None)
@given(replies())
def test_every_reply_survives_its_document(message):
    made = reply_again(message)
    assert made == with_head(message)
    assert same(made, message)


TARGETS = st.sampled_from(
    [
        b"/",
        b"/a/b?x=1&y=2",
        b"/a?x=1&y=2&x=3",
        b"/a?x=1&x=2",
        b"/a?flag",
        b"/a?",
        b"/a?q=a:b",
        b"/a?q=%c3%BC",
        b"/a?q=%C3%BC",
        b"/%7Eann/%2f",
        b"*",
        b"http://h/a?b",
        b"//x",
        b"/a?q=a+b&r=%20",
        b"/a#b",
        b"/?=&=",
        b"/a?x=%FF",
        b"/{id}",
    ]
)


@st.composite
def requests(draw):
    body, block = draw(coded_bodies())
    length = draw(st.sampled_from([b"Content-Length: %d\r\n" % len(body), b"Transfer-Encoding: chunked\r\n"]))
    return Request(
        method=draw(st.sampled_from([b"GET", b"POST", b"M-SEARCH", b"get"])),
        target=draw(TARGETS),
        version=draw(st.sampled_from([b"1.1", b"1.0"])),
        block=b"Host: h\r\n" + (length if body else b"") + block,
        body=body,
        trailers=draw(BLOCKS),
    )


@settings(max_examples=200, deadline=None)
@given(requests())
def test_every_request_survives_its_document(message):
    assert request_again(message) == message


def test_what_the_codec_decodes_survives():
    head, _ = parse_reply_head(
        b"HTTP/1.1 200\r\nA:b \r\nA:\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", b"GET"
    )
    assert reply_again(head.reply) == with_head(head.reply)
    asked, _ = parse_request_head(b"GET /x?y HTTP/1.1\r\nhost:  h\t\r\n\r\n")
    assert request_again(asked.request) == asked.request


# --- what it looks like -------------------------------------------------------------------------------


def test_a_usual_exchange_reads_as_a_person_would_write_it():
    asked = Request(b"GET", b"/users/42?fields=name&page=2", block=b"Host: a:1\r\nAccept: application/json\r\n")
    answered = Reply(
        200,
        b"OK",
        b"Content-Type: application/json\r\nContent-Length: 22\r\n",
        b'{"id":42,"name":"Ann"}',
    )
    made = dump(asked, answered, CONTEXT)
    assert made.request == {
        "method": "GET",
        "path": "/users/42",
        "query": {"fields": "name", "page": "2"},
        "headers": [["Host", "a:1"], ["Accept", "application/json"]],
    }
    assert made.respond == {
        "status": 200,
        "headers": [["Content-Type", "application/json"], ["Content-Length", "22"]],
        "json": {"id": 42, "name": "Ann"},
    }
    assert list(made.respond) == ["status", "headers", "json"]
    assert made.files == {}


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a?x=1&x=2&y=", {"path": "/a", "query": {"x": ["1", "2"], "y": ""}}),
        (b"/a?x=1&y=2&x=3", {"path": "/a", "query": [["x", "1"], ["y", "2"], ["x", "3"]]}),
        (b"/a?when=10:20", {"path": "/a?when=10:20"}),
        (b"/a?", {"path": "/a?"}),
        (b"*", {"target": "*"}),
        (b"http://h/a", {"target": "http://h/a"}),
    ],
)
def test_targets(target, shown):
    assert dump(Request(b"GET", target), Reply(200), CONTEXT).request == {"method": "GET", **shown}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":1}', {"json": {"a": 1}}),
        (b"null", {"json": None}),
        (b'{"a": 1, "b": [1, 2]}', {"json": {"a": 1, "b": [1, 2]}, "json_format": "spaced"}),
        (b'{\n  "a": 1\n}\n', {"json": {"a": 1}, "json_format": "indent 2 newline"}),
        (b'{"a":"\\u00e9"}', {"json": {"a": "\u00e9"}, "json_format": "ascii"}),
        (b'{"a":"b\\/c"}', {"json": {"a": "b/c"}, "json_format": "slashes"}),
        (b'{"a":"\\u003cb\\u003e"}\n', {"json": {"a": "<b>"}, "json_format": "html newline"}),
        (b'{"a":1.50}', {"body": '{"a":1.50}'}),
        (b'{"a":12345678901234567890}', {"body": '{"a":12345678901234567890}'}),
        (b'{"a":1,"a":2}', {"body": '{"a":1,"a":2}'}),
        (b"[" * 50 + b"]" * 50, {"body": "[" * 50 + "]" * 50}),
        (b"{", {"body": "{"}),
    ],
)
def test_json_layouts(body, shown):
    message = Reply(200, b"OK", b"Content-Type: application/json\r\n", body)
    assert dump(ASKED, message, CONTEXT).respond == {
        "status": 200,
        "headers": [["Content-Type", "application/json"]],
        **shown,
    }
    assert reply_again(message).body == body


def test_json_without_a_content_type_stays_text():
    assert dump(ASKED, Reply(200, b"OK", b"", b"{}"), CONTEXT).respond == {"status": 200, "body": "{}"}


def test_large_bodies_are_files():
    body = json.dumps(list(range(5000))).encode()
    made = dump(ASKED, Reply(200, b"OK", b"Content-Type: application/json\r\n", body), CONTEXT)
    (name,) = made.files
    assert made.respond["body"] == {"file": name}
    assert made.files[name] == body


def test_spooled_bodies_are_files_and_large_files_stay_on_disk():
    big = Spooled("t", 1 << 21, "ab" * 32)
    made = dump(Request(b"PUT", b"/x", body=big), Reply(200, b"OK", b"", big), CONTEXT)
    name = "bodies/" + "ab" * 32
    assert made.request["body"] == made.respond["body"] == {"file": name}
    assert made.files == {name: big}
    held = {name: bytes(1 << 21)}
    assert load_request(made.request, held).body == Blob(name, 1 << 21, 0, "ab" * 32)
    assert load_reply(made.respond, held).body.size == 1 << 21


def test_a_spooled_body_with_a_coding_is_wire():
    big = Spooled("t", 1 << 21, "ab" * 32)
    made = dump(Request(b"PUT", b"/x", block=b"Content-Encoding: gzip\r\n", body=big), Reply(200), CONTEXT)
    assert made.request["wire"] == {"file": "bodies/" + "ab" * 32}
    assert "body" not in made.request


def test_a_large_request_file_without_a_known_digest_is_refused():
    with pytest.raises(Invalid) as caught:
        load_request({"path": "/x", "body": {"file": "big.bin"}}, {"big.bin": bytes((1 << 20) + 1)})
    assert caught.value.at == ("body",)


def test_a_large_multipart_file_of_your_own_matches_whatever_boundary_the_client_draws():
    data = b"--mine\r\n\r\n" + bytes(1 << 20) + b"\r\n--mine--\r\n"
    name = "bodies/" + hashlib.sha256(data).hexdigest()
    headers = [["Content-Type", "multipart/form-data; boundary=mine"]]
    made = load_request({"path": "/x", "headers": headers, "body": {"file": name}}, {name: data})
    common = data.replace(b"--mine", b"--svcmock-boundary")
    assert made.body == Blob(name, len(data), 0, hashlib.sha256(common).hexdigest())


def test_unusual_lines_keep_their_bytes():
    block = b"A:b\r\nC: d \r\nE:\r\nF: \xff\r\nG: h\r\n"
    made = dump(ASKED, Reply(200, b"OK", block), CONTEXT).respond
    assert made["headers"] == [
        {"line": "A:b"},
        {"line": "C: d "},
        {"line": "E:"},
        ["F", {"hex": "ff"}],
        ["G", "h"],
    ]


# --- content codings ----------------------------------------------------------------------------------

PLAIN = b'{"hello":"world"}'
CODED = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\n"


def test_a_coded_body_is_readable_and_keeps_other_compressors_bytes():
    odd = gzip.compress(PLAIN, 1, mtime=99)
    made = dump(ASKED, Reply(200, b"OK", CODED, odd), CONTEXT).respond
    assert made["json"] == {"hello": "world"}
    assert set(made["wire"]) == {"hex"}
    assert load_reply(made).body == odd


def test_our_own_compression_needs_no_wire():
    made = dump(ASKED, Reply(200, b"OK", CODED, coding.encode(PLAIN, b"gzip")), CONTEXT).respond
    assert "wire" not in made


def test_an_edited_body_wins_over_its_wire_and_corrects_length_and_chunks():
    odd = gzip.compress(PLAIN, 1, mtime=99)
    block = CODED + b"content-length:  %d\r\nX: y\r\n" % len(odd)
    made = dump(ASKED, Reply(200, b"OK", block, odd, chunks=(Chunk(3), Chunk(len(odd) - 3))), CONTEXT).respond
    made["json"]["hello"] = "there, " * 9
    edited = load_reply(made)
    assert gzip.decompress(edited.body) == b'{"hello":"%b"}' % (b"there, " * 9)
    assert b"content-length: %d\r\nX: y\r\n" % len(edited.body) in edited.block
    assert edited.chunks == () or sum(chunk.size for chunk in edited.chunks) == len(edited.body)


def test_a_large_decoded_body_is_compared_by_digest():
    plain = b"a" * (1 << 21)
    odd = zlib.compress(plain, 1)
    message = Reply(200, b"OK", b"Content-Encoding: deflate\r\n", odd)
    made = dump(ASKED, message, CONTEXT)
    assert load_reply(made.respond, made.files).body == odd
    held = {name: b"b" * len(data) if len(data) == 1 << 21 else data for name, data in made.files.items()}
    made.respond["body"] = {"file": "edited"}
    edited = load_reply(made.respond, {**held, "edited": b"b" * (1 << 21)})
    assert zlib.decompress(edited.body) == b"b" * (1 << 21)


def test_an_undecodable_body_is_wire_only():
    message = Reply(200, b"OK", b"Content-Encoding: gzip\r\n", b"not gzip")
    assert dump(ASKED, message, CONTEXT).respond["wire"] == "not gzip"
    assert reply_again(message).body == b"not gzip"


# --- streams ------------------------------------------------------------------------------------------


def test_a_short_timed_stream_shows_its_data():
    message = Reply(
        200,
        b"OK",
        b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
        b"data: 1\n\ndata: 2\n\n",
        "chunked",
        (Chunk(9), Chunk(9, 0.02)),
    )
    made = dump(ASKED, message, CONTEXT).respond
    assert made["stream"] == ["data: 1\n\n", {"after": "20ms", "data": "data: 2\n\n"}]
    assert "chunks" not in made
    assert "body" not in made


def test_json_lines_show_their_values():
    message = Reply(
        200,
        b"OK",
        b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n",
        b'{"a":1}\n{"a":2}\n',
        "chunked",
        (Chunk(8), Chunk(8, 1.5)),
    )
    assert dump(ASKED, message, CONTEXT).respond["stream"] == [
        {"json": {"a": 1}},
        {"after": "1.5s", "json": {"a": 2}},
    ]
    assert same(reply_again(message), message)


def test_sizes_are_compact():
    chunks = (Chunk(1),) * 5 + (Chunk(2), Chunk(2), Chunk(3, 0.001))
    message = Reply(200, b"OK", b"Transfer-Encoding: chunked\r\n", bytes(12), "chunked", chunks)
    assert dump(ASKED, message, CONTEXT).respond["chunks"] == ["1 x 5", 2, 2, "3 after 1ms"]
    assert same(reply_again(message), message)


def test_a_stream_written_by_hand_is_chunked():
    made = load_reply({"stream": ["a", {"after": "20ms", "json": [1]}, {"after": 2, "hex": "00ff"}]})
    assert made.framing == "chunked"
    assert made.body == b"a[1]\n\x00\xff"
    assert made.chunks == (Chunk(1), Chunk(4, 0.02), Chunk(2, 2.0))


# --- written by hand ----------------------------------------------------------------------------------


def test_json_brings_its_content_type():
    made = load_reply({"status": 201, "json": {"a": "é"}})
    assert made.head == b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    assert made.body == '{"a":"é"}'.encode()
    given = load_reply({"headers": {"content-type": "application/problem+json"}, "json": {}})
    assert given.block == b"content-type: application/problem+json\r\n"


def test_text_brings_none():
    assert load_reply({"body": "hi"}).head == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def test_a_mapping_of_headers():
    assert (
        load_reply({"headers": {"A": "b", "C": ["d", 1], "E": True}}).block
        == b"A: b\r\nC: d\r\nC: 1\r\nE: true\r\n"
    )


def test_a_request_written_by_hand():
    made = load_request({"path": "/käse and ham", "query": {"page": 2, "tag": ["a b", "c"]}})
    assert made.target == b"/k%C3%A4se%20and%20ham?page=2&tag=a+b&tag=c"
    assert made.method == b"GET"
    form = load_request({"method": "POST", "path": "/f", "form": {"a": "b c", "d": 1}})
    assert form.body == b"a=b+c&d=1"
    assert form.block == b"Content-Type: application/x-www-form-urlencoded\r\n"


MULTIPART = (
    b'--xYz\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n'
    b"\r\nhi\r\n"
    b"--xYz\r\ncontent-disposition: form-data; name=odd\r\n\r\n\xff\r\n--xYz--\r\n"
)


def test_multipart_is_shown_by_its_parts():
    message = Request(
        b"POST", b"/up", block=b"Content-Type: multipart/form-data; boundary=xYz\r\n", body=MULTIPART
    )
    assert dump(message, Reply(200), CONTEXT).request["multipart"] == [
        {"name": "a", "body": "1"},
        {"name": "f", "filename": "x.txt", "content_type": "text/plain", "body": "hi"},
        {"headers": [["content-disposition", "form-data; name=odd"]], "body": {"hex": "ff"}},
    ]
    assert request_again(message) == message


def test_multipart_written_by_hand_gets_a_boundary():
    made = load_request({"method": "POST", "path": "/up", "multipart": [{"name": "a", "body": "1"}]})
    assert made.block == b"Content-Type: multipart/form-data; boundary=svcmock-boundary-0\r\n"
    assert made.body.startswith(
        b'--svcmock-boundary-0\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    )


# --- refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"status": 99}, ("status",)),
        ({"status": 101}, ("status",)),
        ({"status": 1000}, ("status",)),
        ({"headers": [["A", "b\r\nC: d"]]}, ("headers", 0)),
        ({"headers": [["A", "b"], ["C", "\0"]]}, ("headers", 1)),
        ({"headers": {"A": "b\nc"}}, ("headers", "A")),
        ({"headers": {"A b": "c"}}, ("headers", "A b")),
        ({"headers": {"": "c"}}, ("headers", "")),
        ({"headers": [["A"]]}, ("headers", 0)),
        ({"headers": "A: b"}, ("headers",)),
        ({"headers": [{"line": "A: b\r\nC: d"}]}, ("headers", 0, "line")),
        ({"headers": [["A", {"hex": "0d0a"}]]}, ("headers", 0)),
        ({"headers": {"A": None}}, ("headers", "A")),
        ({"headers": {"Content-Length": 3}, "body": "four"}, ("headers",)),
        ({"headers": {"Content-Length": "x"}, "body": "four"}, ("headers",)),
        ({"headers": {"Content-Length": 4, "Transfer-Encoding": "chunked"}, "body": "four"}, ("headers",)),
        ({"headers": {"Transfer-Encoding": "gzip"}, "body": "four"}, ("headers",)),
        ({"headers": {"Content-Encoding": "nope"}, "body": "four"}, ("headers",)),
        ({"status": 204, "body": "x"}, ("body",)),
        ({"status": 304, "json": None}, ("json",)),
        ({"status": 204, "stream": ["x"]}, ("stream",)),
        ({"body": "x", "json": 1}, ("json",)),
        ({"body": {"a": 1}}, ("body",)),
        ({"body": {"hex": "0g"}}, ("body", "hex")),
        ({"body": "x", "wire": "y"}, ("wire",)),
        ({"json": 1, "json_format": "pretty"}, ("json_format",)),
        ({"json": float("inf")}, ("json",)),
        ({"body": "four", "chunks": [1, 2]}, ("chunks",)),
        ({"body": "four", "chunks": ["1 x 99999999999"]}, ("chunks", 0)),
        ({"body": "four", "chunks": ["4 after never"]}, ("chunks", 0)),
        ({"body": "four", "chunks": [0, 4]}, ("chunks", 0)),
        ({"stream": ["a", ""]}, ("stream", 1)),
        ({"stream": [{"after": "-1s", "data": "x"}]}, ("stream", 0, "after")),
        ({"stream": ["a"], "body": "b"}, ("stream",)),
        ({"framing": "magic"}, ("framing",)),
        ({"framing": "none", "body": "x"}, ("body",)),
        ({"version": "3"}, ("version",)),
        ({"reason": "a\r\nb"}, ("reason",)),
        ({"body": "x", "headers": {"Content-Length": 1}, "trailers": {"A": "b"}}, ("trailers",)),
        ({"interim": [{"status": 200}]}, ("interim", 0, "status")),
        ({"interim": [{"status": 103, "headers": [["A", "\r"]]}]}, ("interim", 0, "headers", 0)),
        ({"self_authority": "a\r\nb"}, ("self_authority",)),
    ],
)
def test_replies_that_cannot_be(doc, at):
    with pytest.raises(Invalid) as caught:
        load_reply(doc)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({}, ("path",)),
        ({"path": "users"}, ("path",)),
        ({"path": "/a?b", "query": {"c": "d"}}, ("query",)),
        ({"path": "/a", "query": "c=d"}, ("query",)),
        ({"path": "/a", "query": {"c": {"d": 1}}}, ("query", "c")),
        ({"path": "/a", "target": "/b"}, ("target",)),
        ({"target": "/a b"}, ("target",)),
        ({"path": "/a", "method": "GE T"}, ("method",)),
        ({"path": "/a", "form": [["a"]]}, ("form", 0)),
        ({"path": "/a", "multipart": [{"body": "x"}]}, ("multipart", 0)),
        ({"path": "/a", "multipart": [{"name": "a\r\nB: c"}]}, ("multipart", 0, "name")),
        ({"path": "/a", "headers": {"Content-Type": "multipart/mixed"}, "multipart": []}, ("multipart",)),
        ({"path": "/a", "headers": {"Content-Length": 1}, "body": "xy"}, ("headers",)),
    ],
)
def test_requests_that_cannot_be(doc, at):
    with pytest.raises(Invalid) as caught:
        load_request(doc)
    assert caught.value.at == at


def test_a_missing_file_is_reported_where_it_is_named():
    for doc, at in [
        ({"body": {"file": "gone"}}, ("body", "file")),
        ({"stream": ["a", {"file": "gone"}]}, ("stream", 1, "file")),
        ({"headers": {"Content-Encoding": "gzip"}, "wire": {"file": "gone"}}, ("wire", "file")),
    ]:
        with pytest.raises(Invalid) as caught:
            load_reply(doc)
        assert caught.value.at == at
        assert caught.value.why == "no file gone"


def test_unknown_members_are_refused():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"status": 200, "bdy": "x"}, ReplyDoc)
