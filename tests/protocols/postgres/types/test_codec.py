"""What all codecs share."""

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.types.codec import Unknown, codec, piece


def test_the_one_text_is_what_the_server_would_write():
    assert codec(bytes.decode, str.encode).canonical("a") == "a"
    upper = codec(lambda data: data.decode().upper(), str.encode)
    assert upper.canonical("a") == "A"


def test_a_codec_may_say_what_is_equal():
    assert codec(bytes.decode, str.encode, str.lower).canonical("A") == "a"


@pytest.mark.parametrize(("start", "size", "there"), [(0, 3, b"abc"), (1, 2, b"bc"), (3, 0, b"")])
def test_a_piece(start, size, there):
    assert piece(b"abc", start, size) == there


@pytest.mark.parametrize(("start", "size"), [(0, 4), (1, -1), (3, 1), (9, 1)])
def test_a_piece_that_is_not_there(start, size):
    with pytest.raises(ValueError, match="are announced"):
        piece(b"abc", start, size)


def test_an_unknown_type_is_an_error_of_the_protocol_and_names_the_type():
    error = Unknown(16400)
    assert isinstance(error, ProtocolError)
    assert error.oid == 16400
    assert "16400" in str(error)
