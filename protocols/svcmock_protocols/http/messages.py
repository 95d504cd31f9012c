"""HTTP messages as values: what the codec decodes, routes hold and recordings describe (RFC 9110, 9112).

Field lines are kept as the block of bytes that was on the wire, so that case, order and duplicates survive
and a request whose headers nobody asks about never pays for parsing them.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from svcmock.protocol import Payload

Framing: TypeAlias = Literal["length", "chunked", "close", "none"]
"""How a reply's body ends: by Content-Length, by the last chunk, by the connection's end; or it has none."""


class Request(Struct, frozen=True):
    """A request. `target` is as sent, in any of the four forms of RFC 9112 section 3.2.

    `block` and `trailers` hold the field lines exactly as sent, each with its CRLF. `body` is
    transfer-decoded; its content coding, where it has one, is still on.
    """

    method: bytes
    target: bytes
    version: bytes = b"1.1"
    block: bytes = b""
    body: Payload = b""
    trailers: bytes = b""


class Chunk(Struct, frozen=True):
    """One piece of a streamed reply: `size` bytes of the body, `after` seconds after the piece before it."""

    size: int
    after: float = 0.0


class Interim(Struct, frozen=True):
    """A 1xx reply that came before the final one, other than the 100 that a session sends by itself."""

    status: int
    reason: bytes
    block: bytes = b""


class Reply(Struct, frozen=True):
    """A final reply. `body` is transfer-decoded, with its content coding on: the bytes the client got.

    `chunks` cuts the body as it was (or is to be) streamed; empty: in one piece. `head` is the whole head
    section as wire bytes, status line to empty line, made once when the reply is.
    """

    status: int
    reason: bytes = b""
    block: bytes = b""
    body: Payload = b""
    framing: Framing = "length"
    chunks: tuple[Chunk, ...] = ()
    trailers: bytes = b""
    interim: tuple[Interim, ...] = ()
    version: bytes = b"1.1"
    head: bytes = b""
