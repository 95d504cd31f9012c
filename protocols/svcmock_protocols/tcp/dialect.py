"""The options of a service compiled: what both of its sides' frames are and mean, and how replies are made.

It is the service's schema (`svcmock.capabilities.Schooled`), so that what is wrong with the options is told
when a project is loaded. Whether the real server ever spoke unasked was noted by the recorder among the facts.
"""

import json
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.noise import Noise
from svcmock.protocol import Context, Invalid
from svcmock_protocols.tcp import rules
from svcmock_protocols.tcp.forms import Side
from svcmock_protocols.tcp.framing import compile_sides
from svcmock_protocols.tcp.kinds import Framing
from svcmock_protocols.tcp.layout import Layout, compile_layout
from svcmock_protocols.tcp.lengths import FrameError
from svcmock_protocols.tcp.messages import Options, Reply, Setting
from svcmock_protocols.tcp.nofiles import NO_FILES
from svcmock_protocols.tcp.patterns import compile_pattern
from svcmock_protocols.tcp.places import Copy, copies
from svcmock_protocols.tcp.stated import FAULTS, Auto, compile_auto, compile_miss

PUSHES: Final = "pushes"
"""The fact that a server spoke unasked."""


class StartTls(Struct, frozen=True):
    """The frames by which a connection goes over to TLS, complete; `on` is a payload in capitals."""

    on: bytes
    reply: bytes
    decline: bytes


class Dialect(Struct, frozen=True):
    """What a service's options mean. `noise`: patterns beside the context's; `redact`: paths into fields.

    `copies`: all that `settings` come to, if they only move numbers.
    `numbers`: replies are numbered, so that equal requests get other bytes; `dates`: they hold the time.
    `missed`: what is answered when nothing answers; `auto`: what a session answers by itself.
    """

    options: Options
    client: Framing
    server: Framing
    asked: Layout
    told: Layout
    settings: tuple[tuple[str, Setting], ...] = ()
    copies: tuple[Copy, ...] | None = None
    correlate: tuple[str, ...] = ()
    until: Any = None
    one_way: Any = None
    noise: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    pushes: bool = False
    numbers: bool = False
    dates: bool = False
    missed: Reply = FAULTS["close"]
    auto: tuple[Auto, ...] = ()
    starttls: StartTls | None = None
    digest: bytes = b""


def compile_dialect(options: Options, *, pushes: bool = False) -> Dialect:
    """Raises Invalid, `at` a path in the options."""
    if options.framing is None:
        raise Invalid(("framing",), "is missing")
    client, server = compile_sides(options.framing, options.max_frame)
    asked, told = compile_layout(options.fields, "client"), compile_layout(options.fields, "server")
    correlate = rules.correlated(options.reply)
    pushed = options.pushes or pushes
    settings = rules.compile_settings(options.reply)
    side = Side(server, told, NO_FILES)
    return Dialect(
        options=options,
        client=client,
        server=server,
        asked=asked,
        told=told,
        settings=settings,
        copies=copies(told.places, asked.places, settings),
        correlate=correlate,
        until=_pattern(options.reply.until, "until"),
        one_way=_pattern(options.reply.one_way, "one_way"),
        noise=tuple(f"{asked.root}.{name}" for name in (*options.noise, *options.redact, *correlate)),
        redact=options.redact,
        pushes=pushed,
        numbers=rules.counts(settings),
        dates=rules.dates(settings),
        missed=compile_miss(options, side),
        auto=compile_auto(options, side),
        starttls=_starttls(options, client, server),
        digest=b"pushes" if pushed else b"",
    )


def _pattern(pattern: str, name: str) -> Any:
    return compile_pattern(pattern, "reply", name) if pattern else None


def _starttls(options: Options, client: Framing, server: Framing) -> StartTls | None:
    doc = options.starttls
    if doc is None:
        return None
    try:
        client.wrap(doc.on.encode())
        agreed = server.wrap(doc.reply.encode())
        declined = server.wrap(doc.decline.encode()) if doc.decline else b""
    except FrameError as error:
        raise Invalid(("starttls",), str(error)) from None
    return StartTls(doc.on.upper().encode(), agreed, declined)


def learned(folder: Folder) -> bool:
    """Whether a recorder noted that the server speaks unasked."""
    for name in folder.beside(".facts"):
        try:
            facts = json.loads(folder.read(name))
        except (ValueError, RecursionError):
            continue
        if isinstance(facts, dict) and facts.get(PUSHES) is True:
            return True
    return False


def dialect_of(context: Context) -> Dialect:
    """The dialect of a service."""
    if isinstance(context.schema, Dialect):
        return context.schema
    return _known(msgspec.json.encode(context.options))


@lru_cache(maxsize=64)
def _known(options: bytes) -> Dialect:
    return compile_dialect(msgspec.json.decode(options, type=Options))


def noise_of(context: Context) -> Noise:
    """What never decides: the service's and the route's noise, and what the options name."""
    return _joined(context.ignore, dialect_of(context).noise)


@lru_cache(maxsize=256)
def _joined(ignore: Noise, more: tuple[str, ...]) -> Noise:
    return Noise((*ignore.patterns, *more)) if more else ignore
