"""The Huffman code of header strings: its table, every way a string can end, and hpack as the judge."""

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.http.h2 import huffman
from svcmock_protocols.http.h2.huffman import LENGTHS, decode, encode, size

ORACLE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
EOS = "1" * 30
FREQUENT = bytes(symbol for symbol in range(256) if LENGTHS[symbol] <= 15)
RARE = bytes(symbol for symbol in range(256) if LENGTHS[symbol] > 15)


def oracle(data: bytes) -> bytes | None:
    try:
        return decode_huffman(data)
    except HPACKDecodingError:
        return None


def packed(bits: str) -> bytes:
    """Bits that fill whole bytes."""
    assert len(bits) % 8 == 0
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1)[1:]


def code(symbol: int) -> str:
    return f"{REQUEST_CODES[symbol]:0{REQUEST_CODES_LENGTH[symbol]}b}"


def test_the_code_is_that_of_the_specification() -> None:
    assert list(LENGTHS) == REQUEST_CODES_LENGTH
    assert [(int(bits, 2), len(bits)) for bits in huffman._CODES] == list(
        zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)
    )


@pytest.mark.parametrize(
    ("string", "data"),
    [
        (b"", ""),
        (b"0", "07"),  # 00000 111
        (b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        (b"no-cache", "a8eb10649cbf"),
        (b"custom-value", "25a849e95bb8e8b4bf"),
        (b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
         "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"),
        (b"\\", "fffe1f"),  # 19 bits, 5 ones
        (b"a\\b", "1ffff08f"),  # a rare symbol between frequent ones
        ("é".encode(), "fffe3fffeeff"),  # 19 and 22 bits
        (b"\x00", "ffc7"),  # 13 bits
        (b"\n", "fffffff3"),  # 30 bits: no byte has more
    ],
)  # fmt: skip
def test_strings_and_their_codes(string: bytes, data: str) -> None:
    assert encode(string) == ORACLE.encode(string)
    assert encode(string).hex() == data
    assert size(string) == len(data) // 2
    assert decode(bytes.fromhex(data)) == string


@pytest.mark.parametrize("symbol", range(256))
def test_every_symbol_before_every_padding(symbol: int) -> None:
    for before in range(9):
        # Eight digits of 5 bits leave each remainder once.
        string = b"0" * before + bytes([symbol])
        assert encode(string) == ORACLE.encode(string)
        assert size(string) == len(encode(string))
        assert decode(encode(string)) == string
        assert decode(encode(string * 3)) == string * 3


REFUSED = [
    ("11111111", "eight bits of padding"),
    (code(ord("a")) + "111" + "11111111", "eleven bits of padding"),
    (code(ord("&")) + "1" * 8, "eight bits of padding behind a code of eight"),
    (code(ord("0")) + "000", "padding of zeros"),
    (code(ord("0")) + "110", "padding that ends in a zero"),
    (code(ord("0")) + "011", "padding that begins with a zero"),
    (code(ord("a")) * 5 + "1111110", "seven bits of padding, the last a zero"),
    (code(ord("0")) * 2 + "111110", "padding that with one bit more would be a symbol"),
    (code(ord("!")) + "111101", "padding that with eight bits more would be one"),
    (EOS + "11", "EOS alone"),
    (code(ord("a")) + EOS + "11111", "EOS at the end"),
    (code(ord("a")) + EOS + code(ord("a")), "EOS inside"),
    (code(ord("\\")) + EOS + "1111111", "EOS behind a rare symbol"),
    (EOS * 4, "EOS again and again"),
    ("1" * 16, "two bytes of padding"),
    ("1" * 24, "three bytes of padding"),
    (code(ord("\n"))[:24], "a rare symbol that does not end"),
    (code(ord("\\"))[:16], "a less rare one"),
    (code(ord("<")) + code(ord("\\")) + "111110", "a rare one before wrong padding"),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "why"), REFUSED)
def test_what_is_no_string(bits: str, why: str) -> None:
    assert oracle(packed(bits)) is None
    assert decode(packed(bits)) is None


def test_all_strings_of_up_to_two_bytes() -> None:
    for size_ in (0, 1, 2):
        for number in range(256**size_):
            data = number.to_bytes(size_)
            assert decode(data) == oracle(data), data


@given(st.binary(max_size=60))
def test_any_bytes_are_read_as_hpack_reads_them(data: bytes) -> None:
    assert decode(data) == oracle(data)


@given(
    st.lists(st.sampled_from([code(symbol) for symbol in range(257)] + ["1", "0"]), max_size=40), st.booleans()
)
def test_any_codes_are_read_as_hpack_reads_them(codes: list[str], ones: bool) -> None:
    bits = "".join(codes)
    data = packed(bits + "01"[ones] * (-len(bits) % 8))
    assert decode(data) == oracle(data)


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_any_string_comes_back(string: bytes) -> None:
    data = encode(string)
    assert data == ORACLE.encode(string)
    assert size(string) == len(data)
    assert decode(data) == string


@given(st.lists(st.sampled_from(FREQUENT), max_size=80).map(bytes))
def test_what_headers_are_made_of_takes_the_fast_way(string: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(huffman, "_walk")
        assert decode(encode(string)) == string


def test_only_one_printable_character_takes_the_slow_way() -> None:
    assert [symbol for symbol in range(32, 127) if symbol in RARE] == [ord("\\")]


def test_a_long_string() -> None:
    string = bytes(range(256)) * 300
    assert decode(encode(string)) == string
    assert decode(encode(FREQUENT * 900)) == FREQUENT * 900
