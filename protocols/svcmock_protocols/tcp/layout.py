"""`fields:` compiled: what the payload of a frame means, for the client's frames and for the server's.

    fields:                                   a list of {name: type}
      - txid: u16
      - len: {length_of: rest, as: u16}
      - fn: u8
      - switch: {on: fn, client: {"1..4": [{addr: u16}, {count: u16}]}, server: {default: [{data: bytes}]}}
    fields: {kv: {pair_sep: "\\x01", kv_sep: "="}}     or one type for all of the payload
    fields: {client: ..., server: ...}                or another one in each direction

Without `fields:` a payload that is JSON is read as JSON.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.fieldspecs import Side, Spot, node_of, record_of
from svcmock_protocols.tcp.fieldtypes import Bounded, LayoutError, Node, Path
from svcmock_protocols.tcp.jsontext import JSON
from svcmock_protocols.tcp.places import Place, places

MAX_REMEMBERED = 1024
"""Bytes of a payload up to which it is remembered what it means."""


class Layout(Protocol):
    """What payloads mean. `root`: the field of a request under which it is seen, `fields` or `json`."""

    root: str
    places: Mapping[str, Place]
    """Numbers that stand at the same place in every payload."""

    def decode(self, payload: bytes) -> Doc:
        """Not to be changed: it may be shared. Raises LayoutError."""

    def encode(self, value: Doc, path: Path, like: bytes = b"") -> bytes:
        """The payload of these fields, laid out as `like` where layouts differ. Raises Invalid."""

    def plain(self, value: Doc) -> Doc:
        """Without what encoding makes by itself."""

    def __hash__(self) -> int: ...


class Declared:
    """The layout that `fields:` declares."""

    root = "fields"

    def __init__(self, node: Node) -> None:
        self._node = node
        self.places = places(node)
        self._remembered = lru_cache(maxsize=512)(self._decode)

    def decode(self, payload: bytes) -> Doc:
        return self._remembered(payload) if len(payload) <= MAX_REMEMBERED else self._decode(payload)

    def _decode(self, payload: bytes) -> Doc:
        value, at = self._node.decode(payload, 0, len(payload), {})
        if at != len(payload):
            raise LayoutError(f"{len(payload) - at} bytes more than the fields take")
        return value

    def encode(self, value: Doc, path: Path, like: bytes = b"") -> bytes:  # noqa: ARG002
        return self._node.encode(value, path)

    def plain(self, value: Doc) -> Doc:
        node = self._node
        plain = getattr(node.content if isinstance(node, Bounded) else node, "plain", None)
        return value if plain is None else plain(value)


def compile_layout(spec: Doc, side: Side) -> Layout:
    """The layout of one side's frames. Raises Invalid, `at` a path in the options."""
    at: Path = ("fields",)
    if spec is None:
        return JSON
    if isinstance(spec, dict) and spec.keys() & {"client", "server"}:
        if spec.keys() - {"client", "server"}:
            raise Invalid(at, "give either `client` and `server`, or one declaration for both")
        spec, at = spec.get(side), (*at, side)
        if spec is None:
            return JSON
    if isinstance(spec, list):
        return Declared(record_of(spec, Spot(at, side)))
    return Declared(node_of(spec, Spot(at, side)))
