"""What decides a match: the statement without comments and layout, its parameters by value, what it copies in.

Names of statements, portals and cursors, formats, types of parameters, how messages were grouped and how many
rows were asked for at a time decide nothing: they differ between drivers, and from one execution to the next.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from svcmock.protocol import Context, Doc
from svcmock_protocols.postgres.cells import read
from svcmock_protocols.postgres.cursors import nameless
from svcmock_protocols.postgres.facts import types_of
from svcmock_protocols.postgres.messages import Descriptor, Raw, Request, Value
from svcmock_protocols.postgres.portals import TEXT
from svcmock_protocols.postgres.sql import first_words, normalise
from svcmock_protocols.postgres.types import BUILT_IN, Types

NAMES: Final = ("sql", "params", "command", "copy", "describe", "follows", "listen", "call", "descriptor")
"""Every field that a request may have."""
COPY_SHOWN: Final = 1 << 20
"""Bytes of copied data that predicates can look at."""


def address(request: Request) -> bytes:
    """The statement, normalised, or the channel, or the function. None holds a NUL byte."""
    named = request.sql if request.op in ("listen", "call") else nameless(normalise(request.sql))
    return named.replace("\0", "").encode("utf-8", "replace")


def key(request: Request, context: Context) -> bytes:
    """address NUL what is asked NUL the parameters as JSON NUL the digest of what is copied in."""
    where, asked = address(request), request.op.encode()
    if request.op in ("follows", "listen"):
        asked = b"%b %d" % (asked, request.number)
    if request.op not in ("query", "follows", "call"):
        return b"%b\0%b\0\0" % (where, asked)
    if request.descriptor is not None:
        asked += b" %b" % msgspec.json.encode(_descriptor(request.descriptor, context))
    params = _params(request, context)
    said = msgspec.json.encode(params) if params else b""
    return b"%b\0%b\0%b\0%b" % (where, asked, said, _digest(request).encode())


def _digest(request: Request) -> str:
    copy = request.copy
    if copy is None:
        return ""
    return sha256(copy).hexdigest() if isinstance(copy, bytes) else copy.sha256


def _params(request: Request, context: Context) -> list[Doc]:
    """By value; null for those that are noise."""
    values = _values(request, types_of(context.schema))
    if context.ignore.concerns("params"):
        covers = context.ignore.covers
        return ["" if covers("params", str(number)) else value for number, value in enumerate(values)]
    return values


def _descriptor(descriptor: Descriptor, context: Context) -> dict[str, Doc]:
    """What decides of it; empty where that is noise."""
    of = msgspec.structs.asdict(descriptor)
    return {name: "" if context.ignore.covers("descriptor", name) else value for name, value in of.items()}


def _values(request: Request, known: Types) -> list[Doc]:
    return [
        value_of(value, request.types[number] if number < len(request.types) else 0, known)
        for number, value in enumerate(request.params)
    ]


def value_of(value: Value, oid: int, known: Types = BUILT_IN) -> Doc:
    """A parameter as it is compared: equal values of different types are the same."""
    if isinstance(value, Raw) and value.binary:  # recorded before its type was known, or with none
        value = read(value.data, oid or TEXT, binary=True, exact=False, known=known)
    if value is None:
        return None
    if isinstance(value, Raw):
        return {"binary" if value.binary else "text": value.data.hex()}
    return known.canonical(oid, value)


class Fields(Mapping[str, Doc]):
    """A request as predicates, noise paths and templates see it."""

    __slots__ = ("_known", "_request", "_types")

    def __init__(self, request: Request, types: Types = BUILT_IN) -> None:
        self._request = request
        self._types = types
        self._known: dict[str, Doc] = {}

    def __getitem__(self, name: str) -> Doc:
        if name not in self._known:
            if name not in NAMES:
                raise KeyError(name)
            self._known[name] = getattr(self, f"_{name}")()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in NAMES if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _sql(self) -> Doc:
        if self._request.op != "query":
            raise KeyError("sql")
        return normalise(self._request.sql)

    def _params(self) -> Doc:
        return list(_values(self._request, self._types))

    def _command(self) -> Doc:
        if self._request.op == "call":
            raise KeyError("command")
        return (first_words(self._request.sql, 1) or ("",))[0]

    def _describe(self) -> Doc:
        if self._request.op not in ("describe", "columns"):
            raise KeyError("describe")
        return normalise(self._request.sql)

    def _follows(self) -> Doc:
        if self._request.op != "follows":
            raise KeyError("follows")
        return normalise(self._request.sql)

    def _listen(self) -> Doc:
        if self._request.op != "listen":
            raise KeyError("listen")
        return self._request.sql

    def _call(self) -> Doc:
        if self._request.op != "call":
            raise KeyError("call")
        return self._request.sql

    def _descriptor(self) -> Doc:
        if self._request.descriptor is None:
            raise KeyError("descriptor")
        return msgspec.structs.asdict(self._request.descriptor)

    def _copy(self) -> Doc:
        copy = self._request.copy
        if not isinstance(copy, bytes) or len(copy) > COPY_SHOWN:
            raise KeyError("copy")
        return copy.decode("utf-8", "backslashreplace")


def fields(request: Request, context: Context) -> Mapping[str, Doc]:
    """What predicates, noise paths and templates see of a request."""
    return Fields(request, types_of(context.schema))


def decisive(request: Request, context: Context) -> Mapping[str, Doc]:
    """The fields that the key is made of, without noise."""
    found = Fields(request)
    if request.op not in ("query", "call"):
        return {request.op: address(request).decode()}
    made: dict[str, Doc] = {"call" if request.op == "call" else "sql": address(request).decode()}
    if request.descriptor is not None:
        made["descriptor"] = _descriptor(request.descriptor, context)
    if request.params:
        made["params"] = _params(request, context)
    if request.copy is not None:
        made["copy"] = found["copy"] if "copy" in found else {"sha256": _digest(request)}
    return made
