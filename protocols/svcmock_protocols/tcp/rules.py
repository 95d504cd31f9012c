"""What of a reply is made for each request: echoed ids, swapped addresses, counters, times; paths into fields.

A path is names and positions separated by dots: `txid`, `PID.2`, `items.0.id`. What a reply lacks is not
added by `echo` and `swap`, only by `set`. A frame that cannot take a value stays as it was recorded.
"""

import copy
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.messages import ReplyRules, Setting

MISSING: Final = object()
"""What `get` gives where nothing is."""
MAX_TIME_FORM: Final = 100
"""Characters of a form of time."""
_TIMES: Final = {"unix": 1, "unix_ms": 1000}
"""Forms of time that are numbers: how many of them make a second."""
_FRACTION: Final = re.compile("%([1-6])f")
_DIRECTIVE: Final = re.compile("%(?:[1-6]f|[aAbBdfHIjmMpSuUVwWyYGZz%])")


def get(value: Doc, path: str) -> Any:
    """What stands at a path; MISSING if nothing does."""
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def put(value: Doc, path: str, new: Doc, *, add: bool = False) -> None:
    """Changes what stands at a path; with `add`, a name that is not there is put into its mapping."""
    above, _, last = path.rpartition(".")
    parent = get(value, above) if above else value
    if isinstance(parent, dict) and (add or last in parent):
        parent[last] = new
    elif isinstance(parent, list) and last.isdecimal() and int(last) < len(parent):
        parent[int(last)] = new


def compile_settings(rules: ReplyRules) -> tuple[tuple[str, Setting], ...]:
    """All that the rules of a service say about fields of replies, in the order in which it is done."""
    names = () if rules.correlate in ("fifo", "none") else correlated(rules)
    echoed = [(name, Setting(name, there=True)) for name in dict.fromkeys((*names, *rules.echo))]
    pairs = [pair for one, other in rules.swap for pair in ((one, other), (other, one))]
    swapped = [(name, Setting(other, there=True)) for name, other in pairs]
    return (*echoed, *swapped, *settings(rules.set, "reply", "set"))


def correlated(rules: ReplyRules) -> tuple[str, ...]:
    """The fields that tell which request a reply answers; none where their order does."""
    if rules.correlate in ("fifo", "none"):
        return ()
    return (rules.correlate,) if isinstance(rules.correlate, str) else rules.correlate


def settings(doc: Mapping[str, Doc], *at: str | int) -> tuple[tuple[str, Setting], ...]:
    """`set:`, in the options and in a reply: a value, or how it is made. Raises Invalid."""
    return tuple((name, _setting(spec, (*at, name))) for name, spec in doc.items())


def _setting(spec: Doc, at: tuple[str | int, ...]) -> Setting:
    if not isinstance(spec, dict):
        return Setting(value=spec)
    kinds = spec.keys() & {"req", "count", "now"}
    if spec.keys() - {"req", "count", "now", "add"} or len(kinds) != 1:
        raise Invalid(at, "expected a value, {req: FIELD, add: 0}, {count: 1} or {now: FORM}")
    name, add, start = spec.get("req", ""), spec.get("add", 0), spec.get("count", 0)
    if not isinstance(name, str) or not isinstance(add, int) or not isinstance(start, int):
        raise Invalid(at, "`req` is the name of a field, `add` and `count` are whole numbers")
    if "req" in kinds:
        return Setting(name, add=add)
    if "count" in kinds:
        return Setting(value=start, add=add, count=True)
    form = spec["now"]
    if form not in _TIMES and not (isinstance(form, str) and _is_form(form)):
        raise Invalid((*at, "now"), "expected unix, unix_ms, or a form such as %Y%m%d-%H:%M:%S.%3f, in UTC")
    if add:
        raise Invalid((*at, "add"), "goes with `req` and `count`")
    return Setting(now=form)


def _is_form(form: str) -> bool:
    """Whether this says of a time what any machine says alike."""
    rest = _DIRECTIVE.sub("", form)
    return len(rest) < len(form) <= MAX_TIME_FORM and "%" not in rest and "\0" not in rest


def counts(made: tuple[tuple[str, Setting], ...]) -> bool:
    """Whether some value depends on how many frames a connection was sent."""
    return any(setting.count for _, setting in made)


def dates(made: tuple[tuple[str, Setting], ...]) -> bool:
    """Whether some value is the time."""
    return any(setting.now for _, setting in made)


class Moment(Struct, frozen=True):
    """When a frame is sent: it is the `sent`th of its connection, `now` in seconds since 1970, UTC."""

    sent: int = 0
    now: float = 0.0


def adapt(
    layout: Layout, payload: bytes, made: tuple[tuple[str, Setting], ...], asked: Doc, moment: Moment
) -> bytes:
    """The payload of a reply for a request with the fields `asked`."""
    try:
        value = copy.deepcopy(layout.plain(layout.decode(payload)))
    except LayoutError:
        return payload
    for path, setting in made:
        new = _value(setting, asked, moment)
        if new is not MISSING:
            put(value, path, new, add=not setting.there)
    try:
        return layout.encode(value, (), payload)
    except Invalid:
        return payload


def _value(setting: Setting, asked: Doc, moment: Moment) -> Any:
    if setting.now:
        return time_in(setting.now, moment.now)
    if setting.count:
        return setting.value + moment.sent + setting.add
    if not setting.field:
        return setting.value
    value = get(asked, setting.field)
    if not setting.add or value is MISSING:
        return value
    if isinstance(value, str) and value.isdecimal():
        return f"{int(value) + setting.add:0{len(value)}d}"
    return value + setting.add if isinstance(value, int) else value


def time_in(form: str, now: float) -> Doc:
    """A time as `now:` says it: `%3f` are milliseconds."""
    if form in _TIMES:
        return int(now * _TIMES[form])
    moment = datetime.fromtimestamp(now, UTC)
    fraction = f"{moment.microsecond:06d}"
    return moment.strftime(_FRACTION.sub(lambda match: fraction[: int(match[1])], form))
