"""What a request gets that is alike one that missed: the same answer, but for the id in it.

A request that no route answers misses again, and all that are alike with it, until the routes change. Its
answer is remembered in pieces between which its id stood. Where the id stood is not guessed: the answer is made
twice, under two ids that differ in every digit, and what is not the same pieces then is not remembered. Only
answers without an explanation are: that one quotes what its own request said.
"""

from msgspec import Struct

from svcmock.engine import Responder
from svcmock.journal import Outcome
from svcmock.protocol import Ask, Context, Request, Send

_OTHER = str.maketrans("0123456789", "1234567891")
"""Another digit for each; none of them becomes a zero, which could not stand first."""


class Missed(Struct, frozen=True):
    """The answer to all requests with one essence, whose ids have so many digits. `request` is one of them."""

    pieces: tuple[bytes, ...]
    digits: int
    request: Request
    outcome: Outcome

    @property
    def cost(self) -> int:
        """Bytes that it was made of; what it is known by is about as much as it says."""
        return 2 * sum(map(len, self.pieces))

    def fits(self, ident: int) -> bool:
        """Whether this id is as long as that of the answer; one of another length changes more than itself."""
        return len(str(ident)) == self.digits

    def wire(self, ident: int) -> bytes:
        """The answer under an id that fits."""
        return (b"m-%d" % ident).join(self.pieces)


def learn(responder: Responder, context: Context, rest: object, data: bytes, ident: int) -> Missed | None:
    """What every request alike `data`, received by a session at `rest`, is answered. None if not known."""
    made: list[Missed] = []
    for number in (ident, int(str(ident).translate(_OTHER))):
        session = responder.plugin.session(context)
        asked = session.received(data) if session.at_rest == rest else ()
        ask = asked[0] if len(asked) == 1 else None
        if not isinstance(ask, Ask) or not responder.lacks(ask.request):
            return None
        decision = responder.miss(ask.request, number, explained=False)
        outs = session.answered(ask, decision.reply)
        sent = [out.data for out in outs if isinstance(out, Send)]
        if len(sent) != len(outs) or session.at_rest != rest:
            return None
        pieces = tuple(b"".join(sent).split(b"m-%d" % number))
        made.append(Missed(pieces, len(str(number)), ask.request, decision.outcome))
    return made[0] if made[0] == made[1] else None
