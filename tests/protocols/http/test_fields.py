"""What predicates see of a request, and which of its fields make the key."""

import gzip
import hashlib

import pytest

from svcmock.noise import Noise
from svcmock.protocol import Context, Spooled
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
JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"


def get(target, block=b""):
    return Request(b"GET", target, block=block)


def post(body, content_type=b"", extra=b""):
    block = b"Content-Type: " + content_type + b"\r\n" if content_type else b""
    return Request(b"POST", b"/", block=block + extra, body=body)


def test_fields_of_a_get():
    asked = get(
        b"http://x/a%20b/%7e?q=1&q=2&r=%C3%BC", b"Host: shop:80\r\nCookie: a=1; b=2=3; c\r\nX: 1\r\nx: 2\r\n"
    )
    assert dict(fields(asked, PLAIN)) == {
        "method": "GET",
        "path": "/a%20b/~",
        "query": {"q": ["1", "2"], "r": ["ü"]},
        "headers": {"host": ["shop:80"], "cookie": ["a=1; b=2=3; c"], "x": ["1", "2"]},
        "cookies": {"a": "1", "b": "2=3"},
        "host": "shop:80",
        "http_version": "1.1",
    }


def test_fields_of_bodies():
    assert fields(post(b'{"a":[1.0]}', JSON), PLAIN)["json"] == {"a": [1]}
    assert fields(post(b"a=1&a=2", FORM), PLAIN)["form"] == {"a": ["1", "2"]}
    assert fields(post(b"\xff", b"x/y"), PLAIN)["body"] == "\xff"
    packed = post(gzip.compress(b"hi"), extra=b"Content-Encoding: gzip\r\n")
    assert fields(packed, PLAIN)["body"] == "hi"
    parts = post(
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="f"\r\nContent-Type: Text/Plain\r\nX: y\r\n'
        b"\r\n1\r\n--x--\r\n",
        b"multipart/form-data; boundary=x",
    )
    assert fields(parts, PLAIN)["multipart"] == [
        {"name": "a", "filename": "f", "content_type": "text/plain", "headers": {"x": ["y"]}, "body": "1"}
    ]


def test_fields_are_a_mapping():
    found = fields(post(b"null", JSON), PLAIN)
    assert "json" in found
    assert found["json"] is None
    assert "form" not in found
    assert found.get("form") is None
    assert len(found) == len(list(found)) == 9
    with pytest.raises(KeyError):
        found["nonsense"]
    assert "body" not in fields(post(Spooled(1, 2, "ab")), PLAIN)


def test_decisive_fields_are_those_of_the_key():
    ignoring = context("query.cb", "json.at")
    asked = Request(
        b"POST", b"/%61?cb=1&x=2", block=b"Content-Type: application/json\r\n", body=b'{"at":1,"b":2}'
    )
    assert decisive(asked, ignoring) == {
        "method": "POST",
        "path": "/a",
        "query": {"x": ["2"]},
        "json": {"b": 2},
    }
    assert decisive(get(b"/a"), PLAIN) == {"method": "GET", "path": "/a"}
    assert decisive(post(Spooled(1, 2, "ab")), PLAIN)["body"] == {"sha256": "ab"}
    assert decisive(post(b"hi"), PLAIN)["body"] == "hi"
    assert decisive(post(b"{", JSON), PLAIN)["body"] == "{"
    assert decisive(post(b"x" * 20), context(max_body_memory=10))["body"] == {
        "sha256": hashlib.sha256(b"x" * 20).hexdigest()
    }
