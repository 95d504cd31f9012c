"""A project's folder as responders: reads, checks and compiles its routes, and remembers what it compiled.

A route file that has been compiled is kept in `.svcmock/cache/` under a hash of everything its compilation
depends on: its bytes, the protocol and its code, its options and noise, the redaction key, svcmock's code. So
a second start decodes instead of parsing, and an edit to one file costs that file. What is cached is only ever
a copy: a cache that is missing, damaged or foreign is compiled again. Of a large file the compiled routes stay
on disk. A reload takes over the whole index of a service of which nothing changed.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from svcmock import __version__
from svcmock.cache import Cache, as_they_were
from svcmock.capabilities import Unreadable
from svcmock.compile import Compiled, compile_file, unpacked
from svcmock.config import load_graph, route_files
from svcmock.engine import Responder
from svcmock.files import ProjectFiles, SchemaFolder, schema_of
from svcmock.matching.index import Builder, Index
from svcmock.matching.predicates import compile_match
from svcmock.model import FILE, Graph, Problem, Service
from svcmock.noise import noise_of
from svcmock.parallel import PARALLEL_ABOVE, Job, compile_stored, place_of
from svcmock.protocol import Context, Invalid, Plugin
from svcmock.recording import load_key, tokenizer
from svcmock.stored import Stored, StoredRoutes, open_stored
from svcmock.turns import LocalTurns, Turns

CACHE_ABOVE = 64 * 1024
"""Bytes of a route file above which its compilation is worth keeping."""
CACHE_FORMAT = 5
SETTLED_NS = 2_000_000_000
"""Age of a change from which on a file's times tell it from later ones, on any file system."""


class Version(Struct, frozen=True):
    """What was read: `what` is the same for the same files where `how`, the code that read them, is.

    A process that was started later may have other code.
    """

    how: bytes = b""
    what: bytes = b""


class Loaded(Struct, frozen=True):
    """What a project's files say. `responders` is complete only without errors among `problems`."""

    graph: Graph | None
    responders: dict[str, Responder]
    problems: list[Problem]
    version: Version = Version()

    @property
    def errors(self) -> bool:
        return any(problem.severity == "error" for problem in self.problems)


def load(
    root: Path,
    plugins: Mapping[str, Plugin],
    turns: Turns | None = None,
    graph: Graph | None = None,
) -> Loaded:
    """Read everything and report everything, once; see `Loader.load`."""
    return Loader(root, plugins).load(turns, graph)


class _Look(Struct, frozen=True):
    """What tells that a file was not touched, without reading it. Times are in ns."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def _look(path: str | Path) -> _Look | None:
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return _Look(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Made(Struct):
    """A service's index and what it was made of. `places`: of its route files, by name, in their order."""

    settings: tuple[object, ...]
    index: Index
    places: dict[str, str] = {}
    files: dict[str, _Look | None] = {}
    stored: list[Stored] = []
    tokens: bool = False
    problems: list[Problem] = []

    def note(self, name: str, place: str, files: list[tuple[str, int]], *, tokens: bool) -> None:
        """A route file, and the files that it refers to."""
        self.places[name] = place
        self.files.update((path, _look(path)) for path, _ in files)
        self.tokens = self.tokens or tokens


class Known(Struct, frozen=True):
    """What one load leaves for the next.

    `seen`: files by salt and name, as they looked when their place was told; `stored`: open files by place;
    `made`: by service.
    """

    seen: dict[tuple[bytes, str], tuple[_Look, str]]
    stored: dict[str, Stored]
    made: dict[str, Made]


class Loader:
    """Loads a project time and again: what did not change since the last time is taken over.

    It belongs to one process, and to one load at a time; several processes may load a project at once.
    """

    def __init__(self, root: Path, plugins: Mapping[str, Plugin]) -> None:
        self._root = root
        self._plugins = plugins
        self._known = Known({}, {}, {})

    def load(self, turns: Turns | None = None, graph: Graph | None = None, now: int = 0) -> Loaded:
        """Read everything and report everything. `turns`: how far sequences have got.

        With a `graph` that was read before, the route files alone are read. With the time `now` (ns of the
        epoch), large files that were read before and look the same are not read again.
        """
        # What is made here stays, and holds no cycles: looking for some takes a fifth of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._load(turns or LocalTurns(), graph, now)
        finally:
            if collecting:
                gc.enable()

    def _load(self, turns: Turns, graph: Graph | None, now: int) -> Loaded:
        root = self._root
        problems: list[Problem] = []
        if graph is None:
            graph, problems = load_graph(root, self._plugins)
            if graph is None:
                return Loaded(None, {}, problems)
        key = load_key(root / ".svcmock" / "redaction.key")
        known = Known({}, {}, {})
        run = _Run(graph, key, Cache(root), self._known, known, now)
        responders = {}
        for service in graph.services.values():
            loader = _Loader(run, service, self._plugins[service.protocol])
            responders[service.name] = loader.load(turns)
            problems += loader.problems
        protocols = {service.protocol for service in graph.services.values()}
        if not any(problem.severity == "error" for problem in problems):
            self._known = known
            run.cache.sweep()
        # services may share a route file: what is wrong with it is told once
        return Loaded(graph, responders, _in_order(problems), self._version(protocols, known))

    def _version(self, protocols: Iterable[str], known: Known) -> Version:
        how = [_code(self._plugins[protocol]) for protocol in sorted(protocols)]
        what = [(service, list(made.places.items())) for service, made in sorted(known.made.items())]
        return Version(*(sha256(msgspec.msgpack.encode(each)).digest() for each in (how, what)))


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Each once, and those of one file in the order of its lines."""
    files = {name: index for index, name in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(
        dict.fromkeys(problems), key=lambda problem: (files[problem.file], problem.line, problem.column)
    )


def context_of(
    service: Service, plugin: Plugin, token: Callable[[bytes], bytes], schema: Any = None
) -> Context:
    """A service's configuration as its protocol sees it. `ignore: ["!x"]` takes x from the default noise."""
    noise = noise_of(plugin.noise, service.ignore)
    return Context(service.options, noise, token, service.pace, schema, tls=service.tls is not None)


def schema_for(root: Path, service: Service, plugin: Plugin) -> tuple[Any, list[Problem]]:
    """What the messages of a service mean, and what is wrong with the files that should say so."""
    try:
        return schema_of(plugin, service.options, SchemaFolder(root, service.routes)), []
    except Invalid as error:
        at = ".".join(map(str, ("options", *error.at)))
        return None, [Problem(FILE, service.line, 1, f"{service.name}: {at}: {error.why}")]
    except Unreadable as error:
        return None, [Problem(*fault) for fault in error.faults]


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


def _code(plugin: Plugin) -> list[object]:
    """What tells the code that compiles routes of a protocol from other such code."""
    return [CACHE_FORMAT, __version__, plugin.name, _code_of(__name__), _code_of(type(plugin).__module__)]


class _Run(Struct, frozen=True):
    """One load. What `before` has is taken over where it is still right; `known` is for the next one."""

    graph: Graph
    key: bytes | None
    cache: Cache
    before: Known
    known: Known
    now: int


class _Loader:
    """Loads one service."""

    def __init__(self, run: _Run, service: Service, plugin: Plugin) -> None:
        self._run = run
        self._service = service
        self._plugin = plugin
        schema, self.problems = schema_for(Path(run.graph.root), service, plugin)
        self._unreadable = bool(self.problems)
        self._context = context_of(service, plugin, tokenizer(run.key), schema)
        self._salt = msgspec.msgpack.encode(
            [
                *_code(plugin),
                msgspec.to_builtins(service.options),
                self._context.ignore.patterns,
                (run.key or b"").hex(),
                "" if self._context.schema is None else self._context.schema.digest.hex(),
            ]
        )
        self._own: dict[tuple[str, ...], Context] = {}

    def load(self, turns: Turns) -> Responder:
        made = self._unchanged() or self._make()
        self.problems += made.problems
        self._run.known.made[self._service.name] = made
        if made.tokens and self._run.key is None:
            why = "the redaction key is not here: recorded credentials match any credential of their kind"
            self.problems.append(Problem("svcmock.yaml", self._service.line, 1, why, "warning"))
        root = Path(self._run.graph.root)
        return Responder(
            self._service,
            self._plugin,
            made.index,
            lambda file: ProjectFiles(root, file),
            turns,
            redacted=made.tokens,
        )

    def _settings(self) -> tuple[object, ...]:
        """What an index, and what is made of its answers, depends on beside the route files."""
        return self._salt, self._service.policy, self._context.pace

    def _unchanged(self) -> Made | None:
        """What was made the last time, if it would be made again."""
        made = self._run.before.made.get(self._service.name)
        if made is None or made.index.plugin is not self._plugin or made.settings != self._settings():
            return None
        if not all(stored.sound for stored in made.stored):
            return None
        if list(made.places) != [name for name, _ in route_files(self._run.graph, self._service)]:
            return None
        try:
            for name, path in route_files(self._run.graph, self._service):
                if self._place(name, path) != made.places[name]:
                    return None
        except OSError:
            return None
        if any(_look(path) != look for path, look in made.files.items()):
            return None
        for place in made.places.values():
            self._run.cache.use(place)
        for stored in made.stored:
            self._run.known.stored[stored.about.place] = stored
        return made

    def _make(self) -> Made:
        builder = Builder(self._plugin, self._context, self._service.policy, self._service.name)
        made = Made(self._settings(), builder.index)
        # without what messages mean, each route would be said to be wrong
        files = [] if self._unreadable else route_files(self._run.graph, self._service)
        for name, path in files:
            try:
                self._add_file(builder, made, name, path)
            except OSError as error:
                made.problems.append(Problem(name, 1, 1, f"cannot be read: {error.strerror}"))
        builder.build()
        return made

    def _add_file(self, builder: Builder, made: Made, name: str, path: Path) -> None:
        if path.stat().st_size >= PARALLEL_ABOVE:
            stored = self._stored(made, name, path)
            if stored is not None:
                self._add_stored(builder, name, stored)
                made.note(name, stored.about.place, stored.about.files, tokens=stored.about.tokens)
                made.stored.append(stored)
                return
        data = path.read_bytes()
        place = self._place_of(name, data)
        worth = len(data) >= CACHE_ABOVE
        known = self._run.cache.read(place) if worth else None
        if known is None:
            files = ProjectFiles(Path(self._run.graph.root), name)
            known, problems = compile_file(data, name, self._plugin, self.context_for, files)
            made.problems += problems
            if worth and not any(problem.severity == "error" for problem in problems):
                self._run.cache.write(place, known)
        else:
            made.problems += known.warnings
        for entry in known.entries:
            self._add(builder, name, entry)
        made.note(name, place, known.files, tokens=known.tokens)

    def _stored(self, made: Made, name: str, path: Path) -> Stored | None:
        """A large file, compiled and on disk; None where it must be compiled here."""
        place = self._place(name, path)
        stored = self._run.before.stored.get(place) or self._run.known.stored.get(place)
        if stored is None or not stored.sound:
            stored = self._run.cache.open(place)
        if stored is not None and as_they_were(stored.about.files):
            made.problems += stored.about.warnings
        else:
            stored = self._store(made, name)
        if stored is not None:
            self._run.cache.use(stored.about.place)
            self._run.known.stored[stored.about.place] = stored
        return stored

    def _store(self, made: Made, name: str) -> Stored | None:
        try:
            draft = self._run.cache.draft()
        except OSError:
            return None
        options = msgspec.to_builtins(self._context.options)
        salt = self._salt_of(name)
        noise = self._context.ignore.patterns
        root, routes = self._run.graph.root, self._service.routes
        job = Job(root, name, self._plugin.name, options, noise, self._run.key, salt, routes)
        result = None
        try:
            result = compile_stored(job, self._plugin, draft.file)
        except OSError:  # a process that cannot be started is not the route file's fault
            pass
        finally:
            if result is None:
                draft.drop()
                os.close(draft.file)
        if result is None:
            return None
        made.problems += result.problems
        if any(problem.severity == "error" for problem in result.problems):
            draft.drop()
            return open_stored(draft.file, result.place, None)
        return open_stored(draft.file, result.place, draft.keep(result.place))

    def _place(self, name: str, path: Path) -> str:
        """Where what is compiled from a file is kept. Raises OSError."""
        look = _look(path)
        seen = self._run.before.seen.get((self._salt, name))
        if seen is not None and look is not None and seen[0] == look:
            place = seen[1]
        elif look is not None and look.size < CACHE_ABOVE:
            return self._place_of(name, path.read_bytes())
        else:
            with path.open("rb") as file:
                place = place_of(self._salt_of(name), file)
        # a file may change twice in what its file system takes for one moment
        if look is not None and max(look.modified, look.changed) < self._run.now - SETTLED_NS:
            self._run.known.seen[self._salt, name] = look, place
        return place

    def _place_of(self, name: str, data: bytes) -> str:
        return place_of(self._salt_of(name), BytesIO(data))

    def _salt_of(self, name: str) -> bytes:
        return self._salt + name.encode() + b"\0"

    def context_for(self, ignore: tuple[str, ...]) -> Context:
        """The context of a route that declares this noise of its own."""
        if not ignore:
            return self._context
        known = self._own.get(ignore)
        if known is None:
            noise = noise_of(self._context.ignore.patterns, ignore)
            known = self._own[ignore] = msgspec.structs.replace(self._context, ignore=noise)
        return known

    def _add_stored(self, builder: Builder, name: str, stored: Stored) -> None:
        """Routes that are not found by key are taken into memory."""
        first = builder.take_places(stored.rows)
        routes = StoredRoutes(stored, name, first)
        for number, row in stored.others():
            self._add(builder, name, row, first + number)
        if stored.keys:
            builder.add_stored(routes, stored.names, stored.routes)

    def _add(self, builder: Builder, name: str, entry: Compiled, order: int | None = None) -> None:
        answer = entry.answer(name, builder.take_places(1) if order is None else order)
        if entry.key:
            own = self.context_for(entry.ignore) if entry.ignore else None
            builder.add_exact(entry.key, answer, own)
            return
        matcher, _ = compile_match(
            unpacked(entry.match),
            template_field=self._plugin.template_field,
            template_separator=self._plugin.template_separator,
        )
        answer.matcher = matcher
        builder.add_matched(entry.match, answer)
