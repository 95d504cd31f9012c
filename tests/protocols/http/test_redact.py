"""No credential reaches a recording, and a live request with the real one still matches the token."""

import base64
import gzip
import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock_protocols.http.coding import decode
from svcmock_protocols.http.credentials import HEADERS, rules
from svcmock_protocols.http.messages import Chunk, Interim, Reply, Request
from svcmock_protocols.http.redact import (
    MAX_SECRETS,
    Echo,
    TooManyError,
    canonical_credential,
    redact_exchange,
    redact_reply,
    redact_request,
    secrets_of,
)


def token(secret: bytes) -> bytes:
    if re.fullmatch(rb"svcmock-[a-z2-7]{24}", secret):
        return secret
    return b"svcmock-" + base64.b32encode(hashlib.sha256(secret).digest()[:15]).lower()


def get(block: bytes, target: bytes = b"/", body: bytes = b"") -> Request:
    return Request(method=b"GET", target=target, block=block, body=body)


SECRET = b"hunter2-hunter2"
T = token(SECRET)
ANY = b"svcmock-any"
JSON = b"Content-Type: application/json\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n%b\r\n--b\r\n'
    b'Content-Disposition: form-data; name="f"; filename="token"\r\n\r\nx\r\n--b--\r\n'
)


# --- header fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        (b"Authorization: Bearer %b\r\n", b"Authorization: Bearer %b\r\n"),
        (b"authorization:bearer   %b \r\n", b"authorization:bearer %b \r\n"),
        (b"Authorization: %b\r\n", b"Authorization: %b\r\n"),
        (b"Proxy-Authorization: Token %b\r\n", b"Proxy-Authorization: Token %b\r\n"),
        (b"X-API-Key: %b\r\n", b"X-API-Key: %b\r\n"),
        (b"Cookie: a=%b; b=\r\n", b"Cookie: a=%b; b=\r\n"),
        (b"Cookie: %b\r\n", b"Cookie: %b\r\n"),
        (b"A: 1\r\nPrivate-Token: %b\r\nB: 2\r\n", b"A: 1\r\nPrivate-Token: %b\r\nB: 2\r\n"),
        (b"Referer: http://h/?access_token=%b&x=1#f\r\n", b"Referer: http://h/?access_token=%b&x=1#f\r\n"),
        (b"Referer: http://%b@h/\r\n", b"Referer: http://%b@h/\r\n"),
    ],
)
def test_a_header_keeps_all_but_the_secret(line: bytes, hidden: bytes) -> None:
    assert redact_request(get(line % SECRET), token) == get(hidden % T)


def test_every_cookie_has_its_own_token_and_keeps_its_name() -> None:
    made = redact_request(get(b"Cookie: a=first; b=second\r\n"), token)
    assert made.block == b"Cookie: a=%b; b=%b\r\n" % (token(b"first"), token(b"second"))


def test_set_cookie_keeps_its_attributes() -> None:
    reply = Reply(status=200, block=b"Set-Cookie: sid=%b; Path=/; HttpOnly; Max-Age=60\r\n" % SECRET)
    assert redact_reply(reply, {}, token).block == b"Set-Cookie: sid=%b; Path=/; HttpOnly; Max-Age=60\r\n" % T


def test_a_deleted_cookie_stays_empty() -> None:
    reply = Reply(status=200, block=b"Set-Cookie: sid=; Max-Age=0\r\n")
    assert redact_reply(reply, {}, token) == reply


@pytest.mark.parametrize("scheme", [b"Digest", b"Negotiate", b"AWS4-HMAC-SHA256"])
def test_schemes_that_sign_each_request_are_alike(scheme: bytes) -> None:
    values = [scheme + rest for rest in (b' Credential=a/b, Signature="0123456789"', b' Credential=c, x="y"')]
    made = {canonical_credential(b"authorization", value, token) for value in values}
    assert made == {scheme.lower() + b" " + token(scheme.lower())}
    assert canonical_credential(b"authorization", made.pop(), token) == scheme.lower() + b" " + token(
        scheme.lower()
    )


@pytest.mark.parametrize(
    ("name", "live", "same"),
    [
        (b"authorization", b"Bearer abc.def", b"bearer abc.def"),
        (b"cookie", b"b=2; a=1; a=0", b"a=1;a=0;  b=2"),
        (b"x-api-key", b"k", b"k"),
        (b"accept", b"text/html", b"text/html"),
    ],
)
def test_a_live_credential_compares_like_its_recording(name: bytes, live: bytes, same: bytes) -> None:
    recorded = redact_request(get(b"%b: %b\r\n" % (name, live)), token).block.partition(b": ")[2][:-2]
    canonical = canonical_credential(name, live, token)
    assert canonical == canonical_credential(name, recorded, token) == canonical_credential(name, same, token)


def test_different_credentials_compare_unlike() -> None:
    values = [b"Bearer a", b"Bearer b", b"Basic a", b"a"]
    assert len({canonical_credential(b"authorization", value, token) for value in values}) == 4


# --- members of queries and bodies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "body", "hidden"),
    [
        (JSON, b'{"id": 1, "access_token" : "%b", "x": [1]}', b'{"id": 1, "access_token" : "%b", "x": [1]}'),
        (JSON, b'{"db":{"userPassword":"%b"}}', b'{"db":{"userPassword":"%b"}}'),
        (b"", b'data: {"client-secret": "%b"}\n\n', b'data: {"client-secret": "%b"}\n\n'),
        (FORM, b"user%%5Bpassword%%5D=%b&user=ann", b"user%%5Bpassword%%5D=%b&user=ann"),
        (FORM, b"a=b&refresh_token=%b", b"a=b&refresh_token=%b"),
        (
            b"Content-Type: multipart/form-data; boundary=b\r\n",
            MULTIPART,
            MULTIPART,
        ),
    ],
)
def test_members_of_a_body_are_replaced_in_place(block: bytes, body: bytes, hidden: bytes) -> None:
    assert redact_request(get(block, body=body % SECRET), token).body == hidden % T


def test_a_number_that_is_a_credential_becomes_text() -> None:
    made = redact_request(get(JSON, body=b'{"password": 1234567890}'), token)
    assert made.body == b'{"password": "%b"}' % token(b"1234567890")


def test_the_token_of_an_escaped_member_is_that_of_what_it_means() -> None:
    escaped = redact_request(get(JSON, body=b'{"password": "a\\u00e9\\/b"}'), token).body
    encoded = redact_request(get(b"", target=b"/?password=a%C3%A9%2Fb"), token).target
    assert escaped == b'{"password": "%b"}' % token("aé/b".encode())
    assert encoded == b"/?password=" + token("aé/b".encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"token": "Hello", "logprob": -0.1}',
        b'{"next_token": "abcdefghijklmnopqrstuvwxyz"}',
        b'{"password": "", "secret": null, "access_token": {"a": 1}, "passwords": "many of them"}',
        b'["password", "hunter2-hunter2"]',
    ],
)
def test_what_is_no_credential_stays(body: bytes) -> None:
    assert redact_request(get(JSON, body=body), token).body == body


def test_a_member_called_token_counts_when_it_looks_like_one() -> None:
    made = redact_request(get(JSON, body=b'{"token": "abcdefghijklmnop"}'), token)
    assert made.body == b'{"token": "%b"}' % token(b"abcdefghijklmnop")


def test_options_add_and_take_out_fields() -> None:
    known = rules(("headers.x-pass", "json.customer.ssn"), ("headers.x-api-key", "json.token", "cookies.theme"))
    block = b"X-Pass: 1\r\nX-Api-Key: 2\r\nCookie: theme=dark; sid=3\r\n" + JSON
    body = b'{"customer": {"ssn": "123"}, "token": "abcdefghijklmnop"}'
    made = redact_request(get(block, body=body), token, known)
    tokens = (token(b"1"), token(b"3"))
    assert made.block == b"X-Pass: %b\r\nX-Api-Key: 2\r\nCookie: theme=dark; sid=%b\r\n" % tokens + JSON
    assert made.body == b'{"customer": {"ssn": "%b"}, "token": "abcdefghijklmnop"}' % token(b"123")


# --- echoes -------------------------------------------------------------------------------------------


def test_a_credential_is_replaced_wherever_else_it_occurs() -> None:
    secret = b'p/"w<d> \xc3\xa9+1'
    request = get(b"X-Api-Key: %b\r\n" % secret, target=b"/p%2F%22w%3Cd%3E%20%C3%A9%2B1/x")
    reply = Reply(
        status=200,
        reason=secret,
        block=b"X-Echo: <%b>\r\nContent-Length: 99\r\n" % secret,
        body=b'%b|p\\/\\"w<d> \\u00e9+1|p/&quot;w&lt;d&gt; \xc3\xa9+1|p%%2f%%22w%%3cd%%3e%%20%%c3%%a9%%2b1'
        % secret,
        interim=(Interim(status=103, reason=b"", block=b"Link: <%b>\r\n" % secret),),
        trailers=b"X-T: %b\r\n" % secret,
    )
    asked, told = redact_exchange(request, reply, token)
    made = token(secret)
    assert asked == get(b"X-Api-Key: %b\r\n" % made, target=b"/%b/x" % made)
    assert b"p\\/" in told.body or told.body.count(made) == 4
    assert told.reason == made
    assert told.block == b"X-Echo: <%b>\r\nContent-Length: %d\r\n" % (made, len(told.body))
    assert told.interim[0].block == b"Link: <%b>\r\n" % made
    assert told.trailers == b"X-T: %b\r\n" % made


def test_the_password_of_basic_authentication_does_not_survive() -> None:
    pair = base64.b64encode(b"ann:" + SECRET)
    reply = Reply(status=200, body=b'{"echo": "%b", "all": "%b"}' % (SECRET, pair))
    asked, told = redact_exchange(get(b"Authorization: Basic %b\r\n" % pair), reply, token)
    assert asked.block == b"Authorization: Basic %b\r\n" % token(pair)
    assert told.body == b'{"echo": "%b", "all": "%b"}' % (T, token(pair))


def test_what_only_the_reply_makes_a_credential_stays_in_the_request() -> None:
    request = get(b"", target=b"/cookies/set?user=ann.smith")
    reply = Reply(status=302, block=b"Set-Cookie: user=ann.smith\r\n", body=b"ann.smith")
    asked, told = redact_exchange(request, reply, token)
    assert asked == request == redact_request(request, token)
    assert told.block == b"Set-Cookie: user=%b\r\n" % token(b"ann.smith")
    assert told.body == token(b"ann.smith")


def test_without_the_key_a_recorded_request_and_a_live_one_are_alike() -> None:
    def keyless(_secret: bytes) -> bytes:
        return b"svcmock-any"

    pair = base64.b64encode(b"ann:" + SECRET)
    live = get(
        b"Authorization: Basic %b\r\n" % pair, b"/auth/%b?api_key=k" % SECRET, b'{"password": "x"}' + SECRET
    )
    recorded = redact_request(live, token)
    assert redact_request(recorded, keyless) == redact_request(live, keyless)
    assert redact_request(live, keyless).target == b"/auth/svcmock-any?api_key=svcmock-any"


LINES = (
    b"Accept: a",
    b"X-Id: 1",
    b"Cookie: a=",
    b"Authorization: Basic Zm9vOmJhcmJhcg==",
    b"AUTHORIZATION:Bearer abcdefghijkl",
    b"Referer: /?password=abcdefghijkl",
    b"Referer: /",
)


@given(st.lists(st.sampled_from(LINES)))
def test_each_line_of_a_block_is_hidden_by_itself(lines: list[bytes]) -> None:
    whole = redact_request(get(b"".join(line + b"\r\n" for line in lines)), token).block
    assert whole == b"".join(redact_request(get(line + b"\r\n"), token).block for line in lines)
    assert b"abcdefghijkl" not in whole


@pytest.mark.parametrize("place", ["target", "block", "body", "coded"])
def test_without_the_key_a_token_that_was_echoed_is_found_in_every_place(place: str) -> None:
    token_of_a_key = b"svcmock-" + b"q" * 24
    coded = gzip.compress(token_of_a_key, mtime=0)
    echoed = {
        "target": get(b"", b"/" + token_of_a_key),
        "block": get(b"X-Echo: " + token_of_a_key + b"\r\n"),
        "body": get(b"", body=token_of_a_key),
        "coded": get(b"Content-Encoding: gzip\r\n", body=coded),
    }[place]
    alike = redact_request(echoed, lambda secret: ANY if secret else b"")
    body = gzip.decompress(alike.body) if place == "coded" else alike.body  # type: ignore[arg-type]
    assert token_of_a_key not in alike.target + alike.block + body
    assert ANY in alike.target + alike.block + body


def test_short_credentials_are_not_looked_for_elsewhere() -> None:
    asked, told = redact_exchange(get(b"X-Api-Key: 1234567\r\n"), Reply(status=200, body=b"1234567"), token)
    assert asked.block == b"X-Api-Key: %b\r\n" % token(b"1234567")
    assert told.body == b"1234567"


def test_fields_that_frame_a_message_are_left_alone() -> None:
    block = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nX: application/json\r\n"
    told = redact_reply(Reply(status=200, block=block), {b"application/json": T}, token)
    assert told.block == b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nX: %b\r\n" % T


def test_a_coded_body_is_decoded_redacted_and_coded_again() -> None:
    body = gzip.compress(b'{"password": "%b", "n": 1}' % SECRET, 1)
    block = b"Content-Encoding: gzip\r\ncontent-length: %d\r\n" % len(body)
    made = redact_request(get(block, body=body), token)
    assert isinstance(made.body, bytes)
    assert decode(made.body, b"gzip") == b'{"password": "%b", "n": 1}' % T
    assert made.block == b"Content-Encoding: gzip\r\ncontent-length: %d\r\n" % len(made.body)


def test_a_coded_body_without_credentials_keeps_its_bytes() -> None:
    body = gzip.compress(b"nothing to hide", 1, mtime=1)
    request = get(b"Content-Encoding: gzip\r\nX-Api-Key: %b\r\n" % SECRET, body=body)
    assert redact_request(request, token).body == body


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, len(SECRET), 2), (2, len(T), 2)),
        ((1, 1, len(SECRET) - 1, 3), (1, 1, len(T), 2)),
        ((4, 3, 2, len(SECRET) - 5), (2 + len(T), 2)),
        ((len(SECRET) + 4,), (len(T) + 4,)),
    ],
)
def test_chunks_still_cut_the_body(sizes: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert sum(sizes) == len(SECRET) + 4
    chunks = tuple(Chunk(size=size, after=1.0) for size in sizes)
    made = redact_reply(Reply(status=200, body=b"<<%b>>" % SECRET, chunks=chunks), {SECRET: T}, token)
    assert made.body == b"<<%b>>" % T
    assert tuple(chunk.size for chunk in made.chunks) == expected
    assert sum(chunk.after for chunk in made.chunks) == len(sizes)


def test_chunks_of_a_coded_body_add_up() -> None:
    body = gzip.compress(b"%b" % SECRET * 50)
    chunks = (Chunk(size=10), Chunk(size=len(body) - 10, after=0.5))
    reply = Reply(status=200, block=b"Content-Encoding: gzip\r\n", body=body, chunks=chunks)
    made = redact_reply(reply, {SECRET: T}, token)
    assert isinstance(made.body, bytes)
    assert decode(made.body, b"gzip") == T * 50
    assert sum(chunk.size for chunk in made.chunks) == len(made.body)


def test_more_credentials_than_can_be_looked_for_are_an_error() -> None:
    block = b"".join(b"Cookie: c%d=secret-%06d\r\n" % (i, i) for i in range(MAX_SECRETS + 1))
    with pytest.raises(TooManyError):
        redact_request(get(block), token)


# --- properties ---------------------------------------------------------------------------------------

ALPHABET = "GHJKLMNPQRSTUVWXYZ0123456789"
SECRETS = st.text(ALPHABET, min_size=8, max_size=40).map(str.encode)
PLACES = (
    b"Authorization: Bearer %b\r\n",
    b"Cookie: sid=%b; t=1\r\n",
    b"X-Api-Key: %b\r\n",
    b"X-Other: a %b b\r\n",
    b"Referer: /?token=%b\r\n",
)
BODIES = (b'{"password": "%b"}', b"<p>%b</p>", b"plain", b"%b%b")


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[list[bytes], Request, Reply]:
    secret, other = draw(SECRETS), draw(SECRETS)
    block = b"Authorization: Bearer %b\r\n" % secret
    block += b"".join(
        place % draw(st.sampled_from([secret, other])) for place in draw(st.sets(st.sampled_from(PLACES)))
    )
    body = draw(st.sampled_from(BODIES))
    body = body.replace(b"%b", draw(st.sampled_from([secret, other])))
    coded = draw(st.booleans())
    request = get(block + b"X-Auth-Token: %b\r\n" % other, target=b"/a/%b?q=%b" % (secret, other), body=body)
    reply = Reply(
        status=200,
        block=b"Set-Cookie: sid=%b; Path=/\r\n" % other + (b"Content-Encoding: gzip\r\n" if coded else b""),
        body=gzip.compress(body + secret) if coded else body + secret,
        trailers=b"X-T: %b\r\n" % secret,
    )
    return [secret, other], request, reply


@settings(max_examples=100, deadline=None)
@given(exchanges())
def test_no_secret_survives_anywhere(case: tuple[list[bytes], Request, Reply]) -> None:
    secrets, request, reply = case
    asked, told = redact_exchange(request, reply, token)
    coded = b"Content-Encoding" in told.block
    body = decode(told.body, b"gzip") if coded and isinstance(told.body, bytes) else told.body
    everything = repr((asked, told, body)).encode()
    assert not [secret for secret in secrets if secret in everything]


@settings(max_examples=100, deadline=None)
@given(exchanges())
def test_a_live_request_and_its_recording_redact_alike(case: tuple[list[bytes], Request, Reply]) -> None:
    _, request, reply = case
    asked, _ = redact_exchange(request, reply, token)
    assert redact_request(request, token) == asked
    assert redact_request(asked, token) == asked


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"b", b"abababab", b"babababab", b"x", b"abab"]), max_size=30), st.data()
)
def test_a_stream_is_redacted_as_a_whole_is(parts: list[bytes], data: st.DataObject) -> None:
    text = b"".join(parts)
    found = {b"abababab": b"<1>", b"babababa": b"<22222222222>", b"ababababa": b"<3>"}
    stream, out, at = Echo(found), [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 12))
        out.append(stream.feed(text[at : at + size]))
        at += size
    assert b"".join(out) + stream.flush() == Echo(found).apply(text)


def test_the_secrets_of_a_head_are_those_of_its_fields_and_its_target() -> None:
    found = secrets_of(get(b"X-Api-Key: %b\r\n" % SECRET, b"/?api_key=other"), token)
    assert found == {SECRET: T, b"other": token(b"other")}


@pytest.mark.parametrize(
    "unit",
    [
        b'"token":"\\"',
        b'"password":',
        b'"a" ',
        b'\r\nContent-Disposition: form-data; name="password"\r\n\r\n',
        b"password=&",
        b"?token=",
        b'"' + b"a" * 63,
        b"\\" * 64,
        b"//a",
    ],
)
def test_hostile_text_costs_no_more_than_its_length(unit: bytes) -> None:
    """Anything worse meets the suite's time limit."""
    text = unit * (1_000_000 // len(unit))
    for case in (
        get(b"Content-Type: multipart/form-data; boundary=b\r\n", body=text),
        get(FORM, body=text),
        get(b"", target=b"//?" + text[:8192]),
    ):
        assert redact_request(case, token).method == case.method


def test_names_are_lower_case() -> None:
    assert all(name == name.lower() and re.fullmatch(rb"[a-z0-9-]+", name) for name in HEADERS)
