"""What the mock says of itself when a client logs in."""

import msgspec
import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.postgres.facts import (
    DEFAULTS,
    OF_THE_CLIENT,
    Facts,
    facts,
    parameters,
    type_fact,
    types_of,
)
from svcmock_protocols.postgres.types.declared import Declared


class Beside:
    """A folder of the project in memory."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    def find(self, pattern):
        return []

    def beside(self, suffix):
        return sorted(self._files)

    def read(self, name):
        return self._files[name]


def test_without_a_recording_there_are_defaults():
    assert facts(Beside()) == Facts()
    told = parameters(Facts(), {"user": "ann", "application_name": "app"})
    assert told == {**DEFAULTS, "session_authorization": "ann", "application_name": "app"}
    assert parameters(None, {"user": "ann"})["server_encoding"] == "UTF8"


def test_what_was_recorded_counts():
    found = facts(Beside(server=b'{"server_version": "18.1", "TimeZone": "Europe/Berlin", "n": 3}'))
    assert dict(found.parameters) == {"server_version": "18.1", "TimeZone": "Europe/Berlin"}
    assert found.digest != facts(Beside(server=b"{}")).digest
    told = parameters(
        found, {"user": "ann", "timezone": "UTC", "client_encoding": "LATIN1", "datestyle": "SQL"}
    )
    assert told["server_version"] == "18.1"
    assert told["TimeZone"] == "UTC"
    assert told["client_encoding"] == "UTF8"
    assert told["DateStyle"] == "SQL, MDY"


def test_whether_a_user_was_a_superuser_is_kept():
    """pg_dump asks other things if not."""
    assert "is_superuser" not in OF_THE_CLIENT
    found = facts(Beside(server=b'{"is_superuser": "on"}'))
    assert parameters(found, {"user": "ann"})["is_superuser"] == "on"


def test_options_of_the_startup():
    told = parameters(
        None, {"user": "a", "options": r"-c TimeZone=A\ B --application-name=x -cIntervalStyle=iso_8601"}
    )
    assert told["TimeZone"] == "A B"
    assert told["application_name"] == "x"
    assert told["IntervalStyle"] == "iso_8601"


@pytest.mark.parametrize("data", [b"[]", b"{", b"3"])
def test_a_file_that_is_none_is_told(data):
    with pytest.raises(Invalid, match="server is no JSON"):
        facts(Beside(server=data))


MOOD = Declared(16400, "mood", "enum")
PLACE = Declared(16401, "place", "composite", "shop", fields=(("b", "text"), ("a", 16400)))


def test_types_are_kept_as_they_were_learned():
    kept = {fact.name: fact.value for fact in (type_fact(MOOD), type_fact(PLACE))}
    found = facts(Beside(server=msgspec.json.encode(kept, order="sorted")))
    assert types_of(found).declared == {16400: MOOD, 16401: PLACE}
    assert types_of(None).declared == {}


def test_what_the_user_declares_counts_more():
    written = Beside(server=msgspec.json.encode({"type 16400": type_fact(MOOD).value}))
    own = Declared(16400, "mood", "domain", of="text")
    found = facts(written, (own, PLACE))
    assert types_of(found).declared == {16400: own, 16401: PLACE}
    assert len({facts(written).digest, found.digest, facts(Beside(), (own, PLACE)).digest}) == 3


@pytest.mark.parametrize("one", ["3", '{"oid": 1}', '{"oid": -1, "name": "a", "kind": "enum"}'])
def test_a_type_that_is_none_is_told(one):
    with pytest.raises(Invalid, match="`type 16400` is no type"):
        facts(Beside(server=b'{"type 16400": %b}' % one.encode()))
