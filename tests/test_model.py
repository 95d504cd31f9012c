"""The values a project's files are read into: how they are shown, and what they refuse."""

from typing import Any

import msgspec
import pytest

from svcmock.model import Limits, Problem, RouteDoc, Tcp, Tls, Unix, rfc3339


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (Tcp("127.0.0.1", 80), "127.0.0.1:80"),
        (Tcp("::1", 8080), "[::1]:8080"),
        (Tcp("localhost", 0), "localhost:0"),
        (Unix("/run/x.sock"), "unix:/run/x.sock"),
    ],
)
def test_an_address_is_shown_as_it_is_written(address: Tcp | Unix, shown: str) -> None:
    assert str(address) == shown


def test_a_problem_names_its_place_and_a_warning_itself() -> None:
    assert str(Problem("a.yaml", 3, 7, "is wrong")) == "a.yaml:3:7: is wrong"
    assert str(Problem("a.yaml", 3, 7, "is odd", "warning")) == "a.yaml:3:7: warning: is odd"


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Limits, {"connections": 0}, "`int` >= 1"),
        (Limits, {"idle": 0}, "> 0"),
        (Limits, {"drain": -1}, ">= 0"),
        (Limits, {"conections": 1}, "unknown field `conections`"),
        (Tls, {"client": "maybe"}, "Invalid enum value"),
        (RouteDoc, {}, "missing required field `respond`"),
        (RouteDoc, {"respond": {}, "policy": "all"}, "Invalid enum value"),
        (RouteDoc, {"respond": {}, "mach": {}}, "unknown field `mach`"),
    ],
)
def test_what_breaks_a_rule_of_its_field_is_refused(kind: Any, value: Any, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert(value, kind)


def test_a_route_document_says_nothing_that_nobody_wrote() -> None:
    assert msgspec.to_builtins(RouteDoc(respond={"status": 200})) == {"respond": {"status": 200}}


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1795403530.1234) == "2026-11-23T03:12:10.123Z"
