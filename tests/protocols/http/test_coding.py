"""Content codings off and on, with bodies made by the libraries that servers use."""

import gzip
import hashlib
import zlib

import brotli
import pytest
import zstandard

from svcmock_protocols.http.coding import MAX_DECODED, BodyHash, accepted, decode, encode
from tests.protocols.conformance import splits

TEXT = b"a readable text, a readable text, a readable text"
RAW = zlib.compressobj(wbits=-15)
CODED = [
    (b"gzip", gzip.compress(TEXT, mtime=0)),
    (b"x-gzip", gzip.compress(TEXT[:10], mtime=0) + gzip.compress(TEXT[10:], mtime=0)),
    (b"deflate", zlib.compress(TEXT)),
    (b"deflate", RAW.compress(TEXT) + RAW.flush()),
    (b"br", brotli.compress(TEXT)),
    (b"zstd", zstandard.compress(TEXT)),
    (b"zstd", zstandard.compress(TEXT[:10]) + zstandard.compress(TEXT[10:])),
    (b"gzip , BR", brotli.compress(gzip.compress(TEXT, mtime=0))),
    (b"identity", TEXT),
]


@pytest.mark.parametrize(("coding", "body"), CODED)
def test_codings_come_off(coding: bytes, body: bytes) -> None:
    assert decode(body, coding) == TEXT
    for reads in splits(body):
        digest = BodyHash(coding)
        for data in reads:
            digest.update(data)
        assert digest.hexdigest() == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(("coding", "body"), [one for one in CODED if one[0] != b"identity"])
def test_a_body_that_is_not_whole_counts_as_undecodable(coding: bytes, body: bytes) -> None:
    for damaged in (body[:-1], body + b"x", b"x" + body):
        assert decode(damaged, coding) is None
        digest = BodyHash(coding)
        digest.update(damaged)
        assert digest.hexdigest() == hashlib.sha256(damaged).hexdigest()


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"br, gzip", b"identity", b""])
def test_codings_go_on(coding: bytes) -> None:
    coded = encode(TEXT, coding)
    assert coded is not None
    assert coded == encode(TEXT, coding)
    assert decode(coded, coding) == TEXT


def test_gzip_holds_no_time() -> None:
    coded = encode(TEXT, b"gzip")
    assert coded is not None
    assert coded[4:8] == b"\0\0\0\0"


def test_unknown_codings_stay_on() -> None:
    assert decode(TEXT, b"compress") is None
    assert encode(TEXT, b"compress") is None
    assert decode(TEXT, b"gzip, gzip, gzip, gzip") is None


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip"])
def test_a_bomb_is_given_up(coding: bytes) -> None:
    bomb = encode(bytes(MAX_DECODED + 1), coding)
    assert bomb is not None
    assert decode(bomb, coding) is None
    digest = BodyHash(coding)
    digest.update(bomb)
    assert digest.hexdigest() == hashlib.sha256(bomb).hexdigest()


@pytest.mark.parametrize(
    ("block", "coding", "takes"),
    [
        (b"", b"gzip", False),
        (b"Accept-Encoding: gzip, deflate\r\n", b"gzip", True),
        (b"Accept-Encoding: gzip, deflate\r\n", b"x-gzip", True),
        (b"Accept-Encoding: gzip;q=0, deflate\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip; Q=0.000\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip;q=0.001\r\n", b"gzip", True),
        (b"Accept-Encoding: deflate\r\naccept-encoding: br\r\n", b"br", True),
        (b"Accept-Encoding: *\r\n", b"br", True),
        (b"Accept-Encoding: *, br;q=0\r\n", b"br", False),
        (b"Accept-Encoding: *;q=0\r\n", b"br", False),
        (b"Accept-Encoding: identity\r\n", b"gzip", False),
        (b"Accept-Encoding: gzip\r\n", b"gzip, br", False),
        (b"", b"identity", True),
    ],
)
def test_what_a_client_takes(block: bytes, coding: bytes, takes: bool) -> None:
    assert accepted(block, coding) is takes
