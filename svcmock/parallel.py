"""Compiling a large route file on several cores: cut between documents, a process for each part.

Only files as the recorder writes them are cut, after a line `...`: such a line ends a document wherever it
stands (YAML 1.2.2 section 9.1.2), so no document is ever cut in two. A part is compiled by what compiles a
whole file; its lines are counted from the file's first. The memory that parsing takes goes with the processes.
"""

import gc
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from svcmock.compile import CompiledFile, compile_file
from svcmock.files import ProjectFiles
from svcmock.model import Problem
from svcmock.noise import Noise, noise_of
from svcmock.protocol import Context, Plugin
from svcmock.recording import tokenizer
from svcmock.registry import plugins

PARALLEL_ABOVE = 2 << 20
"""Bytes of a route file above which starting processes is worth their 0.2 s."""
MAX_PARTS = 8

_BETWEEN = b"\n...\n---\n"


class Part(Struct, frozen=True):
    """The bytes of a file from `start` to `end`; `line` is the number of lines before them."""

    root: str
    file: str
    start: int
    end: int
    line: int
    plugin: str
    options: Any
    ignore: tuple[str, ...]
    key: bytes | None


class Result(Struct, frozen=True):
    """What `compile_file` gave for a part."""

    compiled: CompiledFile
    problems: list[Problem]


def cut(data: bytes, most: int) -> list[tuple[int, int, int]]:
    """Start, end and lines before, of at most `most` parts of about one size, together all of `data`."""
    parts = []
    start = line = 0
    for number in range(1, most + 1):
        between = data.find(_BETWEEN, max(start, len(data) * number // most)) if number < most else -1
        end = len(data) if between < 0 else between + len(b"\n...\n")
        if end > start:
            parts.append((start, end, line))
            line += data.count(b"\n", start, end)
            start = end
    return parts


def compile_parts(
    data: bytes, root: Path, file: str, plugin: Plugin, context: Context, key: bytes | None
) -> Result | None:
    """The whole of `data`, the route file `file`; None where it is small, cannot be cut, or a process failed.

    The plugin must be the installed one of its name: the processes look it up.
    """
    if len(data) < PARALLEL_ABOVE or plugins().get(plugin.name) is not plugin:
        return None
    places = cut(data, min(cpu_count() or 1, MAX_PARTS))
    if len(places) < 2:
        return None
    options = msgspec.to_builtins(context.options)
    parts = [
        Part(str(root), file, start, end, line, plugin.name, options, context.ignore.patterns, key)
        for start, end, line in places
    ]
    with ThreadPoolExecutor(len(parts)) as waiting:
        results = list(waiting.map(_in_process, parts))
    return _joined([result for result in results if result is not None], len(parts))


def _in_process(part: Part) -> Result | None:
    done = subprocess.run(
        [sys.executable, "-m", "svcmock.parallel"],
        input=msgspec.msgpack.encode(part),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        return None
    return msgspec.msgpack.decode(done.stdout, type=Result)


def _joined(results: list[Result], parts: int) -> Result | None:
    if len(results) < parts:
        return None
    files: dict[str, int] = {}
    for result in results:
        files.update(result.compiled.files)
    compiled = CompiledFile(
        [entry for result in results for entry in result.compiled.entries],
        list(files.items()),
        any(result.compiled.tokens for result in results),
        [problem for result in results for problem in result.compiled.warnings],
    )
    return Result(compiled, [problem for result in results for problem in result.problems])


def compile_part(part: Part, known: Mapping[str, Plugin]) -> Result:
    """What one process does."""
    root = Path(part.root)
    with (root / part.file).open("rb") as file:
        file.seek(part.start)
        data = file.read(part.end - part.start)
    plugin = known[part.plugin]
    options = msgspec.convert(part.options, plugin.Options)
    context = Context(options, Noise(part.ignore), tokenizer(part.key))

    def context_for(ignore: tuple[str, ...]) -> Context:
        return replace(context, ignore=noise_of(part.ignore, ignore)) if ignore else context

    compiled, problems = compile_file(data, part.file, plugin, context_for, ProjectFiles(root, part.file))

    def moved(problem: Problem) -> Problem:
        return replace(problem, line=problem.line + part.line)

    entries = [replace(entry, line=entry.line + part.line) for entry in compiled.entries]
    warnings = [moved(problem) for problem in compiled.warnings]
    return Result(
        replace(compiled, entries=entries, warnings=warnings), [moved(problem) for problem in problems]
    )


def main() -> None:
    """A part on standard input, its result on standard output."""
    gc.disable()
    part = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Part)
    sys.stdout.buffer.write(msgspec.msgpack.encode(compile_part(part, plugins())))


if __name__ == "__main__":
    main()
