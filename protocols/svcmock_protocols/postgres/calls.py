"""Calls of functions by their oid (the manual, "Function Call"): on the wire, and as route files name them.

    F: oid, formats of the arguments, arguments, format of the result ──▶ V: the result, or E; then Z

libpq's large objects are used so, and by it psycopg2's `lobject`, JDBC's LargeObjectManager and pg_dump. The
functions that it calls have the same oids in every server: a route calls them by their names, and what they
take and give is written as elsewhere. Of others nobody knows the types: their values stay as they came.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from svcmock.protocol import Doc, Invalid, ProtocolError
from svcmock_protocols.postgres import cells, codec
from svcmock_protocols.postgres.messages import Descriptor, Reply, Request, Result, Value
from svcmock_protocols.postgres.watched import EACH, Prepared, Run

MAX_ARGUMENTS: Final = 100
"""Arguments of a function: the server's own limit (FUNC_MAX_ARGS)."""
TAG: Final = "CALL"
"""What a result of a call has for a tag: nothing of the kind is sent."""

_OID, _INT4, _INT8, _BYTEA = 26, 23, 20, 17
_WHOLE: Final = frozenset({_OID, _INT4, _INT8})


class Function(Struct, frozen=True):
    """One that every server has: its name and the types of its arguments and of its result."""

    name: str
    takes: tuple[int, ...]
    gives: int


KNOWN: Final[Mapping[int, Function]] = {
    715: Function("lo_create", (_OID,), _OID),
    952: Function("lo_open", (_OID, _INT4), _INT4),
    953: Function("lo_close", (_INT4,), _INT4),
    954: Function("loread", (_INT4, _INT4), _BYTEA),
    955: Function("lowrite", (_INT4, _BYTEA), _INT4),
    956: Function("lo_lseek", (_INT4, _INT4, _INT4), _INT4),
    957: Function("lo_creat", (_INT4,), _OID),
    958: Function("lo_tell", (_INT4,), _INT4),
    964: Function("lo_unlink", (_OID,), _INT4),
    1004: Function("lo_truncate", (_INT4, _INT4), _INT4),
    3170: Function("lo_lseek64", (_INT4, _INT8, _INT4), _INT8),
    3171: Function("lo_tell64", (_INT4,), _INT8),
    3172: Function("lo_truncate64", (_INT4, _INT8), _INT4),
}
"""By their oids (pg_proc.dat)."""
NAMED: Final[Mapping[str, Function]] = {one.name: one for one in KNOWN.values()}


class Call(Struct, frozen=True):
    """A FunctionCall: what is called with all its arguments, and whether the result is wanted in binary."""

    request: Request
    wanted: bool = True


# --- the wire -----------------------------------------------------------------------------------------


def called(body: bytes) -> Call:
    """What an `F` calls. Raises ProtocolError."""
    reader = codec.Reader(body)
    oid = reader.oid()
    formats = [_binary(reader) for _ in range(_counted(reader))]
    values = [reader.value() for _ in range(_counted(reader))]
    wanted = _binary(reader)
    if reader.rest():
        raise ProtocolError("invalid message format")
    if len(formats) not in (0, 1, len(values)):
        raise ProtocolError(
            f"function call message contains {len(formats)} argument formats but {len(values)} arguments"
        )
    function = KNOWN.get(oid)
    types = (0,) * len(values) if function is None else function.takes
    if len(values) != len(types):
        raise ProtocolError(
            f"function call message contains {len(values)} arguments but function requires {len(types)}"
        )
    params = tuple(
        [
            cells.read(value, types[number], binary=codec.form_of(formats, number))
            for number, value in enumerate(values)
        ]
    )
    name, types = (str(oid), ()) if function is None else (function.name, types)
    return Call(Request(name, params, types, op="call"), wanted)


def _counted(reader: codec.Reader) -> int:
    count = reader.count()
    if count > MAX_ARGUMENTS:
        raise ProtocolError(f"function call message contains {count} arguments, where {MAX_ARGUMENTS} can be")
    return count


def _binary(reader: codec.Reader) -> bool:
    form = reader.int16()
    if form not in (0, 1):
        raise ProtocolError(f"unsupported format code: {form}")
    return form == 1


def result_of(call: Call, body: bytes) -> Value:
    """What a `V` gives. Raises ProtocolError."""
    reader = codec.Reader(body)
    value = reader.value()
    if reader.rest():
        raise ProtocolError("a FunctionCallResponse has more than its result")
    return cells.read(value, gives(call.request.sql), binary=call.wanted)


def response(call: Call, value: Value) -> bytes:
    """The result as `V`, in the format that is wanted. Raises `cells.Unfit`."""
    try:
        data = cells.written(value, gives(call.request.sql), binary=call.wanted)
    except cells.Unfit as unfit:
        raise cells.Unfit(f"the result of function {call.request.sql} {unfit}") from None
    return codec.frame(b"V", b"\xff\xff\xff\xff" if data is None else len(data).to_bytes(4) + data)


def gives(name: str) -> int:
    """The type of a function's result; 0 if nobody knows."""
    known = NAMED.get(name)
    return 0 if known is None else known.gives


def replied(value: Value) -> Reply:
    """The reply that is this result."""
    return Reply((Result(rows=((value,),), tag=TAG),))


def value_of(reply: Reply) -> Value:
    """The result that a reply has."""
    rows = reply.results[0].rows if reply.results else ()
    return rows[0][0] if rows and rows[0] else None


# --- recording ----------------------------------------------------------------------------------------


class Called(Run, eq=False):
    """A call under way. `asked`: what it calls, by what its descriptor stands for."""

    call: Call = Call(Request())
    asked: Request = Request()

    def returned(self, body: bytes) -> None:
        """A FunctionCallResponse."""
        if self.results:
            raise ProtocolError("a call has two results")
        value = result_of(self.call, body)
        if self.fits(len(body) + EACH):
            self.results.append(Result(rows=((value,),), tag=TAG))

    @property
    def value(self) -> Value:
        """The result; None if there is none."""
        return self.results[0].rows[0][0] if self.results else None

    def request(self) -> Request:
        """What was asked."""
        return self.asked


def watched(body: bytes, at: float) -> Called | None:
    """The call that an `F` asks for; None where the server will say what is wrong with it."""
    try:
        call = called(body)
    except ProtocolError:
        return None
    run = Called(Prepared(call.request.sql), at, call=call)
    run.fits(len(body) + EACH)
    return run


# --- route files --------------------------------------------------------------------------------------


def request(
    call: Any, descriptor: Mapping[str, Any] | None, params: tuple[Value, ...], *, alone: bool = True
) -> Request:
    """The call that a document describes; `alone`: it says no more than these. Raises Invalid."""
    if not alone:
        raise Invalid(("call",), "a call has `params` and perhaps `descriptor`: leave out the rest")
    name = _name(call)
    of = None
    if descriptor is not None:
        try:
            of = msgspec.convert(descriptor, Descriptor)
        except msgspec.ValidationError as error:
            raise Invalid(("descriptor",), f"{error}: expected {{object: 1, mode: 262144, at: 0}}") from None
    known = NAMED.get(name)
    types = () if known is None else known.takes[1 if of is not None else 0 :]
    if len(params) != len(types) if known is not None else len(params) > MAX_ARGUMENTS:
        most = MAX_ARGUMENTS if known is None else len(types)
        raise Invalid(("params",), f"{name} takes {most} parameters here, not {len(params)}")
    if of is not None and (known is None or known.takes[0] != _INT4 or name == "lo_creat"):
        raise Invalid(("descriptor",), f"{name} takes no descriptor of a large object")
    return Request(name, params, types, op="call", descriptor=of)


def _name(call: Any) -> str:
    """A function is called by its oid, but for those that every server has."""
    if isinstance(call, str) and call in NAMED:
        return call
    if not isinstance(call, int) or isinstance(call, bool) or not 0 <= call < 1 << 32:
        raise Invalid(("call",), f"a function is called by its oid, or is one of {', '.join(NAMED)}")
    return KNOWN[call].name if call in KNOWN else str(call)


def document(request: Request, params: list[Doc]) -> dict[str, Doc]:
    """A call as a document. `params` are its parameters as elsewhere."""
    name = request.sql
    doc: dict[str, Doc] = {"call": name if name in NAMED else int(name)}
    of = request.descriptor
    if of is not None:
        doc["descriptor"] = {"object": of.object, "mode": of.mode, "at": of.at}
    types = request.types or (0,) * len(params)
    shown = [_number(value) if oid in _WHOLE else value for value, oid in zip(params, types, strict=True)]
    return {**doc, "params": shown} if shown else doc


def _number(value: Doc) -> Doc:
    """A whole number as one, where it is written as PostgreSQL would."""
    short = isinstance(value, str) and len(value) < 21
    number = int(value) if short and value.removeprefix("-").isdecimal() and value.isascii() else None
    return number if number is not None and str(number) == value else value
