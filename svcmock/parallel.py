"""Compiling a large route file: cut between documents, by a process for each core, to a file on disk.

Only files as the recorder writes them are cut, after a line `...`: such a line ends a document wherever it
stands (YAML 1.2.2 section 9.1.2), so no document is ever cut in two. JSON Lines are cut after lines. Pieces are
of bounded size, and compiled by what compiles a whole file. All of it happens in a process of its own, whose
children compile: the memory it takes grows with the number of routes and not with their size, and goes with it.
"""

import gc
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from svcmock.compile import compile_file
from svcmock.documents import MAX_FILE
from svcmock.files import ProjectFiles, SchemaFolder, schema_of
from svcmock.model import Problem
from svcmock.noise import Noise, noise_of
from svcmock.protocol import Context, Plugin
from svcmock.recording import tokenizer
from svcmock.registry import installed
from svcmock.stored import About, Rows, Writer, rows_of
from svcmock.yamlin import MAX_PROBLEMS

PARALLEL_ABOVE = 2 << 20
"""Bytes of a route file above which starting processes is worth their 0.2 s."""
MAX_PROCESSES = 8
MIN_PIECE = 1 << 20
MAX_PIECE = 8 << 20
"""Bytes that one process compiles at once, about; parsing takes some ten times as much memory."""

_BETWEEN = b"\n...\n---\n"
_LINES = (".jsonl", ".ndjson")


class Job(Struct, frozen=True):
    """A route file to compile, and what its compilation depends on. `salt`: all of that but its bytes."""

    root: str
    file: str
    plugin: str
    options: Any
    ignore: tuple[str, ...]
    key: bytes | None
    salt: bytes
    routes: tuple[str, ...] = ()
    """The service's: a schema may lie beside them."""


class Piece(Struct, frozen=True):
    """Some documents of a file; `line` is the number of lines before them."""

    data: bytes
    line: int


class Result(Struct, frozen=True):
    """What compiling gave: the place of what was written, and everything that is wrong with the route file."""

    place: str
    problems: list[Problem]


class Done(Struct, frozen=True):
    """A piece, compiled."""

    rows: Rows
    files: list[tuple[str, int]]
    tokens: bool
    problems: list[Problem]


def place_of(salt: bytes, file: BinaryIO) -> str:
    """Where what is compiled from this file is kept; read to its end."""
    digest = sha256(salt)
    while data := file.read(MIN_PIECE):
        digest.update(data)
    return digest.hexdigest()


def compile_stored(job: Job, plugin: Plugin, into: int) -> Result | None:
    """Compile to the empty file `into`; None where a process failed, or would not know the plugin.

    The plugin must be the installed one of its name: the processes look it up.
    """
    if installed().get(plugin.name) is not plugin:
        return None
    done = subprocess.run(  # noqa: S603  this very module
        [sys.executable, "-m", "svcmock.parallel", str(into)],
        input=msgspec.msgpack.encode(job),
        stdout=subprocess.PIPE,
        pass_fds=(into,),
        check=False,
    )
    if done.returncode:
        return None
    return msgspec.msgpack.decode(done.stdout, type=Result)


def cut(file: BinaryIO, name: str, size: int) -> Iterator[Piece]:
    """All of the file in pieces of about `size` bytes, or more where it cannot be cut."""
    between, end = (b"\n", 1) if name.endswith(_LINES) else (_BETWEEN, len(b"\n...\n"))
    left, line = b"", 0
    while read := file.read(size):
        data = left + read
        at = data.rfind(between, max(0, len(left) - len(between)))
        if at < 0 and len(data) <= MAX_FILE:
            left = data
            continue
        at = at + end if at >= 0 else len(data)  # what is too large is for the reader to refuse
        yield Piece(data[:at], line)
        line += data.count(b"\n", 0, at)
        left = data[at:]
    if left:
        yield Piece(left, line)


def compile_piece(job: Job, piece: Piece, known: Mapping[str, Plugin]) -> Done:
    """What one process does for a piece."""
    plugin = known[job.plugin]
    options = msgspec.convert(job.options, plugin.Options)
    schema = schema_of(plugin, options, SchemaFolder(Path(job.root), job.routes))
    context = Context(options, Noise(job.ignore), tokenizer(job.key), schema=schema)

    def context_for(ignore: tuple[str, ...]) -> Context:
        return replace(context, ignore=noise_of(job.ignore, ignore)) if ignore else context

    files = ProjectFiles(Path(job.root), job.file)
    compiled, problems = compile_file(piece.data, job.file, plugin, context_for, files)
    rows = rows_of([replace(entry, line=entry.line + piece.line) for entry in compiled.entries])
    problems = [replace(problem, line=problem.line + piece.line) for problem in problems]
    return Done(rows, compiled.files, compiled.tokens, problems)


def compile_all(job: Job, into: int) -> Result:
    """What the process for a file does. Raises OSError when something cannot be read or written."""
    path = Path(job.root) / job.file
    processes = min(cpu_count() or 1, MAX_PROCESSES)
    size = min(max(path.stat().st_size // processes, MIN_PIECE), MAX_PIECE)
    digest = sha256(job.salt)
    writer = Writer(into)
    files: dict[str, int] = {}
    problems: list[Problem] = []
    tokens = False
    _children[job.plugin] = installed()[job.plugin]
    with path.open("rb") as file, ProcessPoolExecutor(processes, get_context("fork")) as pool:
        for done in _in_order(pool, job, _hashed(cut(file, job.file, size), digest.update), processes + 1):
            writer.add(done.rows)
            files.update(done.files)
            tokens = tokens or done.tokens
            problems = bounded([*problems, *done.problems])
    warnings = [problem for problem in problems if problem.severity == "warning"]
    place = digest.hexdigest()
    writer.finish(About(place, list(files.items()), tokens, warnings))
    return Result(place, problems)


def bounded(problems: list[Problem]) -> list[Problem]:
    """The first MAX_PROBLEMS errors and as many warnings: no number of warnings hides an error."""
    left = {"error": MAX_PROBLEMS, "warning": MAX_PROBLEMS}
    kept = []
    for problem in problems:
        left[problem.severity] -= 1
        if left[problem.severity] >= 0:
            kept.append(problem)
    return kept


_children: dict[str, Plugin] = {}
"""The protocol of the file, found before the children are forked."""


def _hashed(pieces: Iterator[Piece], update: Any) -> Iterator[Piece]:
    """What is compiled is what is hashed, even if the file changes meanwhile."""
    for piece in pieces:
        update(piece.data)
        yield piece


def _in_order(pool: ProcessPoolExecutor, job: Job, pieces: Iterator[Piece], ahead: int) -> Iterator[Done]:
    """The results in the order of the pieces, of which at most `ahead` are under way."""
    waiting: deque[Future[Done]] = deque()
    for piece in pieces:
        waiting.append(pool.submit(_in_child, job, piece))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _in_child(job: Job, piece: Piece) -> Done:
    return compile_piece(job, piece, _children)


def main() -> None:
    """A job on standard input, its result on standard output; the file to write is a descriptor, named."""
    gc.disable()
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.msgpack.encode(compile_all(job, int(sys.argv[1]))))


if __name__ == "__main__":
    main()
