"""Credentials taken out of a body that is too large to be held: the same rules as `redact`, on a stream.

Decides by windows of a fixed size, so that the same body gives the same result however it was cut on the way:
a live request's digest must be the recorded one's. In each window the members that hold credentials are found
first (`redact.member_edits`), then every credential known by then is looked for. One that is echoed before the
member that names it, and beyond the part of the body that `known_from` has seen, is not found: that would need
the whole body.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from svcmock_protocols.http.codec import values
from svcmock_protocols.http.credentials import Found, Rules, Token, rules
from svcmock_protocols.http.messages import Reply, Request
from svcmock_protocols.http.places import apply_edits, member_edits
from svcmock_protocols.http.redact import Echo, secrets_of

WINDOW: Final = 1 << 18
"""Bytes that are looked into at a time."""
REACH: Final = 1 << 16
"""Bytes of a window that are looked into again with the next: a credential in a member is not longer."""
NAME_REACH: Final = 1 << 13
"""Bytes between the start of a member and the start of its value, at most."""

_FILLER = b"x" * 129
"""Longer than any name that is looked at."""
_OPEN_MEMBER = re.compile(rb'"([A-Za-z0-9_.$\[\]-]{3,64}+)"\s*+:\s*+"(?:[^"\\]++|\\.)*+\\?\Z', re.DOTALL)

_CLOSING = re.compile(rb'[^\\]"')
"""What ends any string that is open before it: quickly found in nearly every window."""


class TooLongError(Exception):
    """A member that holds a credential is longer than REACH: svcmock cannot promise that all of it is found."""


class Sieve:
    """A body on its way to disk. Raises TooManyError when made or fed, TooLongError when fed.

    `found` are the credentials known so far with their tokens; it grows with those in the body. `touched` says
    whether anything has been taken out.
    """

    def __init__(
        self, found: Mapping[bytes, bytes], kind: bytes = b"", token: Token = bytes, known: Rules | None = None
    ) -> None:
        """`kind` is the lower-case media type of the body."""
        self.found: Found = dict(found)
        self.touched = False
        self._kind = kind
        self._token = token
        self._known = known or rules()
        self._echo = Echo(self.found)
        self._held = bytearray()
        self._before = b""
        """What stands for the bytes before those held: no name of a member may seem to begin with a window."""

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the body; gives bytes that are clean."""
        self._held += data
        made = []
        while len(self._held) >= WINDOW:
            made.append(self._pass(WINDOW, ending=False))
        return b"".join(made)

    def flush(self) -> bytes:
        """The rest, at the end of the body."""
        return self._pass(len(self._held), ending=True)

    def _pass(self, size: int, *, ending: bool) -> bytes:
        text = self._before + self._held[:size]
        edits, found = self._members(text)
        cut = len(text)
        if not ending:
            cut -= REACH
            certain = [edit for edit in edits if edit[0] < cut + NAME_REACH]
            self._check_ends(text, certain, cut + NAME_REACH)
            cut = max(cut, certain[-1][1] if certain else 0)
            if certain != edits:
                edits, found = self._members(text[:cut])
        if found.keys() - self.found.keys():
            self.found.update(found)
            self._echo = self._echo.knowing(self.found)
        hidden = apply_edits(text[:cut], edits)[len(self._before) :]
        del self._held[: cut - len(self._before)]
        self._before = _FILLER + text[cut - 1 : cut]
        clean = self._echo.feed(hidden) + (self._echo.flush() if ending else b"")
        self.touched = self.touched or bool(edits) or self._echo.touched
        return clean

    def _members(self, text: bytes) -> tuple[list[tuple[int, int, bytes]], Found]:
        found: Found = {}
        return member_edits(text, self._kind, self._token, found, self._known), found

    def _check_ends(self, text: bytes, edits: list[tuple[int, int, bytes]], before: int) -> None:
        """The value of a member that began before there must have ended in the window."""
        if edits and edits[-1][1] == len(text):
            raise TooLongError
        if _CLOSING.search(text, before):
            return
        last = _OPEN_MEMBER.search(text)
        if last is not None and last.start() < before and self._known.member(last[1]):
            raise TooLongError


def sieve_of(
    message: Request | Reply,
    start: bytes,
    token: Token,
    known: Rules,
    found: Mapping[bytes, bytes] | None = None,
) -> Sieve:
    """The Sieve for the body of `message`, which begins with `start`, and for other credentials `found` before.

    Raises TooManyError.
    """
    kinds = values(message.block, b"content-type")
    secrets = dict(found or {}) | secrets_of(replace(message, body=start), token, known)
    return Sieve(secrets, kinds[0].lower() if kinds else b"", token, known)
