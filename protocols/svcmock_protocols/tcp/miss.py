"""What a client gets when nothing answers its frame: what `on_miss` states, with the miss's id for `{miss}`.

Bytes that are no frame ask for nothing that a reply could be made for: the connection ends as `on_bad` says.
"""

from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Context, Explanation
from svcmock_protocols.tcp.dialect import Dialect, dialect_of
from svcmock_protocols.tcp.forms import finished
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Piece, Reply, Request
from svcmock_protocols.tcp.stated import FAULTS

_MARK: Final = b"{miss}"


def miss(request: Request, explanation: Explanation, context: Context) -> Reply:
    """The reply, with the id in it."""
    dialect = dialect_of(context)
    if request.kind == "unread":
        return FAULTS[dialect.options.on_bad]
    made = dialect.missed
    if not any(_MARK in piece.payload for piece in made.frames):
        return made
    frames = tuple(_named(piece, explanation.miss.encode(), dialect) for piece in made.frames)
    return replace(finished(frames, made.then), settings=made.settings)


def _named(piece: Piece, ident: bytes, dialect: Dialect) -> Piece:
    payload = piece.payload.replace(_MARK, ident)
    try:
        return Piece(payload, dialect.server.wrap(payload), piece.after)
    except FrameError:
        return piece
