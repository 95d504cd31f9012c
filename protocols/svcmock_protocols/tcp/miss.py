"""What a client gets when nothing answers its frame, and what can be thrown at it by name.

There is no error that every protocol on TCP knows. So `on_miss` says it: the connection ends, nothing is said,
or a reply is sent that the service's clients take for an error; `{miss}` in it is the miss's id.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from svcmock.protocol import Blob, Context, Explanation, Files, Invalid
from svcmock_protocols.tcp.dialect import Dialect, dialect_of
from svcmock_protocols.tcp.documents import ReplyDoc, finished, reply
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply

FAULTS: Final[Mapping[str, Reply]] = {"close": Reply(then="close"), "reset": Reply(then="reset")}
"""What any client understands."""
_MARK: Final = b"{miss}"


class _NoFiles:
    """The options name no files."""

    def __call__(self, name: str) -> Blob:
        raise Invalid((), f"there are no files here: write out what is in {name}")

    def read(self, blob: Blob) -> bytes:
        raise Invalid((), f"there are no files here: {blob.path}")


_NO_FILES: Final[Files] = _NoFiles()


def check(context: Context) -> None:
    """Raises Invalid, `at` a path in the options, for an `on_miss` that means nothing."""
    _reply(context.options.on_miss, context)


def _reply(doc: Any, context: Context) -> Reply:
    if isinstance(doc, str) and doc in FAULTS:
        return FAULTS[doc]
    if doc == "hang":
        return Reply()
    if not isinstance(doc, dict) or doc.keys() != {"reply"}:
        raise Invalid(("on_miss",), "expected close, reset, hang, or {reply: } with a reply as routes have it")
    try:
        typed = msgspec.convert(doc["reply"], ReplyDoc)
        return reply(typed, _NO_FILES, context)
    except msgspec.ValidationError as error:
        raise Invalid(("on_miss", "reply"), str(error)) from None
    except Invalid as invalid:
        raise Invalid(("on_miss", "reply", *invalid.at), invalid.why) from None


def miss(explanation: Explanation, context: Context) -> Reply:
    """The reply that `on_miss` says, with the id of the miss in it."""
    made = _reply(context.options.on_miss, context)
    if not any(_MARK in piece.payload for piece in made.frames):
        return made
    dialect = dialect_of(context)
    frames = tuple(_named(piece, explanation.miss.encode(), dialect) for piece in made.frames)
    return replace(finished(frames, made.then), settings=made.settings)


def _named(piece: Piece, ident: bytes, dialect: Dialect) -> Piece:
    payload = piece.payload.replace(_MARK, ident)
    try:
        return Piece(payload, dialect.server.wrap(payload), piece.after)
    except FrameError:
        return piece
