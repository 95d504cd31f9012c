"""HTTP messages with their credentials replaced by tokens: what recordings hold and live requests match.

Decides in two passes over one exchange. First the places that hold credentials (`credentials`): header fields,
members of the query, of URLs in headers, of form, multipart and JSON bodies, whatever content type a JSON text
has. Then every credential of SECRET_MIN bytes or more that was found there is looked for in the rest of the
exchange, also percent-encoded, JSON-escaped and HTML-escaped: servers echo. A request is searched for its own
alone, so that a live one redacts to the same. Bodies with a content coding are decoded, redacted and coded
again; Content-Length and the sizes of chunks are made to fit. Everything else stays byte for
byte. Redacting twice gives what redacting once gives. The messages of a gRPC call are looked through one by one
(`grpc.redact`).
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, quote_plus

from msgspec.structs import replace

from svcmock_protocols.http.codec import field_of, values
from svcmock_protocols.http.coding import coding_of, decode, encode
from svcmock_protocols.http.credentials import (
    SECRET_MIN,
    URL_HEADERS,
    Found,
    Rules,
    Token,
    hide,
    rules,
)
from svcmock_protocols.http.grpc import view
from svcmock_protocols.http.grpc.redact import NO_SENSE, Rewrite, Sense, echoed, edits
from svcmock_protocols.http.grpc.redact import hidden as hidden_by_name
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.messages import Chunk, Interim, Reply, Request
from svcmock_protocols.http.places import Edit, apply_edits, member_edits, url_edits

MAX_SECRETS = 256
"""Credentials of one exchange that are looked for everywhere; with more of them it is not recorded."""
_TOKENS = re.compile(rb"svcmock-[a-z2-7]{24}")
_MARK = b"svcmock-"
_SAMPLE = _MARK + b"a" * 24
_MEMO_BYTES = 2048
"""Blocks up to this size are remembered: what is remembered is bounded, whatever clients send."""

_Message = TypeVar("_Message", Request, Reply)

_LENGTH = re.compile(rb"^(content-length:[ \t]*)[0-9]+", re.IGNORECASE | re.MULTILINE)
_UNTOUCHED = frozenset(
    b"content-length content-type content-encoding transfer-encoding connection host date trailer".split()
)
"""Fields that say how to read the message. None of them can hold a secret and still work."""


_DEFAULT = rules()


class TooManyError(Exception):
    """An exchange with more than MAX_SECRETS credentials: svcmock cannot promise that none survives."""


# --- the interface ------------------------------------------------------------------------------------


def redact_exchange(
    request: Request,
    reply: Reply,
    token: Token,
    known: Rules | None = None,
    spooled: Found | None = None,
    schema: Schema | None = None,
) -> tuple[Request, Reply]:
    """Both as they are recorded. `spooled` are the credentials of bodies on disk. Raises TooManyError.

    `schema`: what gRPC messages mean (`Context.schema`).

    The reply is searched for the credentials of both. The request is searched for its own alone, as a live
    one can be: what only its reply makes a credential, the client had said openly and is matched by.
    """
    known = known or _DEFAULT
    found: Found = {}
    sense = Sense(schema, request.target)
    hidden = _hide_request(request, token, found, known, sense)
    request = _echo_request(hidden, Echo(found), sense) if found else hidden
    return request, redact_reply(reply, {**found, **(spooled or {})}, token, known, sense)


def redact_request(
    request: Request, token: Token, known: Rules | None = None, schema: Schema | None = None
) -> Request:
    """The request as its recording would hold it. Raises TooManyError.

    Without the project's key, when all tokens are one, a recorded request gives what its live one gives, too.
    """
    found: Found = {}
    sense = Sense(schema, request.target)
    hidden = _hide_request(request, token, found, known or _DEFAULT, sense)
    redacted = _echo_request(hidden, Echo(found), sense) if found else hidden
    return redacted if token(_SAMPLE) == _SAMPLE else _all_alike(redacted, token)


def _all_alike(request: Request, token: Token) -> Request:
    """Tokens that a recording holds outside the places of credentials, where their secrets were echoed."""
    if not request.body and _MARK not in request.target and _MARK not in request.block:
        return request

    alike = _Alike(token)
    edited = _echo_body(request, alike, Sense())
    return replace(edited, block=alike.apply(edited.block), target=alike.apply(edited.target))


class _Alike:
    """Replaces tokens by what the service makes of them now."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def occurs(self, data: bytes) -> bool:
        return _TOKENS.search(data) is not None and self.apply(data) != data

    def edits(self, data: bytes) -> list[Edit]:
        return [(*match.span(), self._token(match[0])) for match in _TOKENS.finditer(data)]

    def apply(self, data: bytes) -> bytes:
        return apply_edits(data, self.edits(data))


def redact_reply(
    reply: Reply,
    secrets: Mapping[bytes, bytes],
    token: Token,
    known: Rules | None = None,
    sense: Sense = NO_SENSE,
) -> Reply:
    """The reply without its own credentials and without `secrets`, those of its request by their tokens.

    Raises TooManyError.
    """
    found = dict(secrets)
    hidden = _hide_reply(reply, token, found, known or _DEFAULT, sense)
    return _echo_reply(hidden, Echo(found), sense) if found else hidden


def secrets_of(
    message: Request | Reply, token: Token, known: Rules | None = None, sense: Sense = NO_SENSE
) -> Found:
    """The credentials of one message, or of as much of it as there is yet, by their tokens."""
    found: Found = {}
    if isinstance(message, Request):
        _hide_request(message, token, found, known or _DEFAULT, sense)
    else:
        _hide_reply(message, token, found, known or _DEFAULT, sense)
    return found


def is_credential(lower_name: bytes, known: Rules | None = None) -> bool:
    """Whether `canonical_credential` has something to do for header fields of this name."""
    return lower_name in (known or _DEFAULT).headers or lower_name in URL_HEADERS


def canonical_credential(lower_name: bytes, value: bytes, token: Token, known: Rules | None = None) -> bytes:
    """What a header field's value is compared by: the same for a live credential and its recorded token.

    The scheme of an Authorization in lower case, cookies in the order of their names. Other fields than
    credentials are returned as they are, but for credentials in URLs.
    """
    known = known or _DEFAULT
    if lower_name not in known.headers:
        if lower_name in URL_HEADERS:
            return apply_edits(value, url_edits(value, token, {}, known))
        return value
    hidden = hide(lower_name, value, token, {}, known)
    if lower_name == b"cookie":
        parts = [part.strip(b" \t") for part in hidden.split(b";")]
        ordered = sorted((part for part in parts if part), key=_name_of)
        return b"; ".join(ordered)
    if lower_name.endswith(b"authorization"):
        scheme, space, rest = hidden.partition(b" ")
        return scheme.lower() + space + rest if space else hidden
    return hidden


def _name_of(pair: bytes) -> bytes:
    return pair.partition(b"=")[0]


# --- first pass: the places that hold credentials -----------------------------------------------------


def _hide_request(request: Request, token: Token, found: Found, known: Rules, sense: Sense) -> Request:
    hidden = _hide_message(request, token, found, known, sense)
    edits = url_edits(request.target, token, found, known)
    return replace(hidden, target=apply_edits(request.target, edits)) if edits else hidden


def _hide_reply(reply: Reply, token: Token, found: Found, known: Rules, sense: Sense) -> Reply:
    hidden = _hide_message(reply, token, found, known, sense)
    if not reply.interim:
        return hidden
    return replace(hidden, interim=tuple(_hide_interim(each, token, found, known) for each in reply.interim))


def _hide_interim(interim: Interim, token: Token, found: Found, known: Rules) -> Interim:
    return replace(interim, block=_hide_block(interim.block, token, found, known))


def _hide_message(message: _Message, token: Token, found: Found, known: Rules, sense: Sense) -> _Message:
    edited = message
    if view.kind(message.block) is not None:
        edited = _hide_messages(message, token, found, known, sense)
    elif message.body:  # most requests have none, and need no parsing of their fields
        kinds = values(message.block, b"content-type")
        kind = kinds[0].lower() if kinds else b""
        edited = _edit_body(message, lambda plain: member_edits(plain, kind, token, found, known))
    block = _hide_block(edited.block, token, found, known)
    trailers = _hide_block(edited.trailers, token, found, known)
    if block == edited.block and trailers == edited.trailers:
        return edited
    return replace(edited, block=block, trailers=trailers)


def _hide_messages(message: _Message, token: Token, found: Found, known: Rules, sense: Sense) -> _Message:
    """The messages of a call without what their names say is a credential."""
    schema, type_name = sense.schema, sense.type_of(output=isinstance(message, Reply))

    def hide_one(data: bytes) -> bytes:
        if schema is None or type_name is None:
            return data
        return hidden_by_name(data, schema, type_name, token, found, known)

    return _edit_call(message, hide_one, lambda block: _hide_block(block, token, found, known))


def _hide_block(block: bytes, token: Token, found: Found, known: Rules) -> bytes:
    if not block:
        return block
    hide_line = _hide_line if len(block) <= _MEMO_BYTES else _hide_line.__wrapped__
    hidden = [hide_line(line, token, known) for line in block.split(b"\r\n")]
    for _, noted in hidden:
        found.update(noted)
    return b"\r\n".join([line for line, _ in hidden])


@lru_cache(maxsize=2048)
def _hide_line(line: bytes, token: Token, known: Rules) -> tuple[bytes, Found]:
    """A field line without its credentials, and these. Remembered: a client says most lines again."""
    _, core, lower = field_of(line)
    if lower not in known.looked_into or not core:
        return line, {}
    noted: Found = {}
    if lower in known.headers:
        hidden = hide(lower, core, token, noted, known)
    else:
        hidden = apply_edits(core, url_edits(core, token, noted, known))
    start = line.index(core, len(lower) + 1)
    return line[:start] + hidden + line[start + len(core) :], noted


# --- second pass: what was found, anywhere else -------------------------------------------------------


class Echo:
    """Replaces known credentials in bytes, however they are escaped. Raises TooManyError when made.

    Whole texts go through `edits`; a stream through `feed` and `flush`, with the same result.
    """

    def __init__(self, found: Mapping[bytes, bytes]) -> None:
        looked_for = {
            secret: made for secret, made in found.items() if len(secret) >= SECRET_MIN and secret != made
        }
        if len(looked_for) > MAX_SECRETS:
            raise TooManyError
        self._tokens = {form: made for secret, made in looked_for.items() for form in _forms(secret)}
        self._pattern: re.Pattern[bytes] | None = None
        self.longest = max(map(len, self._tokens), default=1)
        self._carry = b""
        self.touched = False
        """Whether a stream that was fed had any of them in it."""

    def knowing(self, found: Mapping[bytes, bytes]) -> "Echo":
        """One that looks for these instead, from here on in the same stream. Raises TooManyError."""
        other = Echo(found)
        other._carry, other.touched = self._carry, self.touched
        return other

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def occurs(self, data: bytes) -> bool:
        """Whether any of the credentials is in `data`: one fast search each."""
        return any(form in data for form in self._tokens)

    def edits(self, data: bytes) -> list[Edit]:
        if not self.occurs(data):
            return []
        if self._pattern is None:
            longest_first = sorted(self._tokens, key=len, reverse=True)
            self._pattern = re.compile(b"|".join(map(re.escape, longest_first)))
        return [(*match.span(), self._tokens[match[0]]) for match in self._pattern.finditer(data)]

    def apply(self, data: bytes) -> bytes:
        return apply_edits(data, self.edits(data))

    def feed(self, data: bytes) -> bytes:
        """The next bytes of a stream. The last few are held back: a credential may have begun in them."""
        data = self._carry + data
        safe = max(len(data) - self.longest + 1, 0)
        edits = [edit for edit in self.edits(data) if edit[0] < safe]
        self.touched = self.touched or bool(edits)
        cut = max(safe, edits[-1][1]) if edits else safe
        self._carry = data[cut:]
        return apply_edits(data[:cut], edits)

    def flush(self) -> bytes:
        """What was held back, at the end of the stream."""
        rest, self._carry = self._carry, b""
        clean = self.apply(rest)
        self.touched = self.touched or clean != rest
        return clean


@lru_cache(maxsize=1024)
def _forms(secret: bytes) -> Iterable[bytes]:
    """A credential as it is, and as URLs, JSON and HTML write it."""
    quoted = quote(secret, safe="")
    forms = {secret, quoted.encode(), quote_plus(secret).encode(), quote(secret).encode()}
    forms.add(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode())
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return forms
    escaped = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    escaped |= {form.replace("/", "\\/") for form in escaped}
    return forms | {form.encode() for form in (*escaped, html.escape(text))}


def _echo_request(request: Request, echo: Echo, sense: Sense) -> Request:
    if not echo:
        return request
    target = echo.apply(request.target)
    edited = _echo_message(request, echo, sense)
    return edited if target == edited.target else replace(edited, target=target)


def _echo_reply(reply: Reply, echo: Echo, sense: Sense) -> Reply:
    if not echo:
        return reply
    interim = tuple(replace(each, block=_echo_block(each.block, echo)) for each in reply.interim)
    return replace(_echo_message(reply, echo, sense), reason=echo.apply(reply.reason), interim=interim)


def _echo_message(message: _Message, echo: Echo, sense: Sense) -> _Message:
    edited = _echo_body(message, echo, sense)
    block, trailers = _echo_block(edited.block, echo), _echo_block(edited.trailers, echo)
    if block == edited.block and trailers == edited.trailers:
        return edited
    return replace(edited, block=block, trailers=trailers)


def _echo_body(message: _Message, echo: "Echo | _Alike", sense: Sense) -> _Message:
    if view.kind(message.block) is None:
        return _edit_body(message, echo.edits)
    type_name = sense.type_of(output=isinstance(message, Reply))
    return _edit_call(message, lambda data: echoed(data, sense.schema, type_name, echo), echo.apply)


def _echo_block(block: bytes, echo: Echo) -> bytes:
    if not echo.occurs(block):
        return block
    return b"".join(_echo_line(line, echo) for line in block.splitlines(keepends=True))


def _echo_line(line: bytes, echo: Echo) -> bytes:
    name, colon, value = line.partition(b":")
    return line if name.lower() in _UNTOUCHED else name + colon + echo.apply(value)


# --- editing ------------------------------------------------------------------------------------------


def with_length(block: bytes, size: int) -> bytes:
    """The block with its Content-Length, where it has one, saying `size`."""
    return _LENGTH.sub(lambda match: b"%b%d" % (match[1], size), block)


def _edit_body(message: _Message, find: Callable[[bytes], list[Edit]]) -> _Message:
    """The message with its body edited, coding and all, and what says how long it is."""
    body = message.body
    if not isinstance(body, bytes) or not body:
        return message
    coding = coding_of(message.block)
    plain = decode(body, coding) if coding else body
    if plain is None:
        plain, coding = body, b""
    edits = find(plain)
    made = apply_edits(plain, edits)
    if made == plain:
        return message
    coded = encode(made, coding) if coding else made
    if coded is None:
        return message
    message = replace(message, body=coded, block=with_length(message.block, len(coded)))
    if isinstance(message, Reply):
        chunks = scaled(message.chunks, len(body), len(coded)) if coding else _shifted(message.chunks, edits)
        return replace(message, chunks=chunks)
    return message


def _edit_call(message: _Message, rewrite: Rewrite, block: Rewrite) -> _Message:
    """A call with its messages rewritten one by one; a body that is none is left as it is."""
    body, kind = message.body, view.kind(message.block)
    if not isinstance(body, bytes) or not body or kind is None:
        return message
    plain = view.untexted(body) if kind.text else body
    made = None if plain is None else edits(plain, view.encoding(message.block), rewrite, block)
    if plain is None or not made:
        return message
    new = apply_edits(plain, made)
    new = view.texted(new) if kind.text else new
    message = replace(message, body=new, block=with_length(message.block, len(new)))
    if isinstance(message, Reply):
        chunks = message.chunks
        cut = scaled(chunks, len(body), len(new)) if kind.text else _shifted(chunks, made)
        return replace(message, chunks=cut)
    return message


def _shifted(chunks: tuple[Chunk, ...], edits: list[Edit]) -> tuple[Chunk, ...]:
    """The chunks with their ends after the same bytes as before; an end inside an edit goes to its end."""
    ends = []
    at = shift = i = 0
    for chunk in chunks:
        at += chunk.size
        while i < len(edits) and edits[i][0] < at:
            start, end, instead = edits[i]
            shift += len(instead) - (end - start)
            i += 1
        ends.append(max(at, edits[i - 1][1] if i else 0) + shift)
    return _cut(chunks, ends)


def scaled(chunks: tuple[Chunk, ...], old: int, new: int) -> tuple[Chunk, ...]:
    """The chunks cut in proportion: inside a coded body no byte is still the same."""
    ends = []
    at = 0
    for chunk in chunks:
        at += chunk.size
        ends.append(at * new // old)
    return _cut(chunks, ends)


def _cut(chunks: tuple[Chunk, ...], ends: list[int]) -> tuple[Chunk, ...]:
    """Chunks that end there. One that has become empty would end the body, so its gap goes to the next."""
    made: list[Chunk] = []
    at, after = 0, 0.0
    for chunk, end in zip(chunks, ends, strict=True):
        after += chunk.after
        if end > at:
            made.append(Chunk(size=end - at, after=after, on=chunk.on))
            at, after = end, 0.0
    return tuple(made)
