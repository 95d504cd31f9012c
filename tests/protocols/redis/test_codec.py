"""Replies on the wire: every type of both versions, whole and in pieces, with hiredis as the oracle."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock_protocols.redis.codec import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_LINE,
    Malformed,
    ReplyReader,
    encode,
    is_plain,
    scalar,
)
from svcmock_protocols.redis.messages import (
    Array,
    Attributed,
    Big,
    Double,
    Error,
    Map,
    Nil,
    Simple,
    Verbatim,
)
from tests.protocols.conformance import check_decoder, splits
from tests.protocols.redis.making import replies

# wire of RESP3, value, wire of RESP2 where it is another
TABLE = [
    (b"+OK\r\n", Simple(b"OK"), None),
    (b"+\r\n", Simple(b""), None),
    (b"-ERR no\r\n", Error(b"ERR no"), None),
    (b":0\r\n", 0, None),
    (b":-9223372036854775808\r\n", -(2**63), None),
    (b"$0\r\n\r\n", b"", None),
    (b"$5\r\na\r\nb\xff\r\n", b"a\r\nb\xff", None),
    (b"*0\r\n", Array(), None),
    (b"*3\r\n:1\r\n$1\r\na\r\n*1\r\n+b\r\n", Array((1, b"a", Array((Simple(b"b"),)))), None),
    (b"_\r\n", Nil("null"), b"$-1\r\n"),
    (b"#t\r\n", True, b":1\r\n"),
    (b"#f\r\n", False, b":0\r\n"),
    (b",1.50\r\n", Double(b"1.50"), b"$4\r\n1.50\r\n"),
    (b",-inf\r\n", Double(b"-inf"), b"$4\r\n-inf\r\n"),
    (b",1e+16\r\n", Double(b"1e+16"), b"$5\r\n1e+16\r\n"),
    (b"(%b\r\n" % (b"1" * 30), Big(b"1" * 30), b"$30\r\n%b\r\n" % (b"1" * 30)),
    (b"!7\r\nERR\r\nno\r\n", Error(b"ERR\r\nno", bulk=True), b"-ERR  no\r\n"),
    (b"=7\r\ntxt:a\nb\r\n", Verbatim(b"txt", b"a\nb"), b"$3\r\na\nb\r\n"),
    (b"%1\r\n$1\r\na\r\n:1\r\n", Map(((b"a", 1),)), b"*2\r\n$1\r\na\r\n:1\r\n"),
    (b"%0\r\n", Map(), b"*0\r\n"),
    (b"~2\r\n:1\r\n:2\r\n", Array((1, 2), "set"), b"*2\r\n:1\r\n:2\r\n"),
    (b">2\r\n$1\r\na\r\n:2\r\n", Array((b"a", 2), "push"), b"*2\r\n$1\r\na\r\n:2\r\n"),
    (b"|1\r\n+a\r\n:1\r\n*1\r\n:2\r\n", Attributed(((Simple(b"a"), 1),), Array((2,))), b"*1\r\n:2\r\n"),
    (b"|0\r\n:2\r\n", Attributed((), 2), b":2\r\n"),
    (b"*1\r\n|1\r\n+a\r\n%0\r\n:2\r\n", Array((Attributed(((Simple(b"a"), Map()),), 2),)), b"*1\r\n:2\r\n"),
]  # fmt: skip
BAD = [
    b"?\r\n", b"PING\r\n", b":\r\n", b":x\r\n", b":1\n\r\n", b"$-2\r\n", b"$x\r\n", b"$1\r\nab\r\n", b"*-2\r\n",
    b"*x\r\n", b":9223372036854775808\r\n",
    b"%-1\r\n", b"~-1\r\n", b"!-1\r\n", b"_x\r\n", b",x\r\n", b",\r\n", b"#x\r\n", b"(1.5\r\n", b"=2\r\nab\r\n",
    b"=4\r\ntxtx\r\n",
    b"+a\nb\r\n", b"$?\r\n", b"*?\r\n", b"+" + b"x" * (MAX_LINE + 1),
    b"*1\r\n" * (MAX_DEPTH + 1), b"*%d\r\n" % (MAX_ITEMS + 1),
]  # fmt: skip


@pytest.mark.parametrize(("data", "value", "two"), TABLE)
def test_every_type(data, value, two):
    for reads in splits(data + b"+end\r\n"):
        assert replies(*reads) == [value, Simple(b"end")]
    assert encode(value, 3) == data
    assert encode(value, 2) == (data if two is None else two)
    assert is_plain(value) is (two is None)


def test_what_resp2_alone_has():
    assert replies(b"$-1\r\n*-1\r\n") == [Nil("bulk"), Nil("array")]
    assert encode(Nil("bulk"), 2) + encode(Nil("array"), 2) == b"$-1\r\n*-1\r\n"
    assert encode(Nil("bulk"), 3) + encode(Nil("array"), 3) == b"_\r\n_\r\n"


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_reply(data):
    for reads in splits(data) if len(data) < 1000 else [[data]]:
        with pytest.raises(Malformed):
            replies(*reads)


def test_what_is_here_of_a_reply():
    reader = ReplyReader()
    assert (reader.empty, reader.unread) == (True, 0)
    reader.feed(b"+OK\r\n*1\r\n$3\r\na")
    assert (reader.next(), reader.unread, reader.empty) == (Simple(b"OK"), 9, False)
    assert (reader.next(), reader.unread, reader.empty) == (None, 1, False)
    reader.feed(b"bc\r\n")
    assert (reader.next(), reader.unread, reader.empty) == (Array((b"abc",)), 0, True)


def test_replies_before_what_is_none():
    reader = ReplyReader()
    reader.feed(b":1\r\n?\r\n")
    assert reader.next() == 1
    with pytest.raises(Malformed):
        reader.next()


def test_a_reply_has_a_size():
    with pytest.raises(Malformed, match="more than 100 bytes"):
        replies(b"*99999\r\n" + b":1\r\n" * MAX_LINE, most=100)
    with pytest.raises(Malformed):
        replies(b"$101\r\n", most=100)


def test_a_large_reply_in_small_pieces():
    value = Array((*([b"item"] * 20_000), b"x" * 300_000))
    data = encode(value, 2)
    assert replies(*(data[at : at + 1000] for at in range(0, len(data), 1000))) == [value]


def test_damaged_bytes_raise_nothing_else():
    for data, _, _ in TABLE:
        check_decoder(replies, data, range(30))


def test_scalars_by_themselves():
    assert scalar(ord(","), b"1.5") == Double(b"1.5")
    assert scalar(ord("("), b"no") is None


line = st.binary(max_size=10).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
leaves = st.one_of(
    st.binary(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    line.map(Simple),
    st.floats(allow_nan=False).map(lambda number: Double(repr(number).encode())),
    st.integers().map(lambda number: Big(b"%d" % number)),
    st.binary(max_size=20).map(lambda text: Verbatim(b"txt", text)),
    st.just(Nil("null")),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: Array(tuple(items))),
        st.lists(inner, max_size=4).map(lambda items: Array(tuple(items), "set")),
        st.lists(st.tuples(inner, inner), max_size=3).map(lambda pairs: Map(tuple(pairs))),
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_encoded_is_read_back(value):
    assert replies(encode(value, 3)) == [value]


def plain(value):
    """What hiredis makes of a value: it keeps less than we do."""
    match value:
        case Simple(text):
            return text
        case Nil():
            return None
        case Double(text):
            return float(text)
        case Big(text):
            return int(text)
        case Verbatim(_, text):
            return text
        case Array(items):
            return [plain(item) for item in items]
        case Map(pairs):
            return [(plain(name), plain(item)) for name, item in pairs]
    return value


known = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: Array(tuple(items))),
        st.dictionaries(st.binary(max_size=5), inner, max_size=3).map(lambda known: Map(tuple(known.items()))),
    ),
    max_leaves=12,
)
"""What hiredis can hold: its maps are dicts."""


@given(known)
def test_hiredis_reads_the_same(value):
    reader = hiredis.Reader()
    reader.feed(encode(value, 3))
    found = reader.gets()
    assert _same(found, plain(value))


def _same(found, want):
    if isinstance(found, dict):
        # keys that come twice, or that Python cannot hash, are fewer there
        return isinstance(want, list)
    if isinstance(found, list):
        return isinstance(want, list) and len(found) == len(want) and all(map(_same, found, want))
    return found == want or (isinstance(want, int) and str(found) == str(want)) or found == str(want).encode()
