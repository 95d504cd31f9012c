"""Payloads that are JSON, as the layout that counts without `fields:`, and how JSON text is laid out.

Only objects and arrays count, and only what a document can hold and write again: no name twice, no NaN, not
too deep.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.fieldtypes import LayoutError, Path
from svcmock_protocols.tcp.places import Place

MAX_JSON_DEPTH = 60
"""Levels of JSON; a route file can hold 100 of YAML."""


class Json:
    """Payloads that are JSON objects or arrays."""

    root = "json"
    places: Mapping[str, Place] = {}

    def decode(self, payload: bytes) -> Doc:
        if payload.lstrip(b" \t\r\n")[:1] not in {b"{", b"["}:
            raise LayoutError("no JSON")
        try:
            value = json.loads(payload.decode(), object_pairs_hook=_once, parse_constant=_refuse)
            _check_depth(value, 0)
        except (ValueError, RecursionError):
            raise LayoutError("no JSON, or none that can be written again") from None
        return value

    def encode(self, value: Doc, path: Path, like: bytes = b"") -> bytes:
        form = json_form(like) if like else None
        return write_json(value, form or "compact", path)

    def plain(self, value: Doc) -> Doc:
        return value


def _once(pairs: list[tuple[str, Doc]]) -> dict[str, Doc]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _refuse(name: str) -> Doc:
    raise ValueError(f"{name} is no JSON")


def _check_depth(value: Doc, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)


JSON_FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "spaced": {"ensure_ascii": False},
    "compact ascii": {"separators": (",", ":")},
    "spaced ascii": {},
    "indent 2": {"indent": 2, "ensure_ascii": False},
}
"""How JSON text is laid out, by the names that documents have for it."""


def write_json(value: Doc, form: str, path: Path) -> bytes:
    """JSON text of one of JSON_FORMS. Raises Invalid."""
    try:
        return json.dumps(value, **JSON_FORMS[form]).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(path, f"cannot be JSON: {error}") from None


def json_form(payload: bytes) -> str | None:
    """The form in which this is what its value gives; None: it is laid out in none of them."""
    try:
        value = JSON.decode(payload)
    except LayoutError:
        return None
    for form in JSON_FORMS:
        try:
            if write_json(value, form, ()) == payload:
                return form
        except Invalid:
            continue
    return None


JSON: Final = Json()
