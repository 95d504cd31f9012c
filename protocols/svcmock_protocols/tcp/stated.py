"""Replies that a service's options state: where nothing answers (`on_miss`), and what keeps it alive (`auto`).

There is no error that every protocol on TCP knows. So `on_miss` says it: the connection ends, nothing is said,
or a reply is sent that the service's clients take for an error.

Logons, tests, heartbeats: what each side says only to know that the other one is there is answered by the
session itself, as `auto` says. No route is asked for them, and a recorder leaves them out, in both directions.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.forms import ReplyDoc, Side, reply_of
from svcmock_protocols.tcp.gaps import MAX_GAP, duration
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.messages import AutoDoc, EveryDoc, Options, Reply
from svcmock_protocols.tcp.patterns import compile_pattern

MAX_AUTO: Final = 64
"""Rules of `auto`."""
LEAST_EVERY: Final = 0.05
"""Seconds between two frames that are said again and again."""

FAULTS: Final[Mapping[str, Reply]] = {"close": Reply(then="close"), "reset": Reply(then="reset")}
"""What any client understands."""


class Every(Struct, frozen=True):
    """What is said again and again: each time after so many seconds, or as the request's `field` says."""

    reply: Reply
    after: float = 0.0
    field: str = ""

    def seconds(self, asked: Doc) -> float:
        """The time between two of them; 0 for none, where the request wants none."""
        if not self.field:
            return self.after
        value = rules.get(asked, self.field)
        try:
            seconds = float(value) if isinstance(value, int | float | str) else 0.0
        except ValueError:
            return 0.0
        return min(max(seconds, LEAST_EVERY), MAX_GAP) if seconds > 0 else 0.0


class Auto(Struct, frozen=True):
    """Frames with these values at these paths, or that the pattern is found in, and what answers them."""

    values: tuple[tuple[str, Doc], ...]
    pattern: Any
    reply: Reply
    every: Every | None

    def fits(self, layout: Layout, payload: bytes) -> bool:
        """Whether this is such a frame."""
        if self.pattern is not None:
            return self.pattern.search(payload) is not None
        try:
            fields = layout.decode(payload)
        except LayoutError:
            return False
        return all(_same(rules.get(fields, path), value) for path, value in self.values)


def _same(one: Any, other: Doc) -> bool:
    """The same, whether it is written as a number or as text."""
    return one == other or (isinstance(one, str | int) and str(one) == str(other))


def compile_miss(options: Options, side: Side) -> Reply:
    """What `on_miss` says. Raises Invalid, `at` a path in the options."""
    doc = options.on_miss
    if isinstance(doc, str) and doc in FAULTS:
        return FAULTS[doc]
    if doc == "hang":
        return Reply()
    if not isinstance(doc, dict) or doc.keys() != {"reply"}:
        raise Invalid(("on_miss",), "expected close, reset, hang, or {reply: } with a reply as routes have it")
    return _reply(doc["reply"], side, "on_miss", "reply")


def compile_auto(options: Options, side: Side) -> tuple[Auto, ...]:
    """What `auto` says. Raises Invalid, `at` a path in the options."""
    if len(options.auto) > MAX_AUTO:
        raise Invalid(("auto",), f"more than {MAX_AUTO} of them")
    return tuple(_auto(doc, side, "auto", index) for index, doc in enumerate(options.auto))


def _auto(doc: AutoDoc, side: Side, *at: str | int) -> Auto:
    if not doc.when:
        raise Invalid((*at, "when"), "expected fields and their values, or a regular expression")
    pattern = compile_pattern(doc.when, *at, "when") if isinstance(doc.when, str) else None
    values = () if isinstance(doc.when, str) else tuple(doc.when.items())
    every = None if doc.every is None else _every(doc.every, side, *at, "every")
    return Auto(values, pattern, _reply(doc.reply, side, *at, "reply"), every)


def _every(doc: EveryDoc, side: Side, *at: str | int) -> Every:
    if (doc.after is None) is not bool(doc.req):
        raise Invalid(at, "expected either `after`, a time, or `req`, a field of the request that says seconds")
    after = 0.0 if doc.after is None else duration(doc.after, *at, "after")
    if doc.after is not None and after < LEAST_EVERY:
        raise Invalid((*at, "after"), f"expected at least {LEAST_EVERY:g}s")
    return Every(_reply(doc.send, side, *at, "send"), after, doc.req)


def _reply(doc: Any, side: Side, *at: str | int) -> Reply:
    try:
        return reply_of(msgspec.convert(doc, ReplyDoc), side)
    except msgspec.ValidationError as error:
        raise Invalid(at, str(error)) from None
    except Invalid as invalid:
        raise Invalid((*at, *invalid.at), invalid.why) from None
