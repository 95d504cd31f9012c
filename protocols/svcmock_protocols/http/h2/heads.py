"""Header lists of HTTP/2 as messages, and replies as header lists (RFC 9113 sections 8.2 and 8.3).

Decides what is a well-formed request head and which header list a reply has. A request's fields become the
block that they would be in HTTP/1, so that everything else reads them alike. A reply that was recorded over
HTTP/1, or written by hand, loses what only HTTP/1 knows, and gets a Content-Length where HTTP/1 would have got
one.
"""

import re
from typing import Final

from msgspec import Struct

from svcmock.protocol import ProtocolError
from svcmock_protocols.http.codec import MAX_LENGTH_DIGITS, RequestHead, bodiless, connection_options, values
from svcmock_protocols.http.grpc.metadata import timeout
from svcmock_protocols.http.grpc.view import kind_of
from svcmock_protocols.http.h2.hpack import Fields
from svcmock_protocols.http.messages import Reply, Request

CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""Fields of one connection of HTTP/1: malformed in HTTP/2 (section 8.2.2)."""

_NAME = rb"[!#$%&'*+\-.^_`|~0-9a-z]++"
_VALUE = rb"(?:[!-~\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*+(?<![\t ]))?+)?+"
_BLOCK = re.compile(rb"(?:" + _NAME + rb": " + _VALUE + rb"\r\n)*+")
_TARGET = re.compile(rb"[\x21-\x7e]++")
_AUTHORITY = re.compile(rb"[!-?A-~]++")
"""No `@`: section 8.3.1 forbids a user's name in it."""
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_LENGTH = re.compile(rb"[0-9]{1,%d}" % MAX_LENGTH_DIGITS)
_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})


class Malformed(ProtocolError):
    """A message that breaks the rules of section 8; its stream is reset. `why` is for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Opening(Struct, frozen=True, gc=False):
    """A request's head, and what its stream is to know of it.

    `length`: its Content-Length, -1 without one. `grpc`: it is a gRPC call (not gRPC-Web), and has `timeout`
    seconds. `plain`: without a body, it can be asked for as it is. `like`: what it shares with others.
    """

    head: RequestHead
    length: int = -1
    grpc: bool = False
    timeout: float | None = None
    plain: bool = False
    like: "Alike | None" = None


class Alike(Struct, gc=False):
    """Plain heads that differ only in what decides nothing. `request` is the one that was asked for last.

    Their header lists begin with `control` pseudo-headers; `host` is the first line of their blocks.
    """

    request: Request
    control: int
    host: bytes


def alike(known: Alike, fields: Fields) -> Opening:
    """The head that a header list makes which is like a known one. Raises Malformed."""
    before = known.request
    block = known.host + field_block(fields[known.control :])
    return Opening(
        RequestHead(Request(before.method, before.target, b"2", block), plain=before.method != b"HEAD"),
        plain=True,
        like=known,
    )


def likened(made: Opening, fields: Fields) -> Alike | None:
    """What a head has that others may share; None if it is more than plain."""
    request = made.head.request
    names = [name for name, _ in fields]
    if not made.plain or made.length >= 0 or b"host" in names or b"cookie" in names:
        return None
    control = sum(name[:1] == b":" for name in names)
    host, found, _ = request.block.partition(b"\r\n") if b":authority" in names else (b"", b"", b"")
    return Alike(request, control, host + found)


UNREAD: Final = Opening(RequestHead(Request(b"", b"", b"2")))
"""Stands for a head that could not be read."""


def opening(fields: Fields) -> Opening:
    """The head that a header list makes. Raises Malformed."""
    pseudo: dict[bytes, bytes] = {}
    at = 0
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _PSEUDO or name in pseudo:
            raise Malformed(f"the pseudo-header {_shown(name)} is unknown or twice there")
        pseudo[name] = value
        at += 1
    method, target = _control(pseudo)
    block = field_block(fields[at:])
    said: dict[bytes, bytes] = {}
    for name, value in fields[at:]:
        if name in READ:
            _note(said, name, value)
    authority = pseudo.get(b":authority", said.get(b"host", b""))
    if b"host" in said:
        if said[b"host"].lower() != authority.lower():
            raise Malformed("the host is not the :authority")
        block = re.sub(rb"(?m)^host: [^\r]*\r\n", b"", block)
    if authority:
        if not _AUTHORITY.fullmatch(authority):
            raise Malformed("the :authority is not host[:port]")
        block = b"host: %b\r\n%b" % (authority, block)
    said_to_be = kind_of(said[b"content-type"]) if b"content-type" in said else None
    grpc = said_to_be is not None and not said_to_be.web and method == b"POST"
    expect = said.get(b"expect", b"").lower()
    return Opening(
        RequestHead(Request(method, target, b"2", block), expect=expect, plain=method != b"HEAD"),
        _content_length(said.get(b"content-length")),
        grpc,
        timeout(said[b"grpc-timeout"]) if grpc and b"grpc-timeout" in said else None,
        plain=not (grpc or expect or method == b"CONNECT"),
    )


READ: Final = frozenset(
    {b"host", b"content-length", b"content-type", b"expect", b"grpc-timeout", b"te", b"cookie"} | CONNECTION
)
"""Fields that a head is read for."""


def _note(said: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if name in CONNECTION:
        raise Malformed(f"the field {_shown(name)} belongs to HTTP/1")
    if name == b"te" and value.lower() != b"trailers":
        raise Malformed("TE says more than `trailers`")
    if name in (b"content-length", b"host") and said.get(name, value) != value:
        raise Malformed(f"the field {_shown(name)} says two things")
    said[name] = value


def _control(pseudo: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Method and target (section 8.3.1)."""
    method = pseudo.get(b":method", b"")
    if not _METHOD.fullmatch(method):
        raise Malformed("there is no :method, or it is no token")
    if method == b"CONNECT":
        if b":path" in pseudo or b":scheme" in pseudo or not pseudo.get(b":authority"):
            raise Malformed("CONNECT has an :authority, and neither :scheme nor :path")
        return method, pseudo[b":authority"]
    if not pseudo.get(b":scheme"):
        raise Malformed("there is no :scheme")
    target = pseudo.get(b":path", b"")
    if not _TARGET.fullmatch(target) or (target[:1] != b"/" and (method, target) != (b"OPTIONS", b"*")):
        raise Malformed("the :path is empty, or not a path")
    return method, target


def field_block(fields: Fields) -> bytes:
    """Regular fields as a block of HTTP/1 lines; cookies in crumbs become one. Raises Malformed."""
    block = b"".join([b"%b: %b\r\n" % field for field in fields])
    if block.count(b"\n") != len(fields) or _BLOCK.fullmatch(block) is None:
        _diagnose(fields)
    if block.count(b"cookie: ") > 1:
        block = _one_cookie(fields)
    return block


def _one_cookie(fields: Fields) -> bytes:
    """Section 8.2.3."""
    crumbs = b"; ".join([value for name, value in fields if name == b"cookie"])
    lines = []
    for name, value in fields:
        if name != b"cookie":
            lines.append(b"%b: %b\r\n" % (name, value))
        elif crumbs:
            lines.append(b"cookie: %b\r\n" % crumbs)
            crumbs = b""
    return b"".join(lines)


def _diagnose(fields: Fields) -> None:
    for name, value in fields:
        if name[:1] == b":":
            raise Malformed("a pseudo-header after the others, or among trailers")
        if re.fullmatch(_NAME, name) is None:
            raise Malformed(f"the field name {_shown(name)} is empty, in upper case, or no token")
        if re.fullmatch(_VALUE, value) is None:
            raise Malformed(f"the value of {_shown(name)} has a control character, or white space around it")


def trailer_block(fields: Fields) -> bytes:
    """The trailers of a request. Raises Malformed."""
    for name, _ in fields:
        if name in CONNECTION:
            raise Malformed(f"the field {_shown(name)} belongs to HTTP/1")
    return field_block(fields)


def _content_length(value: bytes | None) -> int:
    if value is None:
        return -1
    if _LENGTH.fullmatch(value) is None:
        raise Malformed("the Content-Length is not a decimal number")
    return int(value)


def _shown(name: bytes) -> str:
    return ascii(name[:40].decode("latin-1"))


# --- replies ------------------------------------------------------------------------------------------


def block_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """The lines of a block as HTTP/2 has them: lower-case names, and nothing of one connection."""
    dropped = CONNECTION | connection_options(values(block, b"connection"))
    made = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        lower = name.strip().lower()
        if lower not in dropped:
            made.append((lower, value.strip(b" \t")))
    return made


def reply_fields(reply: Reply, method: bytes) -> list[tuple[bytes, bytes]]:
    """The header list of a reply."""
    made = [(b":status", b"%d" % reply.status), *block_fields(reply.block)]
    counted = reply.framing == "length" and reply.version != b"2"
    if counted and not bodiless(b"", reply.status) and not values(reply.block, b"content-length"):
        size = len(reply.body) if isinstance(reply.body, bytes) else reply.body.size
        if size or method != b"HEAD":
            made.append((b"content-length", b"%d" % size))
    return made
