"""HTTP messages as values: what the codec decodes, routes hold and recordings describe (RFC 9110, 9112).

Field lines are kept as the block of bytes that was on the wire, so that case, order and duplicates survive
and a request whose headers nobody asks about never pays for parsing them.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

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

    `self_authority`: the host[:port] by which the recorded client reached the service. A Location that names
    it leads back to the service, so a session puts the live client's Host in its place.
    `negotiated`: false where the recorded client got a content coding that it had not offered to take; then
    every client gets it. Otherwise a client that does not take the coding gets the decoded body.
    `plain`: made with `head`; then `head` and `body` are all the bytes that any HTTP/1.1 client gets that
    keeps its connection alive and did not ask with HEAD.
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
    self_authority: bytes = b""
    negotiated: bool = True
    plain: bool = False


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """A service's `options:` in the graph. Sizes in bytes.

    `miss_status`: the status of the answer to a request that nothing matches. `max_body_memory`: larger
    request bodies go to disk while they arrive. `max_body`, `max_head`: larger ones are refused with 413
    and 431. `redact`: further field paths that hold credentials; `keep`: field paths that do not.
    """

    miss_status: Annotated[int, Meta(ge=200, le=599)] = 501
    max_body_memory: Annotated[int, Meta(ge=0, le=1 << 30)] = 1 << 20
    max_body: Annotated[int, Meta(ge=0, le=1 << 40)] = 1 << 30
    max_head: Annotated[int, Meta(ge=1024, le=1 << 20)] = 64 * 1024
    redact: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
