"""Values as a person writes them: every type there and back."""

import pytest
from hypothesis import given

from svcmock.protocol import Blob, Invalid
from svcmock_protocols.redis.messages import (
    NULL,
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
from svcmock_protocols.redis.writing import Pen, named, show
from tests.protocols.redis.test_codec import values


class Bodies:
    """Files by the names that documents use."""

    def __init__(self, known=()):
        self.known = dict(known)

    def __call__(self, name):
        return Blob(name, len(self.known[name]))

    def read(self, blob):
        return self.known[blob.path]


TABLE = [
    ("Ann", b"Ann"),
    ("", b""),
    ({"hex": "ff00"}, b"\xff\x00"),
    (5, 5),
    (-1, -1),
    (None, NULL),
    (True, True),
    ([], Array()),
    (["a", 1, None, ["b"]], Array((b"a", 1, NULL, Array((b"b",))))),
    ({"status": "OK"}, Simple(b"OK")),
    ({"error": "ERR no"}, Error(b"ERR no")),
    ({"bulk_error": "ERR\nno"}, Error(b"ERR\nno", bulk=True)),
    ({"nil": "array"}, Nil("array")),
    ({"double": "1.50"}, Double(b"1.50")),
    ({"big": "123"}, Big(b"123")),
    ({"text": "a"}, Verbatim(b"txt", b"a")),
    ({"markdown": "a"}, Verbatim(b"mkd", b"a")),
    ({"verbatim": ["abc", "a"]}, Verbatim(b"abc", b"a")),
    ({"map": {"a": 1, "hex": {"status": "x"}}}, Map(((b"a", 1), (b"hex", Simple(b"x"))))),
    ({"map": [["a", 1], ["a", 2]]}, Map(((b"a", 1), (b"a", 2)))),
    ({"map": [[1, "a"]]}, Map(((1, b"a"),))),
    ({"set": ["a"]}, Array((b"a",), "set")),
    ({"push": ["a"]}, Array((b"a",), "push")),
    ({"attributes": {"ttl": 5}, "value": "a"}, Attributed(((b"ttl", 5),), b"a")),
]


@pytest.mark.parametrize(("doc", "value"), TABLE)
def test_there_and_back(doc, value):
    assert Pen(Bodies()).value(doc, ()) == value
    files = {}
    shown = show(value, files)
    assert shown == (doc if "hex" not in str(shown) else shown)
    assert Pen(Bodies(files)).value(shown, ()) == value
    name, inner = named(value, {})
    if name != "value" and not isinstance(value, Attributed):
        assert {name: inner} == shown


def test_numbers_a_person_writes():
    assert Pen(Bodies()).value(1.5, ()) == Double(b"1.5")
    assert Pen(Bodies()).value({"double": 2}, ()) == Double(b"2")
    assert Pen(Bodies()).value({"big": 12}, ()) == Big(b"12")
    assert Pen(Bodies()).value(float("inf"), ()) == Double(b"inf")


def test_forms_of_nothing():
    assert Pen(Bodies()).value({"nil": "bulk"}, ()) == Nil("bulk")
    assert Pen(Bodies()).value({"nil": "null"}, ()) == NULL
    assert show(Nil("bulk"), {}) is None


def test_large_values_are_files():
    value, files = Map(((b"k" * 5000, b"v" * 5000),)), {}
    shown = show(value, files)
    assert len(files) == 2
    assert Pen(Bodies(files)).value(shown, ()) == value


@given(values)
def test_nothing_is_lost(value):
    files = {}
    assert Pen(Bodies(files)).value(show(value, files), ()) == value


@pytest.mark.parametrize(
    ("doc", "at", "why"),
    [
        (2**63, (), "64 bits"),
        ({"a": 1}, (), "names one type"),
        ({}, (), "names one type"),
        ({"status": "a\nb"}, ("status",), "no line break"),
        ({"error": "a\rb"}, ("error",), "no line break"),
        ({"status": 5}, ("status",), "expected a string"),
        ({"nil": "none"}, ("nil",), "bulk, array or null"),
        ({"double": "x"}, ("double",), "a number"),
        ({"double": True}, ("double",), "a number"),
        ({"big": "1.5"}, ("big",), "a number"),
        ({"map": "x"}, ("map",), "mapping"),
        ({"map": [["a"]]}, ("map",), "mapping"),
        ({"set": "x"}, ("set",), "a list"),
        ({"verbatim": ["ab", "x"]}, ("verbatim", 0), "three"),
        ({"verbatim": "x"}, ("verbatim",), "format"),
        ([1, {"set": [{"x": 1}]}], (1, "set", 0), "names one type"),
    ],
)
def test_what_means_nothing(doc, at, why):
    with pytest.raises(Invalid, match=why) as told:
        Pen(Bodies()).value(doc, ())
    assert told.value.at == at


def test_lists_in_lists_end():
    doc = []
    for _ in range(300):
        doc = [doc]
    with pytest.raises(Invalid, match="lists"):
        Pen(Bodies()).value(doc, ())
