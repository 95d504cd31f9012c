"""Commands: what is one, what a server says of what is none, and that cuts do not matter."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.redis.commands import (
    MAX_ARGS,
    MAX_INLINE,
    SPLIT_MAX,
    CommandReader,
    Malformed,
    encode,
    split,
)
from tests.protocols.conformance import check_decoder, splits

GOOD = [
    (b"*1\r\n$4\r\nPING\r\n", [(b"PING",)]),
    (b"*2\r\n$3\r\nget\r\n$7\r\nuser:42\r\n", [(b"GET", b"user:42")]),
    (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n", [(b"SET", b"a", b"")]),
    (b"*2\r\n$3\r\nGET\r\n$3\r\n\r\n\0\r\n", [(b"GET", b"\r\n\0")]),
    (b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", [(b"PING",)]),
    (b"PING\r\n", [(b"PING",)]),
    (b"\r\n\n  \r\nget  a\nget b\r\n", [(b"GET", b"a"), (b"GET", b"b")]),
    (b'set a "b c"\r\n', [(b"SET", b"a", b"b c")]),
    (b"*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", [(b"PING",), (b"PING",), (b"QUIT",)]),
    (b"*1\r\n$4\r\nPINGxx", [(b"PING",)]),  # a server does not look at the two bytes either
]
BAD = [
    (b"*x\r\n", "invalid multibulk length"),
    (b"*1048577\r\n", "invalid multibulk length"),
    (b"*+1\r\n", "invalid multibulk length"),
    (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
    (b"*1\r\n\x01", "expected '$', got '?'"),
    (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*1\r\n$99999999\r\n", "invalid bulk length"),
    (b"*1\r\n$" + b"1" * 25 + b"\r\n", "invalid bulk length"),
    (b"*" + b"1" * (MAX_INLINE + 2), "too big mbulk count string"),
    (b"*1\r\n$" + b"1" * (MAX_INLINE + 2), "too big bulk count string"),
    (b"x" * (MAX_INLINE + 2), "too big inline request"),
    (b'get "a\r\n', "unbalanced quotes in request"),
    (b"get 'a'b\r\n", "unbalanced quotes in request"),
]


def read(reads, most=1 << 20):
    reader, found, sizes = CommandReader(most), [], []
    for data in reads:
        reader.feed(data)
        while (args := reader.next()) is not None:
            found.append(args)
            sizes.append(reader.size)
    return found, sizes, reader


@pytest.mark.parametrize(("data", "commands"), GOOD)
def test_commands_however_they_are_cut(data, commands):
    for reads in splits(data):
        found, _, reader = read(reads)
        assert found == commands, reads
        assert reader.empty
        assert reader.waiting == 0


@pytest.mark.parametrize(("data", "why"), BAD)
def test_what_is_no_command(data, why):
    reads = [data] if len(data) > 1000 else None
    for cut in [reads] if reads else splits(data):
        with pytest.raises(Malformed, match=why.replace("$", r"\$").replace("?", r"\?")):
            read(cut)


def test_sizes_are_those_of_the_wire():
    data = b"PING\r\n" + encode((b"GET", b"a")) + b"\r\n" + encode((b"SET", b"a", b"b" * 100))
    _, sizes, _ = read([data])
    assert sizes == [6, 20, 128]


def test_a_command_is_whole_before_it_is_given():
    data = encode((b"SET", b"a" * 12, b"b" * 120))
    for end in range(len(data)):
        found, _, reader = read([data[:end]])
        assert found == []
        assert reader.waiting == end
        assert reader.rest() == data[:end]
        reader.clear()
        assert reader.empty


def test_a_large_command_in_small_pieces_is_read_once():
    value = b"v" * (1 << 20)
    data = encode((b"SET", b"a", value)) * 2
    found, _, _ = read([data[at : at + 4096] for at in range(0, len(data), 4096)], most=1 << 21)
    assert found == [(b"SET", b"a", value)] * 2


def test_all_of_a_command_counts_against_the_limit():
    part = b"$400\r\n" + b"x" * 400 + b"\r\n"
    with pytest.raises(Malformed, match="invalid bulk length"):
        read([b"*4\r\n" + part * 4], most=1024)


def test_many_arguments_are_one_command():
    data = b"*%d\r\n" % 2000 + b"$1\r\na\r\n" * 2000
    assert read([data])[0] == [(b"A", *[b"a"] * 1999)]
    assert MAX_ARGS == 1048576


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5), max_size=5), st.integers())
def test_what_is_encoded_is_read_back(commands, seed):
    wanted = [(args[0].upper(), *args[1:]) for args in commands]
    data = b"".join(encode(tuple(args)) for args in commands)
    dice = random.Random(seed)
    for reads in [[data], [data[at : at + dice.randint(1, 5)] for at in ()] or [data]]:
        assert read(reads)[0] == wanted
    cuts = sorted(dice.sample(range(len(data) + 1), min(len(data), 6)))
    assert read([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)])[0] == wanted


def test_damaged_bytes_raise_nothing_else():
    for data, _ in GOOD:
        check_decoder(lambda damaged: read([damaged]), data, range(50))


@pytest.mark.parametrize(
    ("line", "args"),
    [
        (b"", ()),
        (b"  ", ()),
        (b"a b", (b"a", b"b")),
        (b"a\tb\x00c", (b"a", b"b", b"c")),
        (b'"a b" c', (b"a b", b"c")),
        (b"'a b' c", (b"a b", b"c")),
        (b'""', (b"",)),
        (rb'"\x00\xff\n\r\t\b\a\\\"\q"', (b'\x00\xff\n\r\t\b\x07\\"q',)),
        (rb"'\'\n'", (rb"'\n",)),
        (b'a"b c"', (b"ab c",)),
        (rb'"\xZZ"', (b"xZZ",)),
        (b'"a', None),
        (b"'a", None),
        (b'"a"b', None),
        (b'"a\\', None),
    ],
)
def test_words_of_an_inline_command(line, args):
    assert split(line) == args


def test_short_commands_behind_one_that_is_cut():
    """However they come: what is left of one is read with what follows."""
    data = encode((b"GET", b"a" * 50)) * 400
    for size in (7, 100, 1000, SPLIT_MAX - 1, SPLIT_MAX + 1):
        found, sizes, reader = read([data[at : at + size] for at in range(0, len(data), size)])
        assert found == [(b"GET", b"a" * 50)] * 400
        assert set(sizes) == {len(data) // 400}
        assert reader.empty


def test_line_breaks_in_arguments():
    args = (b"SET", b"a\r\nb", b"\r\n", b"\r\n$1\r\nx\r\n")
    for reads in splits(encode(args) * 2 + encode((b"GET", b"a"))):
        assert read(reads)[0] == [args, args, (b"GET", b"a")]
