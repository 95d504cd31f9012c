"""Where text holds credentials: in URLs, forms, JSON and multipart, as edits that replace them by tokens.

Decides by the look of a text, not by parsing it: a stream of events, or a body that was cut off, is searched as
any other is. No expression here backtracks, so hostile text costs no more than its length.
"""

import json
import re
from urllib.parse import unquote_to_bytes

from svcmock_protocols.http.credentials import Found, Rules, Token, holds_credential, note

Edit = tuple[int, int, bytes]
"""Start, end, and what stands there instead. Edits of one text are in order and do not overlap."""

_JSON_MEMBER = re.compile(
    rb'"([A-Za-z0-9_.$\[\]-]{3,64}+)"\s*+:\s*+(?:"((?:[^"\\]++|\\.)*+)"|([0-9]{8,64}+)(?=[\s,}\]]|\Z))',
    re.DOTALL,
)
_URL_MEMBER = re.compile(rb"(?<=[?&#])([^=&#?\s]{1,128}+)=([^&#\s\"'<>]+)")
_FORM_MEMBER = re.compile(rb"(?:\A|(?<=&))([^=&]{1,128}+)=([^&]+)")
_PART = re.compile(
    rb'\r\ncontent-disposition:[ \t]*form-data;[^\r\n]{0,256}?\bname="?([^"\r\n;]{1,128})', re.IGNORECASE
)
_USERINFO = re.compile(rb"(?<=//)([^/?#@\s]{1,1024}+)@")


def url_edits(text: bytes, token: Token, found: Found, known: Rules) -> list[Edit]:
    """Members of queries and fragments, and `user:password@`, in a text that holds URLs."""
    edits = []
    if b"//" in text:
        edits = [(*match.span(1), note(match[1], token, found)) for match in _USERINFO.finditer(text)]
    if b"=" in text:
        edits += _pair_edits(text, _URL_MEMBER, token, found, known)
    return in_order(edits)


def _pair_edits(
    text: bytes, pattern: re.Pattern[bytes], token: Token, found: Found, known: Rules
) -> list[Edit]:
    edits = []
    for match in pattern.finditer(text):
        name, value = match.groups()
        if known.pair(name):
            plain = unquote_to_bytes(value.replace(b"+", b" "))
            if holds_credential(name, plain):
                edits.append((*match.span(2), note(plain, token, found)))
    return edits


def member_edits(plain: bytes, kind: bytes, token: Token, found: Found, known: Rules) -> list[Edit]:
    """Where members of a decoded body hold credentials, noted in `found`. `kind`: lower-case media type."""
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return _pair_edits(plain, _FORM_MEMBER, token, found, known)
    edits = _json_edits(plain, token, found, known)
    if kind.startswith(b"multipart/"):
        edits += _part_edits(plain, token, found, known)
    return in_order(edits)


def _json_edits(text: bytes, token: Token, found: Found, known: Rules) -> list[Edit]:
    """Members of JSON objects, found by their look: in line-delimited JSON and event streams too."""
    edits = []
    for match in _JSON_MEMBER.finditer(text):
        name, string, number = match.groups()
        if not known.member(name):
            continue
        plain = _json_string(string) if number is None else number
        if holds_credential(name, plain):
            made = note(plain, token, found)
            edits.append((*match.span(2), made) if number is None else (*match.span(3), b'"%b"' % made))
    return edits


def _json_string(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    try:
        decoded: str = json.loads(b'"%b"' % text)
        return decoded.encode()
    except ValueError:
        return text


def _part_edits(text: bytes, token: Token, found: Found, known: Rules) -> list[Edit]:
    """The parts of a multipart form: each ends where a line starts with two dashes (RFC 2046 section 5.1)."""
    edits = []
    at = 0
    while match := _PART.search(text, at):
        at = text.find(b"\r\n\r\n", match.end())
        if at < 0:
            break
        at += 4
        if known.member(match[1]):
            end = text.find(b"\r\n--", at)
            end = len(text) if end < 0 else end
            if holds_credential(match[1], text[at:end]):
                edits.append((at, end, note(text[at:end], token, found)))
            at = end
    return edits


def in_order(edits: list[Edit]) -> list[Edit]:
    """Sorted, without those that begin inside the one before."""
    kept: list[Edit] = []
    for edit in sorted(edits):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept


def apply_edits(text: bytes, edits: list[Edit]) -> bytes:
    """The text with its edits made."""
    if not edits:
        return text
    pieces: list[bytes] = []
    at = 0
    for start, end, instead in edits:
        pieces += (text[at:start], instead)
        at = end
    return b"".join((*pieces, text[at:]))
