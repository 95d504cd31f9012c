"""What a server says of itself: seen in an answer to HELLO, kept, and read again."""

import json

import pytest

from svcmock.protocol import FACTS, Fact, Invalid
from svcmock_protocols.redis.facts import Facts, fact, facts
from svcmock_protocols.redis.messages import Array, Error, Map

PAIRS = (
    (b"server", b"redis"),
    (b"version", b"6.2.12"),
    (b"proto", 3),
    (b"mode", b"standalone"),
    (b"role", b"master"),
)
KEPT = {"server": "redis", "version": "6.2.12", "mode": "standalone", "role": "master"}


class Files:
    """A folder of the project."""

    def __init__(self, **files):
        self.files = {name.replace("__", "/") + "/" + FACTS: data for name, data in files.items()}

    def beside(self, suffix):
        return sorted(name for name in self.files if name.endswith(suffix))

    def read(self, name):
        return self.files[name]


def test_an_answer_to_hello_of_both_versions():
    assert fact(Map(PAIRS)) == Fact("redis", KEPT)
    assert fact(Array(tuple(item for pair in PAIRS for item in pair))) == Fact("redis", KEPT)
    assert fact(Error(b"ERR")) is None
    assert fact(Array()) is None


def test_what_is_said_has_an_end():
    made = fact(Map(((b"version", b"\xff" * 1000),)))
    assert made is not None
    assert len(made.value["version"]) == 400


def test_what_was_recorded_is_read():
    made = facts(Files(a=json.dumps({"redis": KEPT, "x": 1}).encode()))
    assert (made.server, made.version) == ("redis", "6.2.12")
    assert made.digest != Facts().digest


def test_that_keys_were_tracked():
    assert facts(Files(a=b'{"redis.tracking": true}')).tracking
    assert not facts(Files(a=b'{"redis.tracking": 1, "redis": {"version": "7"}}')).tracking


def test_the_latest_counts():
    older, newer = (json.dumps({"redis": {"version": version}}).encode() for version in ("6", "7"))
    assert facts(Files(a=older, b=newer)).version == "7"


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"redis": 5}'])
def test_without_facts_there_is_the_usual(data):
    assert facts(Files()) == Facts()
    assert facts(Files(a=data)) == Facts()


def test_a_damaged_file_is_told():
    with pytest.raises(Invalid, match="no JSON"):
        facts(Files(a=b"{"))
