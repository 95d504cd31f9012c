"""How long commands wait, as they say it."""

import pytest

from svcmock_protocols.redis.blocking import block, patience
from svcmock_protocols.redis.messages import Error
from tests.protocols.redis.making import words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET a", None),
        ("BLPOP a b 1.5", 1.5),
        ("BRPOP a 0", 0.0),
        ("BLMOVE a b LEFT RIGHT 2", 2.0),
        ("BLMPOP 3 1 a LEFT", 3.0),
        ("BZMPOP 0.1 1 a MIN", 0.1),
        ("XREAD BLOCK 250 STREAMS a $", 0.25),
        ("XREAD COUNT 1 block 0 STREAMS a $", 0.0),
        ("XREAD STREAMS a $", None),
        ("XREAD STREAMS block 5", None),
        ("XREAD BLOCK", None),
        ("XREADGROUP GROUP g c BLOCK 1000 STREAMS a >", 1.0),
        ("BLPOP a x", Error(b"ERR timeout is not a float or out of range")),
        ("BLPOP a 1e5", Error(b"ERR timeout is not a float or out of range")),
        ("BLMPOP", Error(b"ERR timeout is not a float or out of range")),
        ("BLPOP a -1", Error(b"ERR timeout is negative")),
        ("XREAD BLOCK -5 STREAMS a $", Error(b"ERR timeout is negative")),
        ("XREAD BLOCK 1.5 STREAMS a $", Error(b"ERR timeout is not an integer or out of range")),
    ],
)
def test_patience(line, expected):
    assert patience(words(line)) == expected


def test_where_it_is_said():
    assert block(words("XREAD COUNT 1 BLOCK 5 STREAMS a 0")) == 3
    assert block(words("XREAD STREAMS a 0")) == -1
