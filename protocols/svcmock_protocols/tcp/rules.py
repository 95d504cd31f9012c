"""What of a reply is made for each request: echoed ids, swapped addresses, counters; and paths into fields.

A path is names and positions separated by dots: `txid`, `PID.2`, `items.0.id`. What a reply lacks is not
added by `echo` and `swap`, only by `set`. A frame that cannot take a value stays as it was recorded.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.tcp.fieldtypes import LayoutError
from svcmock_protocols.tcp.layout import Layout
from svcmock_protocols.tcp.messages import ReplyRules, Setting

MISSING: Final = object()
"""What `get` gives where nothing is."""


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
    echoed = [(name, Setting(field=name)) for name in dict.fromkeys((*names, *rules.echo))]
    swapped = [pair for one, other in rules.swap for pair in ((one, Setting(other)), (other, Setting(one)))]
    return (*echoed, *swapped, *settings(rules.set, "reply", "set"))


def correlated(rules: ReplyRules) -> tuple[str, ...]:
    """The fields that tell which request a reply answers; none where their order does."""
    if rules.correlate in ("fifo", "none"):
        return ()
    return (rules.correlate,) if isinstance(rules.correlate, str) else rules.correlate


def settings(doc: Mapping[str, Doc], *at: str | int) -> tuple[tuple[str, Setting], ...]:
    """`set:`, in the options and in a reply: a value, {req: FIELD, add: 0}, or {count: 1}. Raises Invalid."""
    return tuple((name, _setting(spec, (*at, name))) for name, spec in doc.items())


def _setting(spec: Doc, at: tuple[str | int, ...]) -> Setting:
    if not isinstance(spec, dict):
        return Setting(value=spec)
    if spec.keys() - {"req", "count", "add"} or len(spec.keys() & {"req", "count"}) != 1:
        raise Invalid(at, "expected a value, {req: FIELD, add: 0} or {count: 1}")
    name, add, start = spec.get("req", ""), spec.get("add", 0), spec.get("count", 0)
    if not isinstance(name, str) or not isinstance(add, int) or not isinstance(start, int):
        raise Invalid(at, "`req` is the name of a field, `add` and `count` are whole numbers")
    return Setting(name, start, add, "count" in spec)


def counts(made: tuple[tuple[str, Setting], ...]) -> bool:
    """Whether some value depends on how many frames a connection was sent."""
    return any(setting.count for _, setting in made)


def adapt(
    layout: Layout, payload: bytes, made: tuple[tuple[str, Setting], ...], asked: Doc, sent: int
) -> bytes:
    """The payload of a reply for a request with the fields `asked`, the `sent`th frame of its connection."""
    try:
        value = copy.deepcopy(layout.plain(layout.decode(payload)))
    except LayoutError:
        return payload
    for path, setting in made:
        new = _value(setting, asked, sent)
        if new is not MISSING:
            put(value, path, new, add=not _echoes(setting, path))
    try:
        return layout.encode(value, (), payload)
    except Invalid:
        return payload


def _echoes(setting: Setting, path: str) -> bool:
    return setting.field == path and not setting.add


def _value(setting: Setting, asked: Doc, sent: int) -> Any:
    if setting.count:
        return setting.value + sent + setting.add
    if not setting.field:
        return setting.value
    value = get(asked, setting.field)
    if not setting.add or value is MISSING:
        return value
    if isinstance(value, str) and value.isdecimal():
        return f"{int(value) + setting.add:0{len(value)}d}"
    return value + setting.add if isinstance(value, int) else value
