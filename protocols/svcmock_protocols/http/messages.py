"""HTTP messages as values: what the codecs decode, routes hold and recordings describe (RFC 9110, 9112, 9113).

Field lines are kept as the block of bytes that was on the wire, so that case, order and duplicates survive and
a request whose headers nobody asks about never pays for parsing them. A message of HTTP/2 has the block that
its fields would be in HTTP/1, with lower-case names and one space after each colon, and `:authority` as `host`,
first.

A gRPC call is a request and a reply like any other: its messages, with their prefixes, are the bodies, and its
status is in the trailers, or in the head where that is all there is.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from svcmock.protocol import Payload

Framing: TypeAlias = Literal["length", "chunked", "close", "none"]
"""How a reply's body ends: by Content-Length, by the last chunk, by the connection's end; or it has none."""


class Request(Struct, frozen=True, gc=False):
    """A request. `target` is as sent, in any of the four forms of RFC 9112 section 3.2. `version`: 1.0, 1.1, 2.

    `block` and `trailers` hold the field lines exactly as sent, each with its CRLF. `body` is
    transfer-decoded; its content coding, where it has one, is still on.

    `said`: empty for a whole request. Else this is one part of a gRPC conversation, and `said` tells what came
    before: `open` when it begins; `N DIGEST` for the Nth message, which is the body; `end DIGEST` when the
    client has said all. `grpc.parts` makes the digest of the messages before it.
    """

    method: bytes
    target: bytes
    version: bytes = b"1.1"
    block: bytes = b""
    body: Payload = b""
    trailers: bytes = b""
    said: bytes = b""


class Chunk(Struct, frozen=True):
    """One piece of a streamed reply: `size` bytes of the body, `after` seconds after the piece before it.

    `on`: in a conversation, the part of the request that it answers: 0 its beginning, N its Nth message, one
    more than it has messages its end. `after` counts from there if no piece before it answers the same part.
    """

    size: int
    after: float = 0.0
    on: int = -1


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

    `ends_on`: in a conversation, the part of the request with which the reply ends; -1: it is none.
    `more`: this is what answers one part, and the reply goes on after it. `upto`: of a part, the bytes of the
    body that the client has been sent when it is answered; -1: all. So whatever was answered before by another
    recording of the same conversation, nothing is said twice and nothing is left out.
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
    ends_on: int = -1
    more: bool = False
    upto: int = -1


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """A service's `options:` in the graph. Sizes in bytes.

    `miss_status`: the status of the answer to a request that nothing matches. `max_body_memory`: larger request
    bodies go to disk while they arrive. `max_body`, `max_head`: larger ones are refused with 413 and 431.
    `redact`: further field paths that hold credentials; `keep`: field paths that do not. Of gRPC:
    `max_message`: a larger message is refused with RESOURCE_EXHAUSTED. `proto`, `descriptor_set`: files,
    folders or globs that say what messages mean.
    """

    miss_status: Annotated[int, Meta(ge=200, le=599)] = 501
    max_body_memory: Annotated[int, Meta(ge=0, le=1 << 30)] = 1 << 20
    max_body: Annotated[int, Meta(ge=0, le=1 << 40)] = 1 << 30
    max_head: Annotated[int, Meta(ge=1024, le=1 << 20)] = 64 * 1024
    redact: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    max_message: Annotated[int, Meta(ge=0, le=1 << 30)] = 4 << 20
    proto: str | tuple[str, ...] = ()
    descriptor_set: str | tuple[str, ...] = ()


def patterns(option: str | tuple[str, ...]) -> tuple[str, ...]:
    """What `proto` or `descriptor_set` names: one, or several."""
    return (option,) if isinstance(option, str) else option
