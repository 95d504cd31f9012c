"""Route documents as entries of the index: keys computed, replies checked, every problem with its place.

Pure: files are reached through the function that is passed in. An entry keeps its document as MessagePack and
is complete without the text it came from, so it can be stored and read back.
"""

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Literal

import msgspec
from msgspec import Struct

from svcmock.capabilities import Conversing, Foretelling
from svcmock.config import Located, route_docs, unknown_noise
from svcmock.convert import convert_all
from svcmock.matching.answers import STANDING, Answer
from svcmock.matching.predicates import compile_match
from svcmock.model import Policy, Problem, RouteDoc
from svcmock.protocol import Blob, Context, Doc, Files, Invalid, Plugin, Reply, Request
from svcmock.templates import compile_template

TOKEN = b"svcmock-"
"""What every token begins with; a file without it holds no redacted credential."""


def packed(value: Doc | RouteDoc) -> bytes:
    """A mapping or a route as bytes: for equal mappings the same, whatever the order of their keys.

    MessagePack; JSON for numbers of more than 64 bits and for lone surrogates, which MessagePack cannot say.
    """
    order: Literal["deterministic"] | None = None if isinstance(value, RouteDoc) else "deterministic"
    try:
        return msgspec.msgpack.encode(value, order=order)
    except (OverflowError, UnicodeEncodeError):
        return json.dumps(msgspec.to_builtins(value), sort_keys=order is not None).encode()


def unpacked(data: bytes) -> Doc:
    """What was packed, a route as a mapping. No MessagePack mapping begins with a brace."""
    return json.loads(data) if data[:1] == b"{" else msgspec.msgpack.decode(data)


def route_of(data: bytes) -> RouteDoc:
    """A packed route."""
    if data[:1] == b"{":
        return msgspec.convert(json.loads(data), RouteDoc)
    return msgspec.msgpack.decode(data, type=RouteDoc)


AHEAD = -2
"""The `part` of what a route says before it answers: an exact route of its own, at the same place."""


class Compiled(Struct, frozen=True, array_like=True, gc=False):
    """One route. An exact one has a `key`; one with predicates has `match`, its demand as MessagePack.

    A conversation gives one for each of its parts, `part` their number. `said`: see `_said`.
    """

    line: int
    doc: bytes
    key: bytes = b""
    names: tuple[str, ...] = ()
    values: tuple[bytes, ...] = ()
    match: bytes = b""
    policy: Policy | None = None
    ignore: tuple[str, ...] = ()
    part: int = -1
    said: bytes = b""

    @property
    def first(self) -> bool:
        """Whether it stands for its route, of which others may be the other parts."""
        return self.part in STANDING

    def answer(self, file: str, order: int) -> Answer:
        """It as the index has it: a route of `file`, and its place among those of the service."""
        answer = Answer(file, self.line, self.doc, self.names, self.values)
        answer.order, answer.part = order, self.part
        answer.policy, answer.said = self.policy, self.said
        return answer


class CompiledFile(Struct, frozen=True):
    """A route file. `files`: paths and sizes of what it refers to. `tokens`: it holds redacted credentials."""

    entries: list[Compiled]
    files: list[tuple[str, int]]
    tokens: bool
    warnings: list[Problem] = []


def compile_file(
    data: bytes,
    name: str,
    plugin: Plugin,
    context_for: Callable[[tuple[str, ...]], Context],
    files: Files,
) -> tuple[CompiledFile, list[Problem]]:
    """The routes of a file that are right, and everything that is wrong with it."""
    routes, problems = route_docs(data, name)
    noted = _Noted(files)
    compiler = _Compiler(plugin, context_for, noted, problems, str(PurePosixPath(name).parent))
    entries = [entry for located in routes for entry in compiler.compile(located)]
    warnings = [problem for problem in problems if problem.severity == "warning"]
    return CompiledFile(entries, list(noted.used.items()), TOKEN in data, warnings), problems


class _Noted:
    """Remembers which files were asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.used: dict[str, int] = {}
        self.read = files.read

    def __call__(self, name: str) -> Blob:
        blob = self._files(name)
        self.used[blob.path] = blob.size
        return blob


class _Compiler:
    def __init__(
        self,
        plugin: Plugin,
        context_for: Callable[[tuple[str, ...]], Context],
        files: Files,
        problems: list[Problem],
        folder: str,
    ) -> None:
        self._plugin = plugin
        self._folder = folder
        self._conversing = plugin if isinstance(plugin, Conversing) else None
        self._foretelling = plugin if isinstance(plugin, Foretelling) else None
        self._context_for = context_for
        self._files = files
        self._problems = problems

    def compile(self, located: Located) -> Sequence[Compiled]:
        """Empty when the document has errors, which are then among the problems."""
        before = len(self._problems)
        route = located.route
        for index, pattern in enumerate(route.ignore):
            why = unknown_noise(pattern, self._plugin)
            if why:
                self._wrong(located, ("ignore", index), why)
        request = self._request(located) if route.request is not None else None
        reply = self._reply(located, request)
        entries: Sequence[Compiled] = ()
        if route.match is not None:
            entries = self._matched(located)
        elif route.request is None:
            self._wrong(located, (), "a route needs `request`, or `match` with predicates")
        elif request is not None:
            entries = self._exact(located, request, reply)
        if any(problem.severity == "error" for problem in self._problems[before:]):
            return ()
        made = route.template or route.match is not None
        return [*entries, *self._ahead(located)] if made and self._foretelling is not None else entries

    def _ahead(self, located: Located) -> Sequence[Compiled]:
        """What a route says before it answers, if it says anything that is right."""
        route, plugin, context = located.route, self._plugin, self._context_for(())
        assert self._foretelling is not None
        found = self._foretelling.ahead(route.request, route.match, route.respond)
        if found is None:
            return ()
        asked, told = found
        try:
            request = plugin.request(msgspec.convert(asked, plugin.RequestDoc), self._files, context)
            plugin.reply(msgspec.convert(told, plugin.ReplyDoc), self._files, context, request)
        except (Invalid, msgspec.ValidationError):
            return ()
        own = RouteDoc(told, request=asked, name=route.name)
        return (self._entry(Located(own, located.line, located.where), packed(own), request, AHEAD),)

    def _exact(self, located: Located, request: Request, reply: Reply | None) -> Sequence[Compiled]:
        context = self._context_for(located.route.ignore)
        parts: Sequence[Request] = ()
        if reply is not None and self._conversing is not None:
            parts = self._conversing.parts(request, reply, context)
        doc = packed(located.route)
        if not parts:
            return (self._entry(located, doc, request, -1),)
        return [self._entry(located, doc, part, number) for number, part in enumerate(parts)]

    def _entry(self, located: Located, doc: bytes, request: Request, part: int) -> Compiled:
        route = located.route
        context = self._context_for(route.ignore)
        conditions = self._plugin.conditions(request, context)
        names = tuple(sorted(conditions))
        return Compiled(
            located.line,
            doc,
            self._plugin.key(request, context),
            names,
            tuple(conditions[name] for name in names),
            b"",
            route.policy,
            route.ignore,
            part,
            self._said(route, part),
        )

    def _said(self, route: RouteDoc, part: int = -1) -> bytes:
        """A digest of all that a route answers, and when; empty where that is made for each request.

        Files that it names are those of its folder. The order of names in a mapping is what clients see too.
        """
        if route.template:
            return b""
        where = b"%d %s\0" % (part, self._folder.encode())
        return blake2b(where + packed(RouteDoc(route.respond, delay=route.delay)), digest_size=8).digest()

    def _request(self, located: Located) -> Request | None:
        where = located.where.under("request")
        typed, problems = convert_all(located.route.request, self._plugin.RequestDoc, where)
        self._problems += problems
        if typed is None or problems:
            return None
        context = self._context_for(located.route.ignore)
        try:
            request = self._plugin.request(typed, self._files, context)
        except Invalid as invalid:
            self._problems.append(where.problem(invalid.at, invalid.why))
            return None
        # live requests are redacted before they are compared: a credential written by hand must be too
        return self._plugin.redact(request, context)

    def _matched(self, located: Located) -> Sequence[Compiled]:
        route = located.route
        matcher, problems = compile_match(
            route.match,
            template_field=self._plugin.template_field,
            template_separator=self._plugin.template_separator,
            known=self._plugin.field_names,
        )
        for invalid in problems:
            self._wrong(located, ("match", *invalid.at), invalid.why)
        if matcher is None:
            return ()
        match, said = packed(route.match), self._said(route)
        return (Compiled(located.line, packed(route), match=match, policy=route.policy, said=said),)

    def _reply(self, located: Located, request: Request | None) -> Reply | None:
        """The reply, where it is not made for each request; looked at for what is wrong with it."""
        route: RouteDoc = located.route
        if route.template:
            _, wrong = compile_template(route.respond)
            for invalid in wrong:
                self._wrong(located, ("respond", *invalid.at), invalid.why)
            return None
        where = located.where.under("respond")
        typed, problems = convert_all(route.respond, self._plugin.ReplyDoc, where)
        self._problems += problems
        if typed is None or problems:
            return None
        try:
            return self._plugin.reply(typed, self._files, self._context_for(route.ignore), request)
        except Invalid as invalid:
            self._problems.append(where.problem(invalid.at, invalid.why))
            return None

    def _wrong(self, located: Located, at: tuple[str | int, ...], why: str) -> None:
        self._problems.append(located.where.problem(at, why))
