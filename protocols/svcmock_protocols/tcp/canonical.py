"""When two framed requests are the same, what predicates see of one, and what recordings hide.

Equal are two frames whose fields are, noise left out; JSON by its value; anything else byte for byte. A push
is known by its number and the request that it follows. What is computed from other bytes never decides.
"""

import contextlib
import copy
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace

from svcmock.noise import Noise
from svcmock.protocol import Context, Doc, Invalid
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.dialect import Dialect, dialect_of, noise_of
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.layout import MAX_REMEMBERED, Layout
from svcmock_protocols.tcp.messages import Request
from svcmock_protocols.tcp.places import blanked

NAMES: Final = ("kind", "text", "hex", "json", "fields", "size", "push", "why")
"""The fields of a request."""
MAX_HEX = 64 * 1024
"""Bytes of a payload up to which it has the field `hex`."""
MAX_KEY = 1024
"""Bytes up to which what decides is the key itself; of more it is the beginning and a digest."""
_BEGINNING: Final = 256


class HiddenError(LayoutError):
    """A frame's secrets cannot be found, or not be replaced."""


def address(request: Request) -> bytes:
    """Frames have nothing that names what they ask for, whatever they mean."""
    return request.kind.encode()


def key(request: Request, context: Context) -> bytes:
    """The canonical key."""
    if request.kind in ("banner", "unread"):
        return address(request) + b"\0"
    content = _content(request.payload, context)
    if len(content) > MAX_KEY:
        content = content[:_BEGINNING] + b"\0" + hashlib.sha256(content).digest()
    if request.kind == "push":
        return b"push\0%d %b" % (request.number, content)
    return b"frame\0" + content


def _content(payload: bytes, context: Context) -> bytes:
    """What decides, of a frame."""
    layout, noise = dialect_of(context).asked, noise_of(context)
    contents = _contents(layout, noise)
    if len(payload) <= MAX_REMEMBERED:
        found = contents.known(blanked(payload, contents.blank) if contents.blank else payload)
    else:
        found = contents.find(payload)
    if found is not None:
        return found
    return b": " if noise.covers("text") or noise.covers("hex") else b": " + payload


class _Contents:
    """What decides of frames with fields, remembered by their bytes without the numbers that never decide."""

    def __init__(self, layout: Layout, noise: Noise) -> None:
        self._layout = layout
        self._noise = noise
        self.blank = tuple(place for name, place in layout.places.items() if noise.covers(layout.root, name))
        self.known = lru_cache(maxsize=1024)(self.find)

    def find(self, payload: bytes) -> bytes | None:
        """None of a payload without fields."""
        decided = _decided(self._layout, payload, self._noise)
        if decided is rules.MISSING:
            return None
        try:
            text = json.dumps(_even(decided), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, RecursionError):
            return None
        return b"= " + text.encode("utf-8", "surrogatepass")


_contents = lru_cache(maxsize=256)(_Contents)


def _decided(layout: Layout, payload: bytes, noise: Noise) -> Any:
    """The fields of a payload that decide; MISSING where it has none."""
    if noise.covers(layout.root):
        return rules.MISSING
    try:
        value = layout.plain(layout.decode(payload))
    except LayoutError:
        return rules.MISSING
    return noise.prune(value, layout.root)


def _even(value: Doc) -> Doc:
    """The same for 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _even(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_even(item) for item in value]
    return value


def fields(request: Request, context: Context) -> Mapping[str, Doc]:
    """What predicates, noise and templates see."""
    seen: dict[str, Doc] = {"kind": request.kind}
    if request.kind == "push":
        seen["push"] = request.number
    if request.kind == "banner":
        return seen
    payload, dialect = request.payload, dialect_of(context)
    seen["size"] = len(payload)
    with contextlib.suppress(UnicodeDecodeError):
        seen["text"] = payload.decode()
    if len(payload) <= MAX_HEX:
        seen["hex"] = payload.hex()
    if request.kind == "unread":
        return {**seen, "why": request.why}
    try:
        seen[dialect.asked.root] = dialect.asked.decode(payload)
    except LayoutError as error:
        if dialect.asked.root == "fields":
            seen["why"] = str(error)
    return seen


def decisive(request: Request, context: Context) -> Mapping[str, Doc]:
    """Those of `fields` that the key is made of, each said once."""
    seen = dict(fields(request, context))
    told: dict[str, Doc] = {name: seen[name] for name in ("kind", "push", "why") if name in seen}
    if request.kind == "banner":
        return told
    layout = dialect_of(context).asked
    noise = noise_of(context)
    decided = _decided(layout, request.payload, noise) if request.kind != "unread" else rules.MISSING
    if decided is not rules.MISSING:
        return {**told, layout.root: decided}
    if noise.covers("text") or noise.covers("hex"):
        return told
    name = "text" if "text" in seen else "hex"
    return {**told, name: seen.get(name, f"{len(request.payload)} bytes")}


# --- secrets ------------------------------------------------------------------------------------------


def redact(request: Request, context: Context) -> Request:
    """The request with zeros for what is secret; without its bytes where that cannot be found."""
    dialect = dialect_of(context)
    if not dialect.redact or request.kind == "banner":
        return request
    if request.kind == "unread":
        return replace(request, payload=b"")
    try:
        payload = hidden(dialect.asked, request.payload, dialect)
    except HiddenError:
        return Request(kind=request.kind, number=request.number)
    if payload is request.payload:
        return request
    return Request(payload, b"", request.kind, request.number)


def hidden(layout: Layout, payload: bytes, dialect: Dialect) -> bytes:
    """A payload with zeros in the fields that `redact` names. Raises HiddenError.

    Zeros are as long as what they stand for, so that the frame keeps its form.
    """
    if not dialect.redact:
        return payload
    try:
        value = copy.deepcopy(layout.plain(layout.decode(payload)))
        found = [name for name in dialect.redact if rules.get(value, name) is not rules.MISSING]
        if not found:
            return payload
        for name in found:
            rules.put(value, name, _zeros(rules.get(value, name)))
        made = layout.encode(value, (), payload)
    except (LayoutError, Invalid) as error:
        raise HiddenError(f"its secrets cannot be replaced: {error}") from None
    return payload if made == payload else made


def _zeros(value: Doc) -> Doc:
    if isinstance(value, str):
        return "0" * len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return {name: _zeros(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_zeros(item) for item in value]
    return value if isinstance(value, bool) or value is None else 0
