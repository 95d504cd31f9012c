"""What decides a match: the canonical key of a request, and its conditions.

Two requests have one key when they ask for the same thing: same path (percent-encoding normalised, RFC 3986
section 6.2.2; dot segments stand), same method, same query as a multimap, same body by meaning: JSON by value,
forms as multimaps, multipart by its parts whatever the boundary, anything else byte by byte; always without
the content coding. Whatever cannot be read as what it says it is counts as bytes, as does what is deeper or has
more nodes than the limits here: the same on both sides of a comparison, so it can only ever refuse.

A gRPC call is compared by what its messages mean (`grpc.meaning`), and a part of a conversation by what came
before it, too. How it travelled decides nothing: compressed or not, as gRPC or as gRPC-Web.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from svcmock.noise import Noise
from svcmock.protocol import Context, Doc
from svcmock_protocols.http import coding, multipart
from svcmock_protocols.http.bodies import FORM, IN_MEMORY_MAX
from svcmock_protocols.http.codec import index, values
from svcmock_protocols.http.credentials import Rules, rules
from svcmock_protocols.http.forms import Pairs, canonical_pairs, is_json, media_type, parse_pairs, text
from svcmock_protocols.http.grpc import meaning, view
from svcmock_protocols.http.grpc.view import Head
from svcmock_protocols.http.messages import Options, Request
from svcmock_protocols.http.redact import canonical_credential

MAX_DEPTH = 100
"""Levels of JSON; deeper bodies are compared as bytes."""
MAX_NODES = 100_000
"""Values in a JSON body; larger ones are compared as bytes."""
MEANING_MAX = 4 << 20
"""Decoded bytes; more is compared as bytes: small bodies may unfold into large ones."""
_MEMO_BYTES = 512
"""Targets and bodies up to this size are remembered: what is remembered is bounded, whatever clients send."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PREFIX = "headers."
_IMPLIED = {b"accept": (b"*/*",), b"accept-language": (b"*",)}
"""What a request means that does not have these fields (RFC 9110 sections 12.5.1 and 12.5.4)."""


# --- the key ------------------------------------------------------------------------------------------


def address(request: Request) -> bytes:
    """The normalised path: of any form of target, without its query. It holds no NUL byte."""
    return split(request.target)[0]


def key(request: Request, context: Context) -> bytes:
    """address NUL method NUL query NUL digest of the body; the last two are empty where there is none.

    Of a part of a conversation what it said before stands in place of the query.
    """
    if request.method == b"POST":
        head = view.head(request.block)
        if head is not None:
            return _key_of_call(request, head, context)
    return _key(request, context, _digest)


def _key(request: Request, context: Context, digest: Callable[[Request, Context], bytes]) -> bytes:
    target = request.target
    place = _place if len(target) <= _MEMO_BYTES else _place.__wrapped__
    where, query = place(target, context.ignore.covers)
    query = query + request.said if request.said else query
    if request.body == b"":
        return b"%b\0%b\0%b\0" % (where, request.method, query)
    return b"%b\0%b\0%b\0%b" % (where, request.method, query, digest(request, context))


def _work_out(request: Request, head: Head, context: Context) -> bytes:
    def digest(request: Request, context: Context) -> bytes:
        held = isinstance(request.body, bytes) and len(request.body) <= by_digest_above(context)
        return meaning.of(request, head, context) if held else _digest(request, context)

    return _key(request, context, digest)


_key_of_call = meaning.Memo(_work_out)


@lru_cache(maxsize=4096)
def _place(target: bytes, covers: Any) -> tuple[bytes, bytes]:
    """The address and the canonical query. `covers` stands for its Noise: it hashes by identity, cheaply."""
    where, query = split(target)
    if not query:
        return where, b""
    pairs = parse_pairs(query)
    if pairs is None:
        return where, query
    return where, canonical_pairs(_without_noise(pairs, "query", covers))


def _without_noise(pairs: Pairs, root: str, covers: Any) -> Pairs:
    return tuple(pair for pair in pairs if not covers(root, text(pair[0])))


def split(target: bytes) -> tuple[bytes, bytes]:
    """The normalised path of a target of any form (RFC 9112 section 3.2), and its query as sent."""
    if not target.startswith(b"/"):
        scheme, separator, rest = target.partition(b"://")
        if separator and scheme.isalnum():
            cut = re.search(rb"[/?#]", rest)
            target = rest[cut.start() :] if cut else b""
            target = target if target.startswith(b"/") else b"/" + target
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return (_ESCAPE.sub(_normalised, path) if b"%" in path else path), query


def _normalised(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else b"%%%02X" % byte


# --- the body -----------------------------------------------------------------------------------------


def _digest(request: Request, context: Context) -> bytes:
    """16 bytes that stand for what the body means.

    A body that may be on disk on one side of a comparison is compared by its digest on both: one that is
    larger than a file read at load, or than what a session keeps in memory.
    """
    body = request.body
    codings = coding.coding_of(request.block)
    if not isinstance(body, bytes):
        return _hashed(b"sha256", body.sha256.encode())
    if len(body) > by_digest_above(context):
        return _hashed(b"sha256", sha256(body, request).encode())
    content_type = _media_type(request)
    means = _meaning if len(body) + len(content_type) <= _MEMO_BYTES else _meaning.__wrapped__
    return means(body, codings, content_type, context.ignore)


def by_digest_above(context: Context) -> int:
    """Bytes of a body above which it is compared by its digest."""
    options = context.options
    return min(IN_MEMORY_MAX, options.max_body_memory) if isinstance(options, Options) else IN_MEMORY_MAX


def _media_type(request: Request) -> bytes:
    return b", ".join(values(request.block, b"content-type"))


def sha256(body: bytes, request: Request) -> str:
    """By the rule of `Spooled.sha256`, and with the boundary that `watched` writes."""
    codings, boundary = coding.coding_of(request.block), multipart.boundary_of(_media_type(request))
    plain = coding.decode(body, codings) if boundary else None
    if boundary and plain is not None:
        body, codings = multipart.with_common_boundary(plain, boundary), b""
    digest = coding.BodyHash(codings)
    digest.update(body)
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _meaning(body: bytes, codings: bytes, content_type: bytes, noise: Noise) -> bytes:
    plain = coding.decode(body, codings)
    if plain is None:
        return _hashed(b"coded " + codings.lower(), body)
    if len(plain) > MEANING_MAX:
        return _hashed(b"bytes", plain)
    kind = media_type(content_type)[0]
    made: bytes | None = None
    if says_json(kind, plain):
        kind, made = b"json", _canonical_json(plain, noise)
    elif kind == FORM:
        pairs = parse_pairs(plain)
        made = None if pairs is None else canonical_pairs(_without_noise(pairs, "form", noise.covers))
    elif (found := parts(plain, content_type)) is not None:
        made = json.dumps(noise.prune(found, "multipart"), sort_keys=True).encode()
    return _hashed(b"bytes", plain) if made is None else _hashed(kind, made)


def says_json(kind: bytes, data: bytes) -> bool:
    """Whether a body is to be read as JSON, by its media type or without one by its look."""
    return is_json(kind) or (not kind and data.lstrip()[:1] in (b"{", b"["))


def _hashed(kind: bytes, data: bytes) -> bytes:
    return blake2b(kind + b"\0" + data, digest_size=16).digest()


def _canonical_json(data: bytes, noise: Noise) -> bytes | None:
    found = read_json(data)
    if found is None:
        return None
    return json.dumps(noise.prune(found[0], "json"), sort_keys=True, separators=(",", ":")).encode()


def read_json(data: bytes) -> tuple[Doc] | None:
    """The value of a JSON text, in a tuple as it may be null; None if it is none, or past the limits.

    A number with a fraction or an exponent is a double, as nearly every reader has it, and an int where it
    is whole: 1.0 is 1. A name twice in an object makes it no value that two readers agree about.
    """
    try:
        value = _DECODER.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    return (value,) if _within_limits(value) else None


def _number(text: str) -> int | float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(value) if value.is_integer() else value


def _constant(text: str) -> float:
    raise ValueError(text)


def _object(pairs: list[tuple[str, Doc]]) -> dict[str, Doc]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)


def _within_limits(value: Doc) -> bool:
    level = [value]
    nodes = 0
    for _ in range(MAX_DEPTH):
        nodes += len(level)
        if not level or nodes > MAX_NODES:
            break
        below: list[Doc] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(node.values())
            elif isinstance(node, list):
                below.extend(node)
        level = below
    return not level and nodes <= MAX_NODES


def parts(data: bytes, content_type: bytes) -> list[Doc] | None:
    """The parts of a multipart body, the boundary forgotten; None if it is none or not well formed."""
    boundary = multipart.boundary_of(content_type)
    found = multipart.parse(data, boundary) if boundary else None
    return None if found is None else [_part(part) for part in found.parts]


def _part(part: multipart.Part) -> Doc:
    name, filename = multipart.disposition(part)
    shown: dict[str, Doc] = {"name": name, "filename": filename, "content_type": None}
    others: dict[str, list[str]] = {}
    for field, value in multipart.part_fields(part):
        if field == b"content-type":
            shown["content_type"] = _content_type(value)
        elif field != b"content-disposition" or name is None:
            others.setdefault(text(field), []).append(text(value))
    shown = {key: text(value) for key, value in shown.items() if value is not None}
    return {**shown, **({"headers": others} if others else {}), "body": text(part.body)}


# --- conditions ---------------------------------------------------------------------------------------


def conditions(request: Request, context: Context) -> Mapping[str, bytes]:
    """The request's headers that are no noise, as `headers.<name>`, with their canonical values."""
    covers, known = context.ignore.covers, redaction(context)
    canonical = _canonical_of_call if view.is_call(request) else _canonical
    return {
        _PREFIX + name.decode(): canonical(name, found, context, known)
        for name, found in index(request.block).items()
        if not covers("headers", name.decode())
    }


def present(request: Request, names: tuple[str, ...], context: Context) -> tuple[bytes | None, ...]:
    """The canonical values of these fields of a live request; None where it has none."""
    live, known = index(request.block), redaction(context)
    canonical = _canonical_of_call if view.is_call(request) else _canonical
    made = []
    for name in names:
        lower = name[len(_PREFIX) :].encode()
        found = live.get(lower) or _IMPLIED.get(lower)
        made.append(None if found is None else canonical(lower, found, context, known))
    return tuple(made)


def _canonical_of_call(name: bytes, found: tuple[bytes, ...], context: Context, known: Rules) -> bytes:
    """Metadata, in which the form of gRPC-Web and the padding of binary values make no difference."""
    if name == b"content-type":
        kind = view.kind_of(b", ".join(found))
        if kind is not None:
            return kind.usual
    elif name == b"accept" and view.kind_of(found[0]) is not None:
        found = _IMPLIED[name]
    elif name.endswith(b"-bin"):
        found = tuple([part.strip(b" \t").rstrip(b"=") for value in found for part in value.split(b",")])
    return _canonical(name, found, context, known)


def redaction(context: Context) -> Rules:
    """What counts as a credential for a service."""
    options = context.options
    return rules(options.redact, options.keep) if isinstance(options, Options) else rules()


def _canonical(name: bytes, found: tuple[bytes, ...], context: Context, known: Rules) -> bytes:
    if name == b"content-type":
        return _content_type(b", ".join(found))
    return b", ".join([canonical_credential(name, value, context.token, known) for value in found])


def _content_type(value: bytes) -> bytes:
    """A media type in lower case without its boundary, which is another one each time.

    JSON and forms are UTF-8 and define no charset (RFC 8259 section 11, the URL standard); some clients say it.
    """
    kind, parameters = media_type(value)
    utf8_anyway = kind == FORM or is_json(kind)
    kept = [
        b"; " + name + b"=" + (told.lower() if name == b"charset" else told)
        for name, told in parameters
        if name != b"boundary" and not (utf8_anyway and name == b"charset" and told.lower() == b"utf-8")
    ]
    return kind + b"".join(kept)
