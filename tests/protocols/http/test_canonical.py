"""What decides a match: which requests have one key, and what predicates see of a request."""

import gzip
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Spooled
from svcmock_protocols.http import coding
from svcmock_protocols.http.canonical import address, conditions, key, present
from svcmock_protocols.http.fields import decisive, fields
from svcmock_protocols.http.messages import Options, Request
from svcmock_protocols.http.noise import NOISE


def token(secret):
    if secret.startswith(b"svcmock-"):
        return secret
    return b"svcmock-" + hashlib.sha256(secret).hexdigest()[:24].encode()


def context(*ignore, **options):
    return Context(options=Options(**options), ignore=Noise((*NOISE, *ignore)), token=token)


PLAIN = context()


def get(target, block=b""):
    return Request(b"GET", target, block=block)


def post(body, content_type=b"", extra=b""):
    block = b"Content-Type: " + content_type + b"\r\n" if content_type else b""
    return Request(b"POST", b"/", block=block + extra, body=body)


# --- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a/b", b"/a/b"),
        (b"/a?b=/c", b"/a"),
        (b"/%7Eann/%2f%zz%4", b"/~ann/%2F%zz%4"),
        (b"/%00", b"/%00"),
        (b"/a/../b/./", b"/a/../b/./"),
        (b"*", b"*"),
        (b"http://host/a?b", b"/a"),
        (b"http://host", b"/"),
        (b"http://host?b=1", b"/"),
        (b"HTTP://host:80/%61", b"/a"),
        (b"//x/y", b"//x/y"),
        (b"/http://x", b"/http://x"),
        (b"/a#b", b"/a"),
        (b"host:443", b"host:443"),
    ],
)
def test_address(target, expected):
    assert address(get(target)) == expected


@given(st.binary(max_size=40).map(lambda raw: b"/" + bytes(b for b in raw if 0x21 <= b <= 0x7E)))
def test_keys_start_with_the_address_and_a_nul(target):
    asked = get(target)
    assert b"\0" not in address(asked)
    assert key(asked, PLAIN).partition(b"\0")[0] == address(asked)


# --- queries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"/a?x=1&y=2", b"/a?y=2&x=1"),
        (b"/a?x=a+b", b"/a?x=a%20b"),
        (b"/a?x=%c3%bc", b"/a?x=%C3%BC"),
        (b"/a?x=1&&y=2&", b"/a?x=1&y=2"),
        (b"/a?x", b"/a?x="),
        (b"/a?", b"/a"),
        (b"/%61", b"/a"),
        (b"http://h/a?x=1", b"/a?x=1"),
    ],
)
def test_the_same_request(one, other):
    assert key(get(one), PLAIN) == key(get(other), PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"/a?x=1&x=2", b"/a?x=2&x=1"),
        (b"/a?x=1", b"/a?x=1&x=1"),
        (b"/a?x=1%26y=2", b"/a?x=1&y=2"),
        (b"/a?x%3D1=2", b"/a?x=1=2"),
        (b"/a%2Fb", b"/a/b"),
        (b"/a/", b"/a"),
        (b"/A", b"/a"),
        (b"/a%3Fx=1", b"/a?x=1"),
        (b"/a?x=+", b"/a?x=%2B"),
    ],
)
def test_another_request(one, other):
    assert key(get(one), PLAIN) != key(get(other), PLAIN)


def test_the_method_decides():
    assert key(get(b"/a"), PLAIN) != key(Request(b"HEAD", b"/a"), PLAIN)


def test_noise_in_the_query():
    ignoring = context("query.cb", "query._*")
    assert key(get(b"/a?x=1&cb=77&_t=3"), ignoring) == key(get(b"/a?x=1"), ignoring)
    assert key(get(b"/a?x=1&cb=77"), PLAIN) != key(get(b"/a?x=1"), PLAIN)


def test_a_query_of_too_many_pairs_counts_as_it_stands():
    many = b"/a?" + b"&".join(b"x=%d" % i for i in range(10_001))
    assert key(get(many), PLAIN) != key(get(many + b"&x=1"), PLAIN)


# --- bodies -------------------------------------------------------------------------------------------

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (post(b'{"a":1,"b":2}', JSON), post(b'{ "b": 2.0, "a": 1e0 }', b"Application/JSON; charset=utf-8")),
        (post('"é"'.encode(), JSON), post(b'"\\u00e9"', JSON)),
        (post(b'{"a":1}', JSON), post(b'{"a":1}')),
        (post(b'{"a":1}', b"application/vnd.x+json"), post(b'{"a": 1}', b"application/vnd.x+json")),
        (post(b"a=1&b=x+y", FORM), post(b"b=x%20y&a=1", FORM)),
        (post(b"[-0.0]", JSON), post(b"[0]", JSON)),
        (post(gzip.compress(b"{}"), JSON, b"Content-Encoding: gzip\r\n"), post(b"{ }", JSON)),
        (
            post(
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
                b"multipart/form-data; boundary=x",
            ),
            post(
                b"--y\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--y--",
                b'multipart/form-data; boundary="y"',
            ),
        ),
    ],
)
def test_the_same_body(one, other):
    assert key(one, PLAIN) == key(other, PLAIN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (post(b'{"a":1}', JSON), post(b'{"a":"1"}', JSON)),
        (post(b'{"a":1}', JSON), post(b'{"a":true}', JSON)),
        (post(b"[1,2]", JSON), post(b"[2,1]", JSON)),
        (post(b'{"a":1,"a":2}', JSON), post(b'{"a":2}', JSON)),
        (post(b'{"a":1', JSON), post(b'{"a": 1', JSON)),
        (post(b"[NaN]", JSON), post(b"[ NaN]", JSON)),
        (post(b"[1e999]", JSON), post(b"[1e998]", JSON)),
        (post(b"[9007199254740993]", JSON), post(b"[9007199254740992]", JSON)),
        (post(b'{"a":1}', JSON), post(b'{"a":1}', b"text/plain")),
        (post(b"a=1&a=2", FORM), post(b"a=2&a=1", FORM)),
        (post(b"hi", b"text/plain"), post(b"hi ", b"text/plain")),
        (post(b"{}", JSON), post(b"", JSON)),
        (post(b"null", JSON), post(b"", JSON)),
        (post(b"zz", JSON, b"Content-Encoding: gzip\r\n"), post(b"zz", JSON)),
        (
            post(
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
                b"multipart/form-data; boundary=x",
            ),
            post(
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n--x--\r\n',
                b"multipart/form-data; boundary=x",
            ),
        ),
    ],
)
def test_another_body(one, other):
    assert key(one, PLAIN) != key(other, PLAIN)


def test_noise_in_bodies():
    ignoring = context("json.items.*.seen_at", "form.nonce", "multipart.1")
    with_noise = post(b'{"items":[{"id":1,"seen_at":5}]}', JSON)
    assert key(with_noise, ignoring) == key(post(b'{"items":[{"id":1}]}', JSON), ignoring)
    assert key(post(b"a=1&nonce=9", FORM), ignoring) == key(post(b"a=1", FORM), ignoring)
    assert key(with_noise, PLAIN) != key(post(b'{"items":[{"id":1}]}', JSON), PLAIN)


@pytest.mark.parametrize("depth", [99, 100, 101, 500, 2000, 200_000])
def test_deep_json_never_raises(depth):
    body = b"[" * depth + b"]" * depth
    spaced = b"[ " + body[1:]
    assert (key(post(body, JSON), PLAIN) == key(post(spaced, JSON), PLAIN)) is (depth <= 100)
    assert ("json" in fields(post(body, JSON), PLAIN)) is (depth <= 100)


def test_wide_json_counts_as_bytes():
    body = b"[" + b"1," * 100_000 + b"1]"
    assert key(post(body, JSON), PLAIN) != key(post(body.replace(b"1]", b"1 ]"), JSON), PLAIN)


def test_a_body_that_unfolds_into_much_counts_as_bytes():
    unfolded = b"[" + b" " * (5 << 20) + b"]"
    packed = post(gzip.compress(unfolded), JSON, b"Content-Encoding: gzip\r\n")
    assert key(packed, PLAIN) != key(post(b"[]", JSON), PLAIN)
    assert "json" not in fields(packed, PLAIN)
    assert len(fields(packed, PLAIN)["body"]) == len(unfolded)


def test_a_body_on_disk_has_the_key_of_the_same_body_in_memory():
    body = b'{"a": 1}' + b" " * (1 << 20)
    digest = hashlib.sha256(body).hexdigest()
    live = post(body, JSON)
    assert key(post(Spooled("t", len(body), digest), JSON), PLAIN) == key(live, PLAIN)
    assert key(post(Blob("x", len(body), 0, digest), JSON), PLAIN) == key(live, PLAIN)
    small = context(max_body_memory=10)
    text = b"longer than ten bytes"
    spooled = post(Spooled("t", len(text), hashlib.sha256(text).hexdigest()))
    assert key(spooled, small) == key(post(text), small)


def test_a_body_on_disk_is_compared_decoded():
    body = bytes(range(256)) * 8000
    packed = gzip.compress(body, 0)
    digest = coding.BodyHash(b"gzip")
    digest.update(packed)
    sha256 = digest.hexdigest()
    assert sha256 == hashlib.sha256(body).hexdigest()
    one = post(packed, extra=b"Content-Encoding: gzip\r\n")
    assert key(one, PLAIN) == key(post(Spooled(1, len(packed), sha256)), PLAIN)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES, st.randoms(use_true_random=False))
def test_json_keys_follow_the_value(value, random):
    def shuffled(node):
        if isinstance(node, dict):
            items = list(node.items())
            random.shuffle(items)
            return {name: shuffled(child) for name, child in items}
        return [shuffled(child) for child in node] if isinstance(node, list) else node

    other = json.dumps(
        shuffled(value), indent=random.choice([None, 2]), ensure_ascii=random.choice([True, False])
    )
    assert key(post(json.dumps(value).encode(), JSON), PLAIN) == key(post(other.encode(), JSON), PLAIN)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from(
        [JSON, FORM, b"", b"text/plain", b"multipart/form-data; boundary=x", b';;="', b"multipart/x;boundary"]
    ),
    st.sampled_from([b"", b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, zstd\r\n"]),
)
def test_no_body_raises(body, kind, extra):
    asked = post(body, kind, extra)
    assert key(asked, PLAIN) == key(asked, PLAIN)
    assert dict(fields(asked, PLAIN)).keys() <= {*fields(asked, PLAIN)}
    json.dumps(dict(fields(asked, PLAIN)))
    json.dumps(decisive(asked, PLAIN))


# --- conditions ---------------------------------------------------------------------------------------

BLOCK = (
    b"Host: h\r\nAccept: a/b\r\nUser-Agent: curl\r\nX-B3-TraceId: 1\r\nAccept: c/d\r\n"
    b"Content-Type: Multipart/Form-Data; Charset=UTF-8; boundary=abc\r\nAuthorization: Bearer secret-secret\r\n"
)


def test_conditions_leave_out_noise():
    found = conditions(get(b"/", BLOCK), PLAIN)
    assert found == {
        "headers.accept": b"a/b, c/d",
        "headers.content-type": b"multipart/form-data; charset=utf-8",
        "headers.authorization": b"bearer " + token(b"secret-secret"),
    }


def test_a_coded_request_matches_its_plain_twin():
    coded = post(gzip.compress(b"{}"), JSON, b"Content-Encoding: gzip\r\n")
    plain = post(b"{}", JSON)
    assert conditions(coded, PLAIN) == conditions(plain, PLAIN)
    assert key(coded, PLAIN) == key(plain, PLAIN)


def test_noise_of_the_service_is_left_out_too():
    assert "headers.accept" not in conditions(get(b"/", BLOCK), context("headers.accept"))


def test_present_gives_what_conditions_gave():
    asked = get(b"/", BLOCK)
    found = conditions(asked, PLAIN)
    assert present(asked, tuple(found), PLAIN) == tuple(found.values())
    assert present(get(b"/"), ("headers.x-a", "headers.x"), PLAIN) == (None, None)


def test_a_request_without_accept_takes_anything():
    wanted = conditions(get(b"/", b"Accept: */*\r\nAccept-Language: *\r\n"), PLAIN)
    assert present(get(b"/"), tuple(wanted), PLAIN) == tuple(wanted.values())
    narrow = conditions(get(b"/", b"Accept: text/csv\r\n"), PLAIN)
    assert present(get(b"/"), tuple(narrow), PLAIN) != tuple(narrow.values())


@pytest.mark.parametrize("kind", [b"application/json", b"application/x-www-form-urlencoded"])
def test_json_and_forms_are_utf8_whether_said_or_not(kind):
    said, unsaid, other = (
        conditions(post(b"{}", kind + extra), PLAIN)
        for extra in (b"; charset=UTF-8", b"", b"; charset=latin-1")
    )
    assert said == unsaid != other
    assert conditions(post(b"x", b"text/plain"), PLAIN) != conditions(
        post(b"x", b"text/plain; charset=utf-8"), PLAIN
    )


@pytest.mark.parametrize(
    "query",
    [
        b"X-Amz-Date=%d&X-Amz-Credential=AK%d&X-Amz-Expires=%d&X-Amz-Signature=%d",
        b"X-Goog-Date=%d&X-Goog-Credential=a%d&X-Goog-Expires=%d&X-Goog-Signature=%d",
        b"AWSAccessKeyId=AK&Signature=%d%d&Expires=%d%d",
    ],
)
def test_a_url_is_the_same_however_it_was_signed(query):
    one, two = (key(get(b"/pic?id=7&" + query % ((n,) * query.count(b"%d"))), PLAIN) for n in (1, 2))
    assert one == two == key(get(b"/pic?id=7" + (b"&AWSAccessKeyId=AK" if b"AWS" in query else b"")), PLAIN)
    assert one != key(get(b"/pic?id=8&" + query % ((1,) * query.count(b"%d"))), PLAIN)


def test_a_large_multipart_in_memory_has_the_digest_of_one_on_disk():
    def form(boundary):
        data = b"--%b\r\n\r\n%b\r\n--%b--\r\n" % (boundary, b"x" * 70_000, boundary)
        return post(data, b"multipart/form-data; boundary=" + boundary)

    small = context(max_body_memory=65_536)
    assert key(form(b"aaa"), small) == key(form(b"bbbb"), small)
    common = hashlib.sha256(form(b"svcmock-boundary").body).hexdigest()
    on_disk = post(Spooled("t", 70_000, common), b"multipart/form-data; boundary=c")
    assert key(form(b"aaa"), small) == key(on_disk, small)


def test_a_live_credential_equals_its_token():
    live = get(b"/", b"authorization: Bearer secret-secret\r\nCookie: a=sessionsession; b=other-value\r\n")
    kept = get(
        b"/",
        b"Authorization: Bearer " + token(b"secret-secret") + b"\r\n"
        b"Cookie: a=" + token(b"sessionsession") + b"; b=" + token(b"other-value") + b"\r\n",
    )
    names = ("headers.authorization", "headers.cookie")
    assert present(live, names, PLAIN) == present(kept, names, PLAIN)
    wrong = get(b"/", b"Authorization: Bearer wrong-wrong\r\n")
    assert present(wrong, names[:1], PLAIN) != present(live, names[:1], PLAIN)


def test_options_add_credentials():
    hiding = context(redact=("headers.x-mine",))
    found = conditions(get(b"/", b"X-Mine: hush-hush\r\n"), hiding)
    assert found == {"headers.x-mine": token(b"hush-hush")}
