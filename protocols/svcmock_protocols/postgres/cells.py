"""Values between the wire and PostgreSQL's own text: parameters on their way in, columns on their way out.

A value is kept as text. Binary becomes text where a codec knows the type and gives the same bytes back;
otherwise its bytes are kept as they came, and a client that asks for the other format is told so: bytes in a
format that it did not ask for would be misread without an error.
"""

from collections.abc import Sequence
from typing import Final

from svcmock.protocol import ProtocolError
from svcmock_protocols.postgres.codec import data_row, form_of
from svcmock_protocols.postgres.messages import Raw, Result, Value
from svcmock_protocols.postgres.types import BUILT_IN, Types
from svcmock_protocols.postgres.types.codec import Unknown
from svcmock_protocols.postgres.types.declared import FIRST_OWN

_PLAIN: Final = frozenset({19, 25, 114, 142, 705, 1042, 1043})
"""Types whose binary form is their text."""


class Unfit(ProtocolError):
    """A value that cannot be had in the format that was asked for."""


def read(data: bytes | None, oid: int, *, binary: bool, exact: bool = True, known: Types = BUILT_IN) -> Value:
    """A value from the wire. `exact`: the same bytes must be had from it again."""
    if data is None:
        return None
    if not binary or oid in _PLAIN:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return Raw(data, binary)
    try:
        text = known.to_text(oid, data)
        return text if not exact or known.to_binary(oid, text) == data else Raw(data)
    except (Unknown, ProtocolError):
        return Raw(data)


def written(value: Value, oid: int, *, binary: bool, known: Types = BUILT_IN) -> bytes | None:
    """A value for the wire. Raises Unfit."""
    if value is None:
        return None
    if isinstance(value, str):
        if not binary or oid in _PLAIN:
            return value.encode("utf-8", "replace")
        return _binary(oid, value, known)
    if value.binary is binary:
        return value.data
    if binary:
        raise Unfit(f"was recorded in the text format, and {_told(oid, known)}")
    try:
        return known.to_text(oid, value.data).encode("utf-8", "replace")
    except (Unknown, ProtocolError):
        raise Unfit(f"was recorded in the binary format, and {_told(oid, known)}") from None


def _binary(oid: int, text: str, known: Types) -> bytes:
    try:
        return known.to_binary(oid, text)
    except Unknown:
        why = f"is asked for in the binary format, and {_told(oid, known)}"
    except ProtocolError as error:
        why = f"is no {known.name(oid) or oid}: {error}"
    raise Unfit(why)


def _told(oid: int, known: Types) -> str:
    """Why that is not to be had, and what would mend it."""
    why = f"type {known.name(oid) or oid} has no codec here"
    if oid < FIRST_OWN or oid in known.declared:
        return why
    return f"{why}: say what it is in the service's `options: types`, or record anew"


def data_rows(result: Result, wanted: Sequence[bool], start: int, stop: int, known: Types = BUILT_IN) -> bytes:
    """The DataRows from `start` to `stop` in the formats that are wanted. Raises Unfit."""
    columns = result.columns or ()
    oids = [column.oid for column in columns]
    forms = [form_of(wanted, number) for number in range(len(columns))]
    parts = []
    for values in result.rows[start:stop]:
        cells: list[bytes | None] = []
        for number, value in enumerate(values):
            try:
                cells.append(written(value, oids[number], binary=forms[number], known=known))
            except Unfit as unfit:
                raise Unfit(f'column "{columns[number].name}" {unfit}') from None
        parts.append(data_row(cells))
    return b"".join(parts)
