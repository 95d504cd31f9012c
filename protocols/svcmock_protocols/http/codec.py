"""Heads of HTTP/1 messages: bytes to values and back (RFC 9110, RFC 9112). Sans I/O.

Decides what is a message and what is refused, where a head ends, how the body that follows is framed, and the
bytes of a reply's head. Bodies are in `body`, content codings in `coding`. Used by the serving session and by
the recording tap, so that both read a message alike.

A complete head is checked by one strict regular expression and kept as a block of bytes: nobody pays for
parsing header fields that nobody asks for. Whatever two readers could frame differently is refused (request
smuggling). Requests are read at least as strictly as h11 0.16 does; where we are stricter is the list
STRICTER_THAN_H11. Responses are read by the same field grammar; only a missing reason phrase and a
Content-Length repeated with one value are tolerated, as neither makes the framing ambiguous.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NoReturn, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from svcmock.protocol import ProtocolError
from svcmock_protocols.http.messages import Framing, Reply, Request

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head, first line to empty line."""
MAX_LINE: Final = 16 * 1024
"""Bytes of a request line. nginx takes 8 KiB, Node 16 KiB with the headers."""
MAX_FIELDS: Final = 200
"""Field lines of a head."""
MAX_LENGTH_DIGITS: Final = 19
"""Digits of a Content-Length, leading zeros included: what still fits 64 bits."""
_MAX_SETTINGS: Final = 1024
"""Characters of an HTTP2-Settings field."""
_MEMO_HEADS: Final = 512
_MEMO_BYTES: Final = 2048

FAULTS: Final[dict[str, tuple[int, str]]] = {
    "bare-lf": (400, "a line ends in LF without CR"),
    "bare-cr": (400, "CR without LF inside a line"),
    "control-byte": (400, "a control byte in the head"),
    "empty-line": (400, "an empty line where the first line of a message is due"),
    "request-line": (400, "the request line is not `METHOD target HTTP/x.y` with single spaces"),
    "status-line": (400, "the status line is not `HTTP/1.x NNN reason`"),
    "method": (400, "the method is not a token"),
    "target": (400, "the request target holds whitespace or bytes outside ASCII, or is empty"),
    "target-form": (400, "the request target is not a path, an absolute URL, or * with OPTIONS"),
    "version": (505, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
    "obs-fold": (400, "a header folded over several lines"),
    "space-before-colon": (400, "whitespace between a header's name and its colon"),
    "no-colon": (400, "a header line without a colon"),
    "field-name": (400, "a header's name is empty or not a token"),
    "no-host": (400, "an HTTP/1.1 request without Host"),
    "duplicate-host": (400, "more than one Host"),
    "host": (400, "the Host is not host[:port]"),
    "duplicate-length": (400, "more than one Content-Length"),
    "length": (400, "the Content-Length is not a decimal number"),
    "length-and-encoding": (400, "both Content-Length and Transfer-Encoding"),
    "duplicate-encoding": (400, "more than one Transfer-Encoding"),
    "encoding": (501, "a Transfer-Encoding other than chunked"),
    "encoding-1.0": (400, "Transfer-Encoding in an HTTP/1.0 message"),
    "line-too-long": (414, f"the request line is longer than {MAX_LINE} bytes"),
    "head-too-large": (431, "the head is larger than this service takes"),
    "too-many-fields": (431, f"more than {MAX_FIELDS} header lines"),
    "chunk-line": (400, "a chunk's size line is not `hex[;extension]`"),
    "chunk-line-too-long": (400, "a chunk's size line is too long"),
    "chunk-end": (400, "no CRLF after a chunk's data"),
    "trailer": (400, "a malformed trailer line"),
    "trailer-framing": (400, "a trailer that belongs in the head"),
    "trailers-too-large": (431, "the trailers are too large"),
    "body-too-large": (413, "the body is larger than this service takes"),
    "incomplete": (400, "the connection ended inside a message"),
}
"""Every way a message can be wrong: the status that answers it, and what a person is told."""

STRICTER_THAN_H11: Final[dict[str, str]] = {
    "bare-lf": "h11 takes LF for CRLF, in heads and trailers",
    "obs-fold": "h11 joins folded lines",
    "control-byte": "h11 takes control bytes other than NUL and whitespace in values",
    "target-form": "h11 takes any printable ASCII as a target",
    "version": "h11 takes any digit.digit as a version",
    "host": "h11 takes any value of Host",
    "duplicate-length": "h11 takes repeated and comma-joined lengths that are equal",
    "length": "h11 takes a Content-Length of 20 digits",
    "length-and-encoding": "h11 lets Transfer-Encoding win",
    "encoding-1.0": "h11 takes Transfer-Encoding in HTTP/1.0",
    "line-too-long": "h11 bounds only heads that arrive in pieces",
    "head-too-large": "h11 bounds only heads that arrive in pieces",
    "too-many-fields": "h11 does not count fields",
    "chunk-line": "h11 takes whitespace before CRLF, any bytes in an extension, and sizes of 20 digits",
    "chunk-line-too-long": "h11 bounds only lines that arrive in pieces",
    "trailer-framing": "h11 takes Host and valid framing fields as trailers",
    "trailers-too-large": "h11 bounds only trailers that arrive in pieces",
    "body-too-large": "h11 leaves the size of a body to its user",
}
"""What we refuse and h11 0.16 takes, by the name of the fault. Nothing else: the tests hold us to it."""


class MessageError(ProtocolError):
    """A message was refused. `fault` is a key of FAULTS, `status` the answer that says so."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.status, self.why = FAULTS[fault]
        super().__init__(self.why)


class RequestHead(Struct, frozen=True, gc=False):
    """A request without its body, and what its head says about the body and the connection.

    `framing` is "length", "chunked" or "none"; `expect` is the lower-cased expectation of a 1.1 client.
    `plain`: sent by an HTTP/1.1 client that keeps its connection, and not with HEAD.
    `upgrade`: the HTTP2-Settings of a client that would go over to HTTP/2 (RFC 7540 section 3.2), else None.
    """

    request: Request
    framing: Framing = "none"
    length: int = 0
    keep_alive: bool = True
    expect: bytes = b""
    plain: bool = True
    upgrade: bytes | None = None


class ReplyHead(Struct, frozen=True):
    """A reply without its body, that body's length, and whether a connection may be used again after it.

    `reply.framing` says how the body ends. A 1xx is a ReplyHead like any other, and not the final one.
    """

    reply: Reply
    length: int = 0
    keep_alive: bool = True


# --- grammar ------------------------------------------------------------------------------------------
# Possessive quantifiers throughout: no input makes these expressions backtrack.

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*+"
_BLOCK = rb"((?:" + _TOKEN + rb":" + _TEXT + rb"\r\n)*+)\r\n"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]++) HTTP/([0-9]\.[0-9])\r\n" + _BLOCK)
_REPLY = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: (" + _TEXT + rb"))?+\r\n" + _BLOCK)
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#]")
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.%_~\-]++\]|[A-Za-z0-9\-._~!$&'()*+,;=%]*+)(?::[0-9]*+)?+")
_LENGTH = re.compile(rb"[0-9]{1,%d}" % MAX_LENGTH_DIGITS)
_ILLEGAL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")
_DECIDING = re.compile(
    rb"\n(host|content-length|transfer-encoding|connection|expect):[ \t]*+([^\r]*+)", re.IGNORECASE
)
_FIELD_LINE = re.compile(_TOKEN + rb":" + _TEXT + rb"\r\n")
_TOKEN_ONLY = re.compile(_TOKEN)


def is_field_line(line: bytes) -> bool:
    """Whether `line`, with its CRLF, is one well-formed field line (RFC 9112 section 5)."""
    return _FIELD_LINE.fullmatch(line) is not None


# --- requests -----------------------------------------------------------------------------------------


def parse_request_head(
    data: bytes | bytearray, start: int = 0, max_head: int = MAX_HEAD, scanned: int = 0
) -> tuple[RequestHead, int] | None:
    """The request head that starts at `start` and where it ends; None while it is incomplete.

    `scanned`: how much of `data` an earlier call that returned None has seen, so that nothing is searched
    twice. Raises MessageError, as early as no further byte can mend the fault.
    """
    found = data.find(b"\r\n\r\n", max(start, scanned - 3), start + max_head)
    if found < 0:
        _refuse_early(data, start, max_head, scanned)
        return None
    end = found + 4
    head = bytes(data[start:end])
    return (_request_head(head) if end - start <= _MEMO_BYTES else _read_request(head)), end


def _read_request(head: bytes) -> RequestHead:
    match = _REQUEST.fullmatch(head)
    if match is None:
        _diagnose(head, _request_line_fault)
    method, target, version, block = match.groups()
    line_end = match.start(4) - 2
    _check_sizes(head, line_end, block)
    if version not in (b"1.1", b"1.0"):
        raise MessageError("version")
    if target[0] != 47 and not _other_form(method, target):
        raise MessageError("target-form")
    said = _deciding(head, line_end)
    _check_host(said.get(b"host", ()), version)
    framing, length = _framing(said, version, lenient=False)
    connection = said.get(b"connection", ())
    keep_alive = _keep_alive(connection, version)
    return RequestHead(
        request=Request(method, target, version, block),
        framing=framing,
        length=length,
        keep_alive=keep_alive,
        expect=b",".join(said.get(b"expect", ())).lower() if version == b"1.1" else b"",
        plain=keep_alive and version == b"1.1" and method != b"HEAD",
        upgrade=_upgrade(connection, block) if connection and version == b"1.1" else None,
    )


def _upgrade(connection: tuple[bytes, ...], block: bytes) -> bytes | None:
    """The settings of a client that offers to go over to HTTP/2, and says all that belongs to it."""
    if not connection_options(connection) >= {b"upgrade", b"http2-settings"}:
        return None
    offered = connection_options(values(block, b"upgrade"))
    settings = values(block, b"http2-settings")
    if b"h2c" not in offered or len(settings) != 1 or len(settings[0]) > _MAX_SETTINGS:
        return None
    try:
        return base64.b64decode(settings[0] + b"=" * (-len(settings[0]) % 4), b"-_", validate=True)
    except binascii.Error:
        return None


_request_head = lru_cache(maxsize=_MEMO_HEADS)(_read_request)


def _other_form(method: bytes, target: bytes) -> bool:
    """The forms of RFC 9112 section 3.2 that do not start with a slash."""
    if method == b"OPTIONS" and target == b"*":
        return True
    return method == b"CONNECT" or _ABSOLUTE.match(target) is not None


def _check_host(hosts: tuple[bytes, ...], version: bytes) -> None:
    if not hosts:
        if version == b"1.1":
            raise MessageError("no-host")
    elif len(hosts) > 1:
        raise MessageError("duplicate-host")
    elif _HOST.fullmatch(hosts[0]) is None:
        raise MessageError("host")


# --- responses ----------------------------------------------------------------------------------------


def parse_reply_head(
    data: bytes | bytearray, method: bytes, start: int = 0, max_head: int = MAX_HEAD, scanned: int = 0
) -> tuple[ReplyHead, int] | None:
    """The head of a reply to a request with `method`, and where it ends; None while it is incomplete.

    `reply.framing` is decided as in RFC 9112 section 6.3; `reply.head` is left empty. See
    `parse_request_head` for `scanned`. Raises MessageError.
    """
    found = data.find(b"\r\n\r\n", max(start, scanned - 3), start + max_head)
    if found < 0:
        _refuse_early(data, start, max_head, scanned)
        return None
    end = found + 4
    return _read_reply(bytes(data[start:end]), method), end


def _read_reply(head: bytes, method: bytes) -> ReplyHead:
    match = _REPLY.fullmatch(head)
    if match is None:
        _diagnose(head, _status_line_fault)
    version, digits, reason, block = match.groups()
    line_end = match.start(4) - 2
    _check_sizes(head, line_end, block)
    said = _deciding(head, line_end)
    status = int(digits)
    framing, length = _framing(said, version, lenient=True)
    if bodiless(method, status):
        framing, length = "none", 0
    elif framing == "none":
        framing = "close"
    return ReplyHead(
        reply=Reply(status=status, reason=reason or b"", block=block, framing=framing, version=version),
        length=length,
        keep_alive=framing != "close" and _keep_alive(said.get(b"connection", ()), version),
    )


def bodiless(method: bytes, status: int) -> bool:
    """Whether a reply ends with its head, whatever the head says (RFC 9112 section 6.3, items 1 and 2)."""
    return method == b"HEAD" or status < 200 or status in (204, 304) or (method == b"CONNECT" and status < 300)


# --- what both kinds of head share --------------------------------------------------------------------


def _deciding(head: bytes, line_end: int) -> dict[bytes, tuple[bytes, ...]]:
    """The values, in order, of the fields that decide about framing and connection, by lower-cased name."""
    said: dict[bytes, tuple[bytes, ...]] = {}
    for name, value in _DECIDING.findall(head, line_end):
        lower = name.lower()
        said[lower] = (*said.get(lower, ()), value.rstrip(b" \t"))
    return said


def _framing(said: dict[bytes, tuple[bytes, ...]], version: bytes, *, lenient: bool) -> tuple[Framing, int]:
    """How the body ends, and its length. "none": the head does not say. Raises MessageError."""
    lengths = said.get(b"content-length", ())
    encodings = said.get(b"transfer-encoding", ())
    if encodings:
        if lengths:
            raise MessageError("length-and-encoding")
        if len(encodings) > 1:
            raise MessageError("duplicate-encoding")
        if version == b"1.0":
            raise MessageError("encoding-1.0")
        if encodings[0].lower() != b"chunked":
            raise MessageError("encoding")
        return "chunked", 0
    if not lengths:
        return "none", 0
    if len(lengths) > 1 and not (lenient and len(set(lengths)) == 1):
        raise MessageError("duplicate-length")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise MessageError("duplicate-length" if b"," in lengths[0] else "length")
    return "length", int(lengths[0])


def _keep_alive(connection: tuple[bytes, ...], version: bytes) -> bool:
    """RFC 9112 section 9.3."""
    options = connection_options(connection)
    return b"close" not in options and (version == b"1.1" or b"keep-alive" in options)


def connection_options(values: tuple[bytes, ...]) -> frozenset[bytes]:
    """The lower-cased options of Connection fields."""
    return frozenset(option.strip(b" \t").lower() for value in values for option in value.split(b","))


def _check_sizes(head: bytes, line_end: int, block: bytes) -> None:
    if line_end > MAX_LINE:
        raise MessageError("line-too-long")
    if len(head) > MAX_FIELDS and block.count(b"\n") > MAX_FIELDS:
        raise MessageError("too-many-fields")


def _refuse_early(data: bytes | bytearray, start: int, max_head: int, scanned: int) -> None:
    """An incomplete head: refuse what cannot become one, in the order in which the bytes came."""
    if start == len(data):
        return
    stop = min(len(data), start + max_head)
    illegal = _ILLEGAL.search(data, max(start, scanned - 1), stop)
    if data[start] == 10:
        raise MessageError("bare-lf")
    if illegal is not None and illegal.start() - start <= MAX_LINE:
        raise MessageError(_byte_fault(illegal[0]))
    if stop - start > MAX_LINE + 1 and data.find(b"\r\n", start, start + MAX_LINE + 2) < 0:
        raise MessageError("line-too-long")
    if illegal is not None:
        raise MessageError(_byte_fault(illegal[0]))
    if stop - start == max_head:
        raise MessageError("head-too-large")


def _byte_fault(illegal: bytes) -> str:
    return {b"\n": "bare-lf", b"\r": "bare-cr"}.get(illegal, "control-byte")


def _diagnose(head: bytes, line_fault: Callable[[bytes], str | None]) -> NoReturn:
    """Say what is wrong with a complete head that the grammar refused."""
    _refuse_early(head, 0, len(head) + 1, 0)
    line, *lines = head.split(b"\r\n")[:-2]
    fault = line_fault(line)
    if fault is not None:
        raise MessageError(fault)
    for field in lines:
        name, colon, _ = field.partition(b":")
        if field[:1] in (b" ", b"\t"):
            raise MessageError("obs-fold")
        if not colon:
            raise MessageError("no-colon")
        if name[-1:] in (b" ", b"\t"):
            raise MessageError("space-before-colon")
        if _TOKEN_ONLY.fullmatch(name) is None:
            raise MessageError("field-name")
    raise MessageError("request-line")


def _request_line_fault(line: bytes) -> str | None:
    if not line:
        return "empty-line"
    method, _, rest = line.partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    if _TOKEN_ONLY.fullmatch(method) is None:
        return "method"
    if not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", protocol):
        return "request-line"
    return None if re.fullmatch(rb"[\x21-\x7e]+", target) else "target"


def _status_line_fault(line: bytes) -> str | None:
    if not line:
        return "empty-line"
    return None if re.fullmatch(rb"HTTP/1\.[01] [1-9][0-9]{2}( .*)?", line) else "status-line"


# --- fields -------------------------------------------------------------------------------------------

_T = TypeVar("_T")


def _memo(function: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Remember `function` for small blocks: a few megabytes at most, whatever clients send."""
    remembered = lru_cache(maxsize=_MEMO_HEADS)(function)

    def once(block: bytes) -> _T:
        return remembered(block) if len(block) <= _MEMO_BYTES else function(block)

    return once


@_memo
def fields(block: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The fields of a block of well-formed lines: names as sent, values without the whitespace around."""
    return tuple(field_of(line)[:2] for line in block.split(b"\r\n")[:-1])


def field_of(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Of a well-formed line without its CRLF: name as sent, value without white space, lower-cased name."""
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t"), name.lower()


_known_field = lru_cache(maxsize=4 * _MEMO_HEADS)(field_of)


@_memo
def index(block: bytes) -> dict[bytes, tuple[bytes, ...]]:
    """The values of each field by lower-cased name, in order. Shared: not to be changed."""
    values: dict[bytes, tuple[bytes, ...]] = {}
    # heads are seldom the same, but their lines are
    read = _known_field if len(block) <= _MEMO_BYTES else field_of
    for line in block.split(b"\r\n")[:-1]:
        _, value, lower = read(line)
        if lower in values:
            values[lower] += (value,)
        else:
            values[lower] = (value,)
    return values


def values(block: bytes, lower_name: bytes) -> tuple[bytes, ...]:
    """The values of the fields with this name, in order; none: empty."""
    return index(block).get(lower_name, ())


def without(block: bytes, *lower_names: bytes) -> bytes:
    """The block without the lines of these fields, all others untouched."""
    lines = block.split(b"\r\n")[:-1]
    kept = [line + b"\r\n" for line in lines if line.partition(b":")[0].lower() not in lower_names]
    return b"".join(kept)


# --- writing replies ----------------------------------------------------------------------------------


def reply_head(reply: Reply) -> bytes:
    """The head as wire bytes, status line to empty line.

    Field lines leave exactly as they are. Only what the framing needs is added where it is missing: a
    Content-Length, or `Transfer-Encoding: chunked`. No Date, no Server.
    """
    added = b""
    if not bodiless(b"", reply.status):
        if reply.framing == "length" and not values(reply.block, b"content-length"):
            size = len(reply.body) if isinstance(reply.body, bytes) else reply.body.size
            added = b"Content-Length: %d\r\n" % size
        elif reply.framing == "chunked" and not values(reply.block, b"transfer-encoding"):
            added = b"Transfer-Encoding: chunked\r\n"
    line = b"HTTP/%b %d %b\r\n" % (reply.version, reply.status, reply.reason)
    return b"%b%b%b\r\n" % (line, reply.block, added)


def with_head(reply: Reply) -> Reply:
    """The reply with `head` and `plain` filled in. Done once, when a route is loaded."""
    return replace(reply, head=reply_head(reply), plain=_is_plain(reply))


def _is_plain(reply: Reply) -> bool:
    """Whether nothing about the reply depends on the client, beyond HEAD, HTTP/1.0 and closing."""
    if reply.chunks or reply.interim or reply.self_authority or reply.version != b"1.1" or reply.status < 200:
        return False
    if not isinstance(reply.body, bytes):
        return False
    said = index(reply.block)
    if b"content-encoding" in said or not connection_options(said.get(b"connection", ())) <= {b"keep-alive"}:
        return False
    if bodiless(b"", reply.status):
        return not reply.body
    return reply.framing == "length" and said.get(b"content-length", ()) in ((), (b"%d" % len(reply.body),))
