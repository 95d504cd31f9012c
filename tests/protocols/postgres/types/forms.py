"""What the tests of single types check: a table of values in both forms, and texts and bytes that are none."""

from collections.abc import Callable
from typing import Any

import pytest

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres import types


def both_ways(name: str, text: str, data: str) -> None:
    """`data` is hex, white space between its fields."""
    oid = types.oid(name)
    assert oid is not None
    binary = bytes.fromhex(data)
    assert types.to_text(oid, binary) == text
    assert types.to_binary(oid, text) == binary


def is_read_as(name: str, text: str, shown: str) -> None:
    """Another spelling, and what the server would write for it."""
    oid = types.oid(name)
    assert oid is not None
    assert types.to_text(oid, types.to_binary(oid, text)) == shown


def canonical(name: str, text: str) -> str:
    oid = types.oid(name)
    assert oid is not None
    return types.canonical(oid, text)


def no_text(name: str, text: str) -> None:
    refuses(name, types.to_binary, text)
    assert canonical(name, text) == text


def no_bytes(name: str, data: str) -> None:
    refuses(name, types.to_text, bytes.fromhex(data))


def refuses(name: str, convert: Callable[[int, Any], object], value: Any) -> None:
    oid = types.oid(name)
    assert oid is not None
    with pytest.raises(ProtocolError, match=f" no {types.name(oid)}: "):
        convert(oid, value)
