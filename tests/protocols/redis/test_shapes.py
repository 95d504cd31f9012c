"""One reply in both versions: what was recorded in either is told as a server would."""

import pytest

from svcmock_protocols.redis.codec import encode
from svcmock_protocols.redis.messages import NULL, Array, Attributed, Double, Map, Nil, Simple
from svcmock_protocols.redis.shapes import SHAPED, fit, fit_all
from tests.protocols.redis.making import replies, words


def flat(*items):
    return Array(items)


SCORED = (flat(b"m", Double(b"1")), flat(b"n", Double(b"2")))

# command, RESP2's form, RESP3's form
TABLE = [
    ("HGETALL a", flat(b"f", b"1"), Map(((b"f", b"1"),))),
    ("HGETALL a", flat(), Map()),
    ("CONFIG GET save", flat(b"save", b""), Map(((b"save", b""),))),
    ("XINFO GROUPS s", flat(flat(b"name", b"g")), Array((Map(((b"name", b"g"),)),))),
    ("SMEMBERS a", flat(b"1", b"2"), Array((b"1", b"2"), "set")),
    ("SPOP a 2", flat(b"1"), Array((b"1",), "set")),
    ("ZSCORE a m", b"1.5", Double(b"1.5")),
    ("ZADD a INCR 1 m", b"1.5", Double(b"1.5")),
    ("ZMSCORE a m n", flat(b"1", Nil()), Array((Double(b"1"), NULL))),
    ("ZRANGE a 0 -1 WITHSCORES", flat(b"m", b"1", b"n", b"2"), flat(*SCORED)),
    ("ZRANGE a 0 -1 withscores", flat(), flat()),
    ("ZPOPMIN a", flat(b"m", b"1"), flat(b"m", Double(b"1"))),
    ("ZPOPMIN a 2", flat(b"m", b"1"), flat(flat(b"m", Double(b"1")))),
    ("BZPOPMIN a 0", flat(b"a", b"m", b"1"), flat(b"a", b"m", Double(b"1"))),
    ("ZMPOP 1 a MIN", flat(b"a", flat(flat(b"m", b"1"))), flat(b"a", flat(flat(b"m", Double(b"1"))))),
    ("ZRANK a m WITHSCORE", flat(0, b"1"), flat(0, Double(b"1"))),
    ("HRANDFIELD a 1 WITHVALUES", flat(b"f", b"1"), flat(flat(b"f", b"1"))),
    ("GEOPOS a m", flat(flat(b"1", b"2")), flat(flat(Double(b"1"), Double(b"2")))),
    ("GEOPOS a m", flat(Nil("array")), flat(NULL)),
    (
        "GEOSEARCH a WITHCOORD",
        flat(flat(b"m", flat(b"1", b"2"))),
        flat(flat(b"m", flat(Double(b"1"), Double(b"2")))),
    ),
    ("GEOSEARCH a", flat(b"m"), flat(b"m")),
    (
        "XINFO STREAM s FULL",
        flat(b"entries", flat(), b"groups", flat(flat(b"name", b"g", b"consumers", flat(flat(b"name", b"c"))))),
        Map(
            (
                (b"entries", flat()),
                (b"groups", flat(Map(((b"name", b"g"), (b"consumers", flat(Map(((b"name", b"c"),)))))))),
            )
        ),
    ),
    ("XINFO STREAM s", flat(b"length", 2, b"groups", 1), Map(((b"length", 2), (b"groups", 1)))),
    ("BLMOVE a b LEFT LEFT 1", Nil("array"), NULL),
    ("XREAD STREAMS s 0", flat(flat(b"s", flat())), Map(((b"s", flat()),))),
    ("EXEC", Nil("array"), NULL),
    ("BLPOP a 0", Nil("array"), NULL),
    ("LPOP a 2", Nil("array"), NULL),
    ("LPOP a", Nil("bulk"), NULL),
    ("GET a", b"1", b"1"),
    ("GET a", Nil("bulk"), NULL),
    ("INCR a", 5, 5),
    ("LRANGE a 0 -1", flat(b"1", b"2"), flat(b"1", b"2")),
    ("SET a b", Simple(b"OK"), Simple(b"OK")),
    ("LCS a b IDX", flat(b"len", 3), Map(((b"len", 3),))),
]  # fmt: skip


@pytest.mark.parametrize(("line", "two", "three"), TABLE)
def test_both_forms(line, two, three):
    args = words(line)
    for value in (two, three):
        assert encode(fit(value, args, 2), 2) == encode(two, 2)
        assert encode(fit(value, args, 3), 3) == encode(three, 3)
    if encode(two, 3) != encode(three, 3) or encode(fit(three, args, 2), 2) != encode(three, 2):
        assert args[0] in SHAPED


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("HGETALL a", flat(b"odd")),
        ("ZRANGE a 0 -1", flat(b"m", b"1")),
        ("ZSCORE a m", Nil()),
        ("ZPOPMIN a", flat()),
        ("ZMPOP 1 a MIN", Nil("array")),
        ("XREAD STREAMS s 0", flat(b"x")),
        ("SPOP a", b"x"),
    ],
)
def test_what_has_no_other_form_is_left_alone(line, value):
    assert encode(fit(value, words(line), 3), 3) == encode(value, 3)


def test_attributes_stay():
    value = Attributed(((b"a", 1),), flat(b"f", b"1"))
    assert fit(value, words("HGETALL a"), 3) == Attributed(((b"a", 1),), Map(((b"f", b"1"),)))


def test_transactions():
    commands = (words("HGETALL a"), words("GET a"))
    value = flat(flat(b"f", b"1"), Nil())
    assert replies(encode(fit_all(value, commands, 3), 3)) == [flat(Map(((b"f", b"1"),)), NULL)]
    assert fit_all(NULL, commands, 2) == Nil("array")
