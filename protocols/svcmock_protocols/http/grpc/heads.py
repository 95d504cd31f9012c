"""Metadata as a route file has it: field lines without those that every call has, `-bin` values as bytes.

A list of `[name, value]` pairs, or a mapping, as headers are. Some lines are implied (the Content-Type of a
call, the status of a reply): they come first, but for `host`. Where they stand elsewhere, the list has their
bare name in their place: `[content-type, [user-agent, grpc-go/1.65.0], te]`. A pair with the name of an implied
line stands for it, so whatever was sent can be written. The value of a name that ends in `-bin` is `{hex: }` or
`{base64: }` of the bytes that it stands for, or the text as it is on the wire.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from svcmock.payload import from_doc, readable
from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http import lines
from svcmock_protocols.http.forms import text
from svcmock_protocols.http.grpc.metadata import decode_bin, encode_bin

Implied: TypeAlias = Mapping[str, bytes]
"""Field lines with their CRLF, by name, in the order in which they come first."""
_BIN: Final = "-bin"
_FORMS = ({"hex"}, {"base64"})


def lowered(block: bytes) -> bytes:
    """A block with its names in lower case, as HTTP/2 has them."""
    made = [line.partition(b":") for line in block.split(b"\r\n")[:-1]]
    return b"".join([name.lower() + colon + value + b"\r\n" for name, colon, value in made])


def holds(block: bytes, line: bytes) -> bool:
    """Whether this line, with its CRLF, is one of the block's."""
    return block.startswith(line) or b"\n" + line in block


def names(doc: Doc) -> frozenset[str]:
    """The names of which a document gives lines of its own, in lower case."""
    if isinstance(doc, dict):
        return frozenset(name.lower() for name in doc)
    pairs = doc if isinstance(doc, list) else []
    found = {item[0].lower() for item in pairs if isinstance(item, list) and item and isinstance(item[0], str)}
    verbatim = [item["line"] for item in pairs if isinstance(item, dict) and isinstance(item.get("line"), str)]
    return frozenset(found | {line.partition(":")[0].lower() for line in verbatim})


def build(doc: Doc, implied: Implied, *at: str | int) -> bytes:
    """The block that a document stands for, names in the case in which they are written. Raises Invalid."""
    given = names(doc)
    left = {name: line for name, line in implied.items() if name not in given}
    if doc is None:
        return b"".join(left.values())
    if isinstance(doc, dict):
        doc = _pairs(doc)
    if not isinstance(doc, list):
        raise Invalid(at, f"expected a list of [name, value] pairs or a mapping, got {type(doc).__name__}")
    made: list[bytes] = []
    for i, item in enumerate(doc):
        if isinstance(item, str):
            if item not in left:
                raise Invalid((*at, i), _stray(item, implied))
            made.append(left.pop(item))
        else:
            made.append(lines.line(_plain(item, (*at, i)), (*at, i)))
    return _with_first(made, b"".join(left.values()))


def _pairs(doc: dict[str, Doc]) -> list[Doc]:
    return [
        [name, each] for name, value in doc.items() for each in (value if isinstance(value, list) else [value])
    ]


def _stray(item: str, implied: Implied) -> str:
    if item in implied:
        return f"`{item}` stands for the line that is implied; it occurs twice"
    known = " and ".join(implied) or "nothing"
    return f"expected a pair [name, value]; a bare name is the place of an implied line: {known}"


def _plain(item: Doc, at: tuple[Any, ...]) -> Doc:
    """A pair with the bytes of a `-bin` value as the text that is sent."""
    if not (isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)):
        return item
    name, value = item
    if name.lower().endswith(_BIN) and isinstance(value, dict) and value.keys() in _FORMS:
        data = from_doc(value, lines.NO_FILES, *at, 1)
        assert isinstance(data, bytes)
        return [name, encode_bin(data).decode()]
    return item


def _with_first(made: list[bytes], first: bytes) -> bytes:
    host = made[0] if made and made[0][:5].lower() == b"host:" else b""
    return host + first + b"".join(made[1:] if host else made)


def show(block: bytes, implied: Implied) -> list[Doc]:
    """The block's lines as a document has them; `implied` are those that it has, and no others."""
    listed = [line.partition(b":")[0].decode("latin-1").lower() for line in block.split(b"\r\n")[:-1]]
    by_line = {line: name for name, line in implied.items() if listed.count(name) == 1}
    made: list[Doc] = []
    plain: list[Doc] = []
    for line in block.split(b"\r\n")[:-1]:
        name = by_line.pop(line + b"\r\n", None)
        made.append(name if name is not None else _shown(line))
        if name is None:
            plain.append(made[-1])
    try:
        return plain if build(plain, implied) == block else made
    except Invalid:
        return made


def _shown(line: bytes) -> Doc:
    (pair,) = lines.show_block(line + b"\r\n")
    name, _, value = line.partition(b": ")
    if isinstance(pair, dict) and not value and line.endswith(b": "):
        return [name.decode("latin-1"), ""]
    if isinstance(pair, list) and name.endswith(b"-bin"):
        held = decode_bin(value)
        if held is not None and len(held) == 1 and encode_bin(held[0]) == value:
            return [pair[0], _bytes(held[0])]
        if isinstance(pair[1], dict):
            return {"line": lines.show_bytes(line)}
    return pair


def _bytes(data: bytes) -> Doc:
    shown = lines.show_bytes(data)
    return {"hex": data.hex()} if isinstance(shown, str) else shown


def text_values(name: bytes, found: tuple[bytes, ...]) -> list[Doc]:
    """The values of a field as predicates see them: of `-bin` what they stand for, where that is text."""
    if not name.endswith(b"-bin"):
        return [text(value) for value in found]
    return [one for value in found for one in _bin_texts(value)]


def _bin_texts(value: bytes) -> list[Doc]:
    held = decode_bin(value)
    if held is None:
        return [text(value)]
    shown = [readable(data) for data in held]
    return [encode_bin(data).decode() if one is None else one for one, data in zip(shown, held, strict=True)]
