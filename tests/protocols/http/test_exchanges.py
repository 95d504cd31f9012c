"""Requests under way at a recorder, told by hand: what becomes an exchange, what is skipped, what waits."""

from types import SimpleNamespace

import pytest

from svcmock.noise import Noise
from svcmock.protocol import Began, Context, Exchange, Inquire, Lost, Seen, Spooled, Timing, Upstream
from svcmock_protocols.http import exchanges
from svcmock_protocols.http.exchanges import Asked, Exchanges, Told, unreachable_text
from svcmock_protocols.http.messages import Chunk, Interim, Options, Reply, Request
from svcmock_protocols.http.redact import MAX_SECRETS

CALL = Request(b"POST", b"/shop.Catalog/Get", b"2", b"content-type: application/grpc\r\n")
SCHEMA = SimpleNamespace(methods={"/shop.Catalog/Get": None})
SECRET = b"hunter2-hunter2"
TOKEN = b"svcmock-" + b"t" * 24


def token(_secret: bytes) -> bytes:
    return TOKEN


def context(schema: object = None, **options: object) -> Context:
    return Context(Options(**options), Noise(), token, schema=schema)  # type: ignore[arg-type]


def make(url: str = "http://up:8000", schema: object = None, **options: object) -> Exchanges:
    upstream = Upstream(url, url.partition("://")[2], tls=url.startswith("https"))
    return Exchanges(context(schema, **options), upstream)


def begin(held: Exchanges, out: list[Seen], request: Request = CALL) -> Asked:
    return held.begin(request, 1.0, b"me:8081", out)


def finish(held: Exchanges, asked: Asked, out: list[Seen], body: bytes = b"", reply: bytes = b"") -> None:
    """Both messages come, and end."""
    out += asked.body.add(body)
    held.heard(asked, b"", out)
    passed = held.answering(asked, Reply(200, framing="chunked", version=b"2"), 0.5)
    out += passed.add(reply)
    held.told(asked, passed, Told(size=len(reply)), out)


def ids(out: list[Seen]) -> list[int]:
    return [one.id for one in out if isinstance(one, Exchange)]


# --- one after the other ------------------------------------------------------------------------------


def test_an_exchange_is_what_both_sides_said_and_when() -> None:
    held, out = make(), list[Seen]()
    assert held.first
    asked = held.begin(Request(b"POST", b"/a", b"1.1", b"Host: me\r\n"), 7.0, b"me", out)
    assert not held.first
    out += asked.body.add(b"question")
    held.interim(asked, 103, b"Early Hints", b"Link: x\r\n")
    passed = held.answering(asked, Reply(200, b"OK", framing="chunked"), 0.25)
    out += passed.add(b"answer")
    told = Told((Chunk(2), Chunk(4, 1.5)), 6, b"t: 1\r\n", 3)
    held.told(asked, passed, told, out)
    assert out == [Began(1)]
    held.heard(asked, b"s: 1\r\n", out)
    request = Request(b"POST", b"/a", b"1.1", b"Host: me\r\n", b"question", b"s: 1\r\n")
    reply = Reply(
        200,
        b"OK",
        body=b"answer",
        framing="chunked",
        chunks=told.chunks,
        trailers=b"t: 1\r\n",
        interim=(Interim(103, b"Early Hints", b"Link: x\r\n"),),
        ends_on=3,
    )
    assert out == [Began(1), Exchange(1, request, reply, Timing(7.0, 0.25))]
    assert held.open == {}


def test_ids_are_given_in_order_whatever_becomes_of_a_request() -> None:
    held, out = make(), list[Seen]()
    begin(held, out)
    held.pass_over("CONNECT", out)
    held.pass_over("nonsense", out, skipped=False)
    begin(held, out)
    assert out == [
        *(Began(1), Began(2), Lost(2, "CONNECT", "skipped")),
        *(Began(3), Lost(3, "nonsense", "failed"), Began(4)),
    ]
    assert held.open.keys() == {1, 4}


def test_a_request_is_lost_once() -> None:
    held, out = make(), list[Seen]()
    one, other, third = (begin(held, out) for _ in range(3))
    held.lose(one, "why", out, skipped=True)
    held.lose(one, "again", out)
    finish(held, one, out)
    finish(held, other, out)
    held.lose(other, "too late", out)
    held.lose_all("the end", out)
    held.lose_all("the end", out)
    assert [one for one in out if isinstance(one, Lost)] == [
        Lost(1, "why", "skipped"),
        Lost(third.id, "the end"),
    ]
    assert ids(out) == [2]


def test_only_so_many_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_PENDING", 2)
    held, out = make(), list[Seen]()
    one = begin(held, out)
    assert not held.full
    begin(held, out)
    assert held.full
    finish(held, one, out)
    assert not held.full


@pytest.mark.parametrize(("size", "is_kept"), [(1024, True), (1025, False)])
def test_a_head_of_the_limit_is_kept(size: int, is_kept: bool) -> None:
    held, out = make(max_head=1024), list[Seen]()
    block = b"a: " + b"x" * (size - 5) + b"\r\n"
    finish(held, begin(held, out, Request(b"GET", b"/", block=block)), out)
    assert bool(ids(out)) is is_kept
    assert is_kept or out[-1] == Lost(1, "the head is larger than this service takes", "skipped")


def test_interim_replies_are_kept_so_far_and_without_100() -> None:
    held, out = make(), list[Seen]()
    asked = begin(held, out)
    for i in range(exchanges.MAX_INTERIM + 1):
        held.interim(asked, 100, b"Continue", b"")
        held.interim(asked, 103, b"%d" % i, b"")
    finish(held, asked, out)
    (made,) = [one for one in out if isinstance(one, Exchange)]
    assert [one.reason for one in made.reply.interim] == [b"%d" % i for i in range(16)]


@pytest.mark.parametrize(
    ("accept", "coding", "is_negotiated"),
    [
        (b"", b"", True),
        (b"", b"content-encoding: gzip\r\n", False),
        (b"accept-encoding: gzip\r\n", b"content-encoding: gzip\r\n", True),
        (b"accept-encoding: br\r\n", b"content-encoding: gzip\r\n", False),
        (b"", b"content-encoding: identity\r\n", True),
    ],
)
def test_whether_a_client_had_offered_to_take_a_coding(
    accept: bytes, coding: bytes, is_negotiated: bool
) -> None:
    held = make()
    asked = begin(held, [], Request(b"GET", b"/", block=accept))
    held.answering(asked, Reply(200, block=coding), 0.0)
    assert asked.reply.negotiated is is_negotiated


def test_how_much_of_a_reply_is_followed() -> None:
    assert make().max_reply == 1 << 30
    assert make(max_body=3).max_reply == 1 << 30
    assert make(max_body=1 << 32).max_reply == 1 << 32


# --- the way home -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "field", "turned"),
    [
        ("http://up:8000", b"Location: http://up:8000/a", b"Location: http://me/a"),
        ("http://up:8000", b"location:\t HTTP://UP:8000?x", b"location:\t HTTP://me?x"),
        ("http://up:8000", b"Content-Location: http://up:8000", b"Content-Location: http://me"),
        ("http://up:8000", b"Location: //up:8000#x", b"Location: //me#x"),
        ("http://up", b"Location: http://up:80/", b"Location: http://me/"),
        ("http://up", b"Location: http://up:/", b"Location: http://me/"),
        ("http://up:80", b"Location: http://up/", b"Location: http://me/"),
        ("https://up", b"Location: https://up:443/a", b"Location: //me/a"),
        ("https://up:8443", b"Location: //up:8443/a", b"Location: //me/a"),
        ("http://[::1]", b"Location: http://[::1]:80/", b"Location: http://me/"),
        ("http://[::1]:8000", b"Location: http://[::1]:8000/", b"Location: http://me/"),
    ],
)
def test_urls_that_lead_home(url: str, field: bytes, turned: bytes) -> None:
    lines = b"A: http://up:8000/\r\n%b\r\nB: http://up:8000/\r\n"
    assert make(url).homeward(lines % field, b"me") == lines % turned
    assert make(url).homeward(lines % field, b"") == lines % field


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://up:8000", b"Location: http://up:8001/a"),
        ("http://up:8000", b"Location: http://up/a"),
        ("http://up:8000", b"Location: https://up:8000/a"),
        ("https://up:8443", b"Location: http://up:8443/a"),
        ("http://up", b"Location: https://up/"),
        ("https://up", b"Location: //up:80/"),
        ("http://up:8000", b"Location: http://ann@up:8000/a"),
        ("http://up:8000", b"Location: http://up:8000@evil/a"),
        ("http://up:8000", b"Location: http://up:8000.evil/a"),
        ("http://up:8000", b"Location: http://evil/http://up:8000/a"),
        ("http://up:8000", b"Location: ftp://up:8000/a"),
        ("http://up:8000", b"Location: /a//up:8000/b"),
        ("http://up:8000", b"X-Location: http://up:8000/a"),
        ("http://up:8000", b"Link: <http://up:8000/a>"),
        ("http://[::1]:8000", b"Location: http://[::1]/"),
    ],
)
def test_urls_that_do_not(url: str, field: bytes) -> None:
    assert make(url).homeward(field + b"\r\n", b"me") == field + b"\r\n"


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b"Location: http://me:8081/a\r\n", b"me:8081"),
        (b"Location: //me:8081/a\r\n", b"me:8081"),
        (b"Content-Location: http://me:8081\r\n", b"me:8081"),
        (b"Location: http://me:8082/a\r\n", b""),
        (b"Location: /a\r\n", b""),
        (b"Link: //me:8081/a\r\n", b""),
    ],
)
def test_a_reply_that_names_us_says_so(block: bytes, found: bytes) -> None:
    held = make()
    asked = begin(held, [])
    held.answering(asked, Reply(302, block=block), 0.0)
    assert asked.reply.self_authority == found


def test_what_a_client_is_told_without_an_upstream() -> None:
    upstream = Upstream("http://up:8000", "up:8000")
    assert unreachable_text(upstream, "refused") == "svcmock: up:8000 cannot be reached: refused\n"


# --- credentials and large bodies ---------------------------------------------------------------------


def test_an_exchange_is_without_its_credentials() -> None:
    held, out = make(), list[Seen]()
    block = b"authorization: Bearer %b\r\n" % SECRET
    finish(held, begin(held, out, Request(b"POST", b"/", block=block)), out, b"x", b"echo " + SECRET)
    (made,) = [one for one in out if isinstance(one, Exchange)]
    assert made.request.block == b"authorization: Bearer %b\r\n" % TOKEN
    assert made.reply.body == b"echo " + TOKEN


def test_more_credentials_than_are_looked_for() -> None:
    unlike = Context(Options(), Noise(), lambda secret: b"svcmock-" + secret)
    held, out = Exchanges(unlike, Upstream("http://up", "up")), list[Seen]()
    block = b"".join(b"x-api-key: %08d-%08d\r\n" % (i, i) for i in range(MAX_SECRETS + 1))
    finish(held, begin(held, out, Request(b"GET", b"/", block=block)), out)
    assert out == [Began(1), Lost(1, "more credentials than can be looked for", "skipped")]


def test_a_spooled_body_has_the_length_and_the_coding_that_it_has_on_disk() -> None:
    held, out = make(max_body_memory=10), list[Seen]()
    block = b"content-length: 26\r\nx-api-key: %b\r\n" % SECRET
    finish(held, begin(held, out, Request(b"POST", b"/", block=block)), out, b"0123456789 " + SECRET)
    (made,) = [one for one in out if isinstance(one, Exchange)]
    assert isinstance(made.request.body, Spooled)
    assert made.request.body.size == 11 + len(TOKEN)
    assert made.request.block == b"content-length: 43\r\nx-api-key: %b\r\n" % TOKEN


def test_a_credential_in_a_spooled_request_is_found_in_a_reply_that_is_not() -> None:
    held, out = make(max_body_memory=40), list[Seen]()
    asked = begin(held, out, Request(b"POST", b"/", block=b"content-type: application/json\r\n"))
    finish(held, asked, out, b'{"password": "%b", "more": "%b"}' % (SECRET, b"x" * 40), b"echo " + SECRET)
    (made,) = [one for one in out if isinstance(one, Exchange)]
    assert isinstance(made.request.body, Spooled)
    assert made.reply.body == b"echo " + TOKEN


def told_large(reply: bytes, *, grpc: bool) -> Seen:
    held, out = make(schema=SCHEMA, max_body_memory=10), list[Seen]()
    asked = begin(held, out, Request(b"POST", CALL.target, b"2", b"x-api-key: %b\r\n" % SECRET))
    if grpc:
        held.call(asked, out)
    held.heard(asked, b"", out)
    passed = held.answering(asked, Reply(200, block=b"content-length: %d\r\n" % len(reply)), 0.0)
    out += passed.add(reply)
    held.told(asked, passed, Told((Chunk(5), Chunk(len(reply) - 5, 1.0)), len(reply)), out)
    return out[-1]


def test_the_pieces_of_a_large_reply_are_cut_anew_where_it_has_another_size() -> None:
    made = told_large(b"01234" + SECRET, grpc=False)
    assert isinstance(made, Exchange)
    assert made.reply.body.size == 5 + len(TOKEN)
    assert made.reply.block == b"content-length: 37\r\n"
    assert sum(chunk.size for chunk in made.reply.chunks) == 37
    assert [chunk.after for chunk in made.reply.chunks] == [0.0, 1.0]


def test_in_a_large_grpc_reply_nothing_can_be_replaced() -> None:
    assert told_large(b"01234" + SECRET, grpc=True) == Lost(
        1, "there is a credential inside a large gRPC reply", "skipped"
    )
    assert isinstance(told_large(b"01234" + b"x" * 15, grpc=True), Exchange)


def test_what_a_client_left_of_a_message_is_no_part_of_the_body() -> None:
    held, out = make(schema=SCHEMA), list[Seen]()
    for leave, body in ((0, b"whole half"), (5, b"whole"), (10, b"")):
        asked = begin(held, out)
        out += asked.body.add(b"whole half")
        held.heard(asked, b"", out, leave=leave)
        assert asked.request.body == body


# --- what waits to be understood ----------------------------------------------------------------------


def foreign(
    held: Exchanges, out: list[Seen], request: Request = CALL, body: bytes = b"", reply: bytes = b""
) -> None:
    asked = begin(held, out, request)
    held.call(asked, out)
    finish(held, asked, out, body, reply)


@pytest.mark.parametrize("schema", [None, SimpleNamespace(methods={"/shop.Catalog/List": None})])
def test_the_upstream_is_asked_once_and_calls_wait_until_that_is_known(schema: object) -> None:
    held, out = make(schema=schema), list[Seen]()
    foreign(held, out)
    foreign(held, out)
    assert out == [Began(1), Inquire(), Began(2)]
    held.informed(context(SCHEMA), out)
    assert ids(out) == [1, 2]
    foreign(held, out, Request(b"POST", b"/other\xff", block=CALL.block))
    assert ids(out) == [1, 2, 3]
    assert out.count(Inquire()) == 1


def test_a_call_of_a_known_method_does_not_wait() -> None:
    held, out = make(schema=SCHEMA), list[Seen]()
    foreign(held, out)
    assert [type(one) for one in out] == [Began, Exchange]


def test_others_do_not_wait_for_those_that_do() -> None:
    held, out = make(), list[Seen]()
    foreign(held, out)
    finish(held, begin(held, out), out)
    assert ids(out) == [2]
    held.release(out)
    assert ids(out) == [2, 1]


def test_the_end_of_a_connection_loses_what_is_not_whole_and_nothing_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchanges, "MAX_PENDING", 1)
    held, out = make(), list[Seen]()
    foreign(held, out)
    assert not held.full
    begin(held, out)
    assert held.full
    held.lose_all("the end", out)
    assert out[-1] == Lost(2, "the end")
    held.release(out)
    assert ids(out) == [1]
    assert held.open == {}


def test_so_many_wait_and_then_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_HELD", 3)
    held, out = make(), list[Seen]()
    for made in ([], [], [1, 2, 3], [1, 2, 3, 4]):
        foreign(held, out)
        assert ids(out) == made


def test_so_many_bytes_wait_and_then_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_HELD_BYTES", 10)
    held, out = make(max_body_memory=20), list[Seen]()
    foreign(held, out, body=bytes(100))  # which is on disk
    foreign(held, out, body=b"12345", reply=b"12345")
    assert ids(out) == []
    foreign(held, out, reply=b"1")
    assert ids(out) == [1, 2, 3]


def test_what_has_waited_may_still_be_skipped() -> None:
    held, out = make(max_head=1024), list[Seen]()
    foreign(held, out, Request(b"POST", b"/a/b", block=b"a: " + b"x" * 1024 + b"\r\n"))
    held.release(out)
    assert out[-1] == Lost(1, "the head is larger than this service takes", "skipped")
