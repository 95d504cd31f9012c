"""From a request to a decision. Pure: no I/O, no clock; randomness and file access are passed in.

One `Responder` per service: it asks the index for the answer, takes turns where several were recorded,
renders templates, and explains misses. What it makes of a route is kept on the route, so that a second hit
costs a look-up.
"""

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from svcmock.capabilities import Conversing, Likeness, Likening
from svcmock.compile import route_of
from svcmock.config import duration
from svcmock.journal import Outcome
from svcmock.matching.answers import Answer, Found, Group
from svcmock.matching.explain import Asked, explain
from svcmock.matching.index import Index
from svcmock.matching.predicates import evaluate
from svcmock.matching.recall import Damaged
from svcmock.model import RouteDoc, Service
from svcmock.protocol import (
    Blob,
    Context,
    Doc,
    Explanation,
    Files,
    Invalid,
    Plugin,
    Reply,
    Request,
    SvcmockError,
)
from svcmock.templates import Template, compile_template, render
from svcmock.turns import Turns, draw

MAX_SUMMARY = 500
"""Characters of a request's summary that an explanation repeats."""
MAX_DEMANDS = 1024
"""Exact routes of which explanations remember what they demand."""
DEMAND_MAX = 4096
"""Bytes of a packed route up to which they do."""
MAX_CONVERSATIONS = 64
"""Conversations that are kept whole, while their parts are asked for."""
MAX_ADDRESSES = 256
"""Addresses of which a route with predicates remembers its answer, where that is not the same for all."""


class Decision(Struct, frozen=True):
    """What to answer. `fixed`: the same request gets the same reply until the routes change.

    `files` are sent from where they lie; whoever sends them sees whether they are still there.
    """

    reply: Reply
    outcome: Outcome
    delay: float = 0.0
    fixed: bool = True
    files: tuple[Blob, ...] = ()


class Unservable(SvcmockError):
    """A route that matched cannot be answered: a body file is gone, a template names what is not there."""


class _Dynamic(Struct, frozen=True):
    """A reply that is made anew for each request."""

    template: Template
    outcome: Outcome
    delay: float


class _Tied(Struct, frozen=True):
    """A reply that is another one for each address that is asked for."""

    by_address: dict[bytes, Decision]
    delay: float


class Responder:
    """Decides for one service. `turns` may be shared with others, and outlives a reload."""

    def __init__(
        self,
        service: Service,
        plugin: Plugin,
        index: Index,
        files: Callable[[str], Files],
        turns: Turns,
        *,
        redacted: bool = False,
    ) -> None:
        self.service = service
        self.plugin = plugin
        self.index = index
        self._conversing = plugin if isinstance(plugin, Conversing) else None
        self.context: Context = index.context
        self.turns = turns
        self._files = files
        self._seen: tuple[Request, Request] | None = None
        self._demands: dict[Answer, Mapping[str, Doc]] = {}
        self._conversations: dict[bytes, tuple[Request, Reply]] = {}
        self._redacted = redacted
        """Some recording holds tokens: live credentials must become tokens before they are compared."""

    def likeness(self) -> Likeness | None:
        """Which requests get the same answer whatever else they say, if the protocol tells."""
        if isinstance(self.plugin, Likening):
            return self.plugin.likeness(self.index.names, self.context)
        return None

    def decide(self, request: Request, *, exact: bool = False) -> Decision | None:
        """The decision for `request`, or None for a miss; by `exact` routes alone. Raises Unservable."""
        try:
            found, request = self._find(request, exact=exact)
        except Damaged as error:
            raise Unservable(str(error)) from None
        if found is None:
            return None
        fixed = True
        if found.__class__ is Group:
            turn = self._take_turn(found)
            if turn is None:
                return None
            found, fixed = turn
        assert isinstance(found, Answer)
        made = found.decision
        if made is None:
            made = found.decision = self._make(found, request)
        if made.__class__ is _Dynamic:
            return self._render(made, found, request)
        if made.__class__ is _Tied:
            made = self._tied(made, found, request)
        decision: Decision = made
        if not fixed and decision.fixed:
            return msgspec.structs.replace(decision, fixed=False)
        return decision

    def _find(self, request: Request, *, exact: bool = False) -> tuple[Found | None, Request]:
        """The answer, and the request as it was seen when it matched.

        Predicates may name a credential as recordings hold it, by its token, or as clients send it.
        """
        find = self.index.find_exact if exact else self.index.find
        if not self._redacted:
            return find(request), request
        masked = self.masked(request)
        found = find(masked)
        if exact:
            return found, masked
        predicates = self.index.predicates
        if found is None and predicates.size and masked != request:
            return predicates.find(self.plugin.fields(request, self.context)), request
        return found, masked

    def masked(self, request: Request) -> Request:
        """The request as recordings hold it, without its credentials.

        The last one is remembered: a miss needs it for its look-up, its explanation, its reply and the log, and
        a body of megabytes, perhaps unfolded from a small one, must not be looked through for each of them.
        """
        if self._seen is None or self._seen[0] is not request:
            self._seen = request, self.plugin.redact(request, self.context)
        return self._seen[1]

    def answers(self, request: Request) -> bool:
        """Whether some route would answer `request`; takes no turn."""
        found, _ = self._find(request)
        return found is not None and not (isinstance(found, Group) and self._used_up(found))

    def lacks(self, request: Request) -> bool:
        """Whether no route matches `request`, used up or not: then none does until the routes change."""
        return self._find(request)[0] is None

    def miss(self, request: Request, ident: int, *, explained: bool, problem: str = "") -> Decision:
        """The protocol's own error for a miss. `explained`: look for the nearest routes now."""
        explanation = self.explain(request, ident) if explained else self._head(request, ident)
        if problem:
            explanation = msgspec.structs.replace(explanation, hints=(problem, *explanation.hints))
        reply = self.plugin.miss(self.masked(request), explanation, self.context)
        outcome = Outcome(self.service.name, None, self.plugin.outcome(reply))
        return Decision(reply, outcome, fixed=False)

    def explain(self, request: Request, ident: int) -> Explanation:
        """Why `request` misses: the funnel and the nearest routes."""
        masked = self.masked(request)
        views = (masked, request) if self._redacted and masked != request else (request,)
        asked = Asked(masked, views)
        head = self._head(request, ident)
        try:
            hints = self._exhausted(request)
            return explain(self.index, asked, head, self.read, self._demand, self._told, hints)
        except Damaged as error:
            return msgspec.structs.replace(head, hints=(str(error),))

    def _head(self, request: Request, ident: int) -> Explanation:
        return Explanation(
            miss=f"m-{ident}",
            service=self.service.name,
            protocol=self.plugin.name,
            request=self.plugin.summary(self.masked(request))[:MAX_SUMMARY],
            see=f"svcmock why m-{ident}",
        )

    def _exhausted(self, request: Request) -> tuple[str, ...]:
        found, _ = self._find(request)
        if isinstance(found, Group) and self._used_up(found):
            return (f"all {len(found.answers)} recorded answers were used up (policy: once)",)
        return ()

    def _used_up(self, group: Group) -> bool:
        return group.policy == "once" and self.turns.peek(group.identity) >= len(group.answers)

    def _told(self, answer: Answer) -> str | None:
        """What a route answers, in a word; None where that is made for each request, or cannot be."""
        try:
            made = answer.decision or self._make(answer, None)
        except SvcmockError:
            return None
        return None if isinstance(made, _Tied) else made.outcome.reply or None

    def _take_turn(self, group: Found) -> tuple[Answer, bool] | None:
        assert isinstance(group, Group)
        answers = group.answers
        last = len(answers) - 1
        if group.alike:
            return answers[0], True
        turns, identity = self.turns, group.identity
        match group.policy:
            case "sequence":  # the last one stays, and no more turns are taken
                turn = turns.peek(identity)
                if turn < last:
                    turn = turns.take(identity)
                return answers[min(turn, last)], turn >= last
            case "cycle":
                return answers[turns.take(identity) % len(answers)], False
            case "once":
                turn = last + 1 if self._used_up(group) else turns.take(identity)
                return (answers[turn], False) if turn <= last else None
            case "random":
                turn = turns.take(identity)
                return answers[draw(self.service.seed, identity, turn, len(answers))], False

    def read(self, answer: Answer) -> tuple[RouteDoc, Request]:
        """A route's document and, for an exact route, the request it was recorded from."""
        return self._read(answer, self._files(answer.file))

    def _read(self, answer: Answer, files: Files) -> tuple[RouteDoc, Request]:
        doc = route_of(answer.doc)
        request = self._recorded(doc, files)
        if answer.part >= 0 and self._conversing is not None:
            whole, reply = self._conversation(answer)
            request = self._conversing.parts(whole, reply, self.context)[answer.part]
        return doc, request

    def _conversation(self, answer: Answer) -> tuple[Request, Reply]:
        """All of the conversation of which a route answers a part; its other parts are asked for soon."""
        known = self._conversations.get(answer.doc)
        if known is None:
            doc, files = route_of(answer.doc), self._files(answer.file)
            request = self._recorded(doc, files)
            typed = msgspec.convert(doc.respond, self.plugin.ReplyDoc)
            known = request, self.plugin.reply(typed, files, self.context, request)
            if len(self._conversations) >= MAX_CONVERSATIONS:
                self._conversations.clear()
            self._conversations[answer.doc] = known
        return known

    def _recorded(self, doc: RouteDoc, files: Files) -> Request | None:
        """The request that a route was recorded from, or has as its example."""
        if doc.request is None:
            return None
        typed = msgspec.convert(doc.request, self.plugin.RequestDoc)
        return self.plugin.request(typed, files, self.context)

    def _demand(self, answer: Answer, context: Context) -> Mapping[str, Doc]:
        """What an exact route demands, redacted and by the fields of its key. Raises SvcmockError.

        Remembered, but for what a file says, which may change: the same routes stand beside most misses.
        """
        known = self._demands.get(answer)
        if known is not None:
            return known
        files = _Watched(self._files(answer.file))
        _, recorded = self._read(answer, files)
        want = self.plugin.decisive(self.plugin.redact(recorded, context), context)
        if not files.asked and len(answer.doc) <= DEMAND_MAX:
            if len(self._demands) >= MAX_DEMANDS:
                self._demands.clear()
            self._demands[answer] = want
        return want

    def _make(self, answer: Answer, request: Request | None) -> Decision | _Dynamic | _Tied:
        """What a route answers; `request` is one that it answers, None where there is none yet."""
        doc = route_of(answer.doc)
        source = answer.source
        delay = duration(doc.delay) if doc.delay is not None else 0.0
        if doc.template:
            template, problems = compile_template(doc.respond)
            if template is None:
                raise Unservable(f"route {source} cannot answer: {problems[0]}")
            return _Dynamic(template, Outcome(self.service.name, source, ""), delay)
        if answer.matcher is not None and self.plugin.tied(msgspec.convert(doc.respond, self.plugin.ReplyDoc)):
            return _Tied({}, delay)
        return self._decision(doc, answer, request, delay)

    def _tied(self, made: _Tied, answer: Answer, request: Request) -> Decision:
        address = self.plugin.address(request)
        known = made.by_address.get(address)
        if known is None:
            doc = route_of(answer.doc)
            if len(made.by_address) >= MAX_ADDRESSES:
                made.by_address.clear()
            known = made.by_address[address] = self._decision(doc, answer, request, made.delay)
        return known

    def _decision(self, doc: RouteDoc, answer: Answer, request: Request | None, delay: float) -> Decision:
        source = answer.source
        reply, sent = self._reply(doc.respond, answer, request)
        outcome = Outcome(self.service.name, source, self.plugin.outcome(reply))
        return Decision(reply, outcome, delay, fixed=delay == 0 and not sent, files=sent)

    def _reply(self, doc: object, answer: Answer, request: Request | None) -> tuple[Reply, tuple[Blob, ...]]:
        """The reply, and the files that sending it will need."""
        files = _Watched(self._files(answer.file))
        source = answer.source
        try:
            if answer.part >= 0 and self._conversing is not None:
                request, reply = self._conversation(answer)
                return self._conversing.part(request, reply, answer.part), ()
            if request is None:
                request = self._recorded(route_of(answer.doc), self._files(answer.file))
            typed = msgspec.convert(doc, self.plugin.ReplyDoc)
            return self.plugin.reply(typed, files, self.context, request), tuple(files.named)
        except msgspec.ValidationError as error:
            raise Unservable(f"route {source} cannot answer: respond: {error}") from None
        except Invalid as invalid:
            at = ".".join(map(str, ("respond", *invalid.at)))
            raise Unservable(f"route {source} cannot answer: {at}: {invalid.why}") from None

    def _render(self, made: _Dynamic, answer: Answer, request: Request) -> Decision:
        fields = self.plugin.fields(request, self.context)
        values: dict[str, object] = {"request": fields}
        if answer.matcher is not None:
            values |= evaluate(answer.matcher, fields) or {}
        source = made.outcome.route or ""
        try:
            doc = render(made.template, values)
        except SvcmockError as error:
            raise Unservable(f"route {source} cannot answer: {error}") from None
        reply, sent = self._reply(doc, answer, request)
        outcome = Outcome(self.service.name, source, self.plugin.outcome(reply))
        return Decision(reply, outcome, made.delay, fixed=False, files=sent)


class _Watched:
    """Files of which it is remembered which were named and not read: those are sent from where they lie."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.asked = False
        self.named: list[Blob] = []

    def __call__(self, name: str) -> Blob:
        self.asked = True
        blob = self._files(name)
        self.named.append(blob)
        return blob

    def read(self, blob: Blob) -> bytes:
        data = self._files.read(blob)
        self.named = [one for one in self.named if one.path != blob.path]
        return data
