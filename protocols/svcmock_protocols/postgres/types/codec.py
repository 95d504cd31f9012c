"""What a type's codec is, and the limits that all of them keep.

A value has two forms on the wire: text, as the type's output function writes it, and binary, as its send
function does. A codec turns one into the other. Inside a codec whatever cannot be a value raises ValueError
(or what `struct` raises); the package's own functions make a ProtocolError of that.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from svcmock.protocol import ProtocolError

MAX_TEXT = 64 * 1024 * 1024
"""Characters that the parts of one value may have as text: ten bytes of numeric can stand for 131072 digits."""
MAX_DEPTH = 16
"""Records inside records."""

ToText: TypeAlias = Callable[[bytes], str]
ToBinary: TypeAlias = Callable[[str], bytes]


class Unknown(ProtocolError):
    """A value of a type that has no codec, or one whose text only the server's catalog knows."""

    def __init__(self, oid: int) -> None:
        super().__init__(f"values of the type with oid {oid} cannot be converted between text and binary")
        self.oid = oid


class Codec(Struct, frozen=True, gc=False):
    """The two forms of one type's values, and the one text of all that PostgreSQL takes for equal."""

    to_text: ToText
    to_binary: ToBinary
    canonical: Callable[[str], str]


def codec(to_text: ToText, to_binary: ToBinary, canonical: Callable[[str], str] | None = None) -> Codec:
    """Without `canonical` the one text is what the server would write: there and back again."""
    return Codec(to_text, to_binary, canonical or (lambda text: to_text(to_binary(text))))


def piece(data: bytes, start: int, size: int) -> bytes:
    """`size` bytes from `start`; ValueError if they are not there."""
    end = start + size
    if size < 0 or end > len(data):
        raise ValueError(f"{size} bytes are announced, {len(data) - start} are here")
    return data[start:end]
