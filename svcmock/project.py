"""A project's folder as responders: reads, checks and compiles its routes, and remembers what it compiled.

A route file that has been compiled is kept in `.svcmock/cache/` under a hash of everything its compilation
depends on: its bytes, the protocol and its code, its options and noise, the redaction key, svcmock's code. So
a second start decodes instead of parsing, and an edit to one file costs that file. What is cached is only ever
a copy: a cache that is missing, damaged or foreign is compiled again.
"""

import gc
import sys
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from svcmock import __version__
from svcmock.cache import Cache
from svcmock.compile import Compiled, CompiledFile, compile_file, unpacked
from svcmock.config import load_graph, route_files
from svcmock.engine import Responder
from svcmock.files import ProjectFiles
from svcmock.matching.index import Answer, Builder
from svcmock.matching.predicates import compile_match
from svcmock.model import Graph, Problem, Service
from svcmock.noise import noise_of
from svcmock.parallel import compile_parts
from svcmock.protocol import Context, Plugin
from svcmock.recording import load_key, tokenizer
from svcmock.turns import LocalTurns, Turns

CACHE_ABOVE = 64 * 1024
"""Bytes of a route file above which its compilation is worth keeping."""
CACHE_FORMAT = 2


class Loaded(Struct, frozen=True):
    """What a project's files say. `responders` is complete only without errors among `problems`."""

    graph: Graph | None
    responders: dict[str, Responder]
    problems: list[Problem]

    @property
    def errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)


def load(
    root: Path,
    plugins: Mapping[str, Plugin],
    turns: Turns | None = None,
    graph: Graph | None = None,
) -> Loaded:
    """Read everything and report everything. `turns`: how far sequences have got.

    With a `graph` that was read before, the route files alone are read.
    """
    # What is made here stays, and holds no cycles: looking for some takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _load(root, plugins, turns or LocalTurns(), graph)
    finally:
        if collecting:
            gc.enable()


def _load(
    root: Path,
    plugins: Mapping[str, Plugin],
    turns: Turns,
    graph: Graph | None,
) -> Loaded:
    problems: list[Problem] = []
    if graph is None:
        graph, problems = load_graph(root, plugins)
        if graph is None:
            return Loaded(None, {}, problems)
    key = load_key(root / ".svcmock" / "redaction.key")
    cache = Cache(root)
    responders = {}
    for service in graph.services.values():
        plugin = plugins[service.protocol]
        loader = _Loader(graph, service, plugin, key, cache)
        responders[service.name] = loader.load(turns)
        problems += loader.problems
    if not any(problem.severity == "error" for problem in problems):
        cache.sweep()
    # services may share a route file: what is wrong with it is told once
    return Loaded(graph, responders, _in_order(problems))


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Each once, and those of one file in the order of its lines."""
    files = {name: index for index, name in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(
        dict.fromkeys(problems), key=lambda problem: (files[problem.file], problem.line, problem.column)
    )


def context_of(service: Service, plugin: Plugin, token: Callable[[bytes], bytes]) -> Context:
    """A service's configuration as its protocol sees it. `ignore: ["!x"]` takes x from the default noise."""
    return Context(service.options, noise_of(plugin.noise, service.ignore), token, service.pace)


@cache
def _code_of(module: str) -> list[tuple[str, int, int]]:
    """What tells one state of a package's code from another: names, sizes and times of its files."""
    file = sys.modules[module].__file__
    if file is None:
        return []
    found = []
    for path in sorted(Path(file).parent.rglob("*.py")):
        stat = path.stat()
        found.append((path.name, stat.st_size, stat.st_mtime_ns))
    return found


class _Loader:
    """Loads one service."""

    def __init__(
        self, graph: Graph, service: Service, plugin: Plugin, key: bytes | None, cache: "Cache"
    ) -> None:
        self._graph = graph
        self._service = service
        self._plugin = plugin
        self._cache = cache
        self._context = context_of(service, plugin, tokenizer(key))
        self._key = key
        self._salt = msgspec.msgpack.encode(
            [
                CACHE_FORMAT,
                __version__,
                plugin.name,
                _code_of(__name__),
                _code_of(type(plugin).__module__),
                msgspec.to_builtins(service.options),
                self._context.ignore.patterns,
                (key or b"").hex(),
            ]
        )
        self._own: dict[tuple[str, ...], Context] = {}
        self.problems: list[Problem] = []

    def load(self, turns: Turns) -> Responder:
        builder = Builder(self._plugin, self._context, self._service.policy, self._service.name)
        redacted = False
        for name, path in route_files(self._graph, self._service):
            compiled = self._compile(name, path)
            redacted = redacted or compiled.tokens
            for entry in compiled.entries:
                self._add(builder, name, entry)
        if redacted and self._key is None:
            why = "the redaction key is not here: recorded credentials match any credential of their kind"
            self.problems.append(Problem("svcmock.yaml", self._service.line, 1, why, "warning"))
        root = Path(self._graph.root)
        return Responder(
            self._service,
            self._plugin,
            builder.build(),
            lambda file: ProjectFiles(root, file),
            turns,
            redacted=redacted,
        )

    def _compile(self, name: str, path: Path) -> CompiledFile:
        try:
            data = path.read_bytes()
        except OSError as error:
            self.problems.append(Problem(name, 1, 1, f"cannot be read: {error.strerror}"))
            return CompiledFile([], [], tokens=False)
        place = blake2b(self._salt + name.encode() + b"\0" + data, digest_size=20).hexdigest()
        worth = len(data) >= CACHE_ABOVE
        known = self._cache.read(place) if worth else None
        if known is None:
            known, problems = self._compile_anew(data, name)
            self.problems += problems
            if worth and not any(problem.severity == "error" for problem in problems):
                self._cache.write(place, known)
        else:
            self.problems += known.warnings
        return known

    def _compile_anew(self, data: bytes, name: str) -> tuple[CompiledFile, list[Problem]]:
        root = Path(self._graph.root)
        parts = compile_parts(data, root, name, self._plugin, self._context, self._key)
        if parts is not None:
            return parts.compiled, parts.problems
        return compile_file(data, name, self._plugin, self.context_for, ProjectFiles(root, name))

    def context_for(self, ignore: tuple[str, ...]) -> Context:
        """The context of a route that declares this noise of its own."""
        if not ignore:
            return self._context
        known = self._own.get(ignore)
        if known is None:
            noise = noise_of(self._context.ignore.patterns, ignore)
            known = self._own[ignore] = msgspec.structs.replace(self._context, ignore=noise)
        return known

    def _add(self, builder: Builder, name: str, entry: Compiled) -> None:
        answer = Answer(name, entry.line, entry.doc, entry.names, entry.values)
        if entry.key:
            own = self.context_for(entry.ignore) if entry.ignore else None
            builder.add_exact(entry.key, answer, entry.policy, own)
            return
        matcher, _ = compile_match(
            unpacked(entry.match),
            template_field=self._plugin.template_field,
            template_separator=self._plugin.template_separator,
        )
        answer.matcher = matcher
        builder.add_matched(entry.match, answer, entry.policy)
