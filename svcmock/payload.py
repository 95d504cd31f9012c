"""Bytes as readable data, and back.

Decides how bytes are written in a route file: printable UTF-8 as a string; short binary as `hex`, longer as
`base64`; above 4 KiB as `file: bodies/<sha256>`. Reading takes all four forms, whatever the size. With
`svcmock.protocol` and `svcmock.noise`, what a protocol module may import.

Also what of a long text is quoted to a person who asks how it differs from another one.
"""

import base64
import binascii
import hashlib
import re
from typing import Any

from svcmock.protocol import Blob, Doc, Files, Invalid, Spooled

HEX_MAX = 64
"""Binary up to this many bytes is written as hex, which a person can compare by eye."""
INLINE_MAX = 4096
"""Anything longer is stored in a file of its own, so that route files stay reviewable."""

LEAD = 60
"""Characters that are quoted before two texts differ."""

_UNPRINTABLE = re.compile("[^\t\n -~\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def readable(data: bytes) -> str | None:
    """`data` as text where that is printable UTF-8 (tab and newline included), else None."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if _UNPRINTABLE.search(text) else text


def to_doc(data: bytes | Spooled, files: dict[str, bytes | Spooled]) -> Doc:
    """The readable form of `data`. What belongs in a file of its own is added to `files`."""
    if isinstance(data, Spooled):
        return to_file(data, data.sha256, files)
    if len(data) > INLINE_MAX:
        return to_file(data, hashlib.sha256(data).hexdigest(), files)
    text = readable(data)
    if text is not None:
        return text
    if len(data) <= HEX_MAX:
        return {"hex": data.hex()}
    return {"base64": base64.b64encode(data).decode()}


def to_file(data: bytes | Spooled, sha256: str, files: dict[str, bytes | Spooled]) -> Doc:
    """A reference to a content-addressed file that will hold `data`, noted in `files`."""
    name = f"bodies/{sha256}"
    files[name] = data
    return {"file": name}


def from_doc(doc: Doc, files: Files, *at: str | int) -> bytes | Blob:
    """The bytes that a string, `{hex: }`, `{base64: }` or `{file: }` stands for. Raises Invalid."""
    if isinstance(doc, str):
        try:
            return doc.encode()
        except UnicodeEncodeError:
            raise Invalid(at, "a lone surrogate, which JSON can name, has no bytes") from None
    if isinstance(doc, dict) and len(doc) == 1:
        ((form, value),) = doc.items()
        if form in _FORMS:
            if not isinstance(value, str):
                raise Invalid((*at, form), f"expected a string, got {type(value).__name__}")
            return files(value) if form == "file" else _decode(form, value, (*at, form))
    raise Invalid(at, "expected a string, or one of {hex: }, {base64: }, {file: }")


def named(blob: Blob) -> Blob:
    """The blob with the digest that its content-addressed name says, where it has none itself."""
    digest = blob.path.rpartition("/")[2]
    if blob.sha256 or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return blob
    return Blob(blob.path, blob.size, blob.offset, digest)


_FORMS = frozenset({"hex", "base64", "file"})


def _decode(form: str, value: str, at: tuple[Any, ...]) -> bytes:
    try:
        if form == "hex":
            return bytes.fromhex(value)
        return base64.b64decode("".join(value.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Invalid(at, f"not {form}: {error}") from None


def quoted(text: str, beside: str, size: int) -> str:
    """Some `size` characters of `text`, among them the first that differs from `beside`."""
    if len(text) <= size and len(beside) <= size:
        return text
    apart, lead = _apart(text, beside), min(LEAD, size // 3)
    start = apart - lead if apart + lead > size else 0
    end = start + size
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")


def _apart(one: str, other: str) -> int:
    """How many characters at their beginning two texts have in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
