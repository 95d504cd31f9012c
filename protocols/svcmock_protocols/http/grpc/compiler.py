"""Descriptor sets out of .proto sources: protoc, as grpcio-tools brings it along, in a process of its own.

The sources come as bytes and go into a private folder, so that protoc sees them, what it has built in
(google/protobuf), and the packages installed beside it (googleapis: google/rpc, google/api), nothing else. An
error is told for each place in a source.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct

from svcmock.protocol import SvcmockError

TIMEOUT: Final = 60.0
"""Seconds."""
MAX_FILES: Final = 10_000
MAX_SIZE: Final = 64 * 1024 * 1024
"""Bytes of all sources together, and of the set."""
_MAX_SHOWN: Final = 200
"""Errors told."""

_SOURCES: Final = "sources"

_PLACED: Final = re.compile(r"(.+?):(\d+):(\d+): (.*)")
_UNPLACED: Final = re.compile(r"(\S+\.proto): (.*)")
_TOKEN: Final = re.compile(
    rb'//[^\n]*|/\*.*?(?:\*/|\Z)|\bimport\s+(?:(?:public|weak|option)\s+)?["\']([^"\'\n]+)["\']\s*;'
    rb'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
    re.DOTALL,
)


class Mistake(Struct, frozen=True):
    """One error of protoc. Line and column count from 1; they are 0 where the whole file is meant."""

    file: str
    line: int
    column: int
    why: str


class CompileError(SvcmockError):
    """The sources do not compile."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        first = self.mistakes[0]
        place = (
            f"{first.file}:{first.line}:{first.column}: "
            if first.line
            else f"{first.file}: " * bool(first.file)
        )
        super().__init__(place + first.why)


def compile_protos(files: Mapping[str, bytes], wanted: Iterable[str]) -> bytes:
    """The serialized FileDescriptorSet of the `wanted` files and all that they import, in that order.

    The names in `files` are those by which sources import each other. Raises CompileError.
    """
    names = sorted(set(wanted))
    mistakes = list(_unfit(files, names))
    if mistakes:
        raise CompileError(mistakes)
    with tempfile.TemporaryDirectory(prefix="svcmock-protoc-") as folder:
        root = Path(folder) / _SOURCES
        root.mkdir()
        for name, data in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return _run(Path(folder), names)


def _unfit(files: Mapping[str, bytes], wanted: list[str]) -> Iterator[Mistake]:
    if not wanted:
        yield Mistake("", 0, 0, "there is no .proto file to compile")
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_SIZE:
        yield Mistake("", 0, 0, f"more than {MAX_FILES} files or {MAX_SIZE} bytes of sources")
    for name in files:
        if not _is_inside(name):
            yield Mistake(name, 0, 0, "a source is named by a relative path that ends in .proto")
        elif not {str(parent) for parent in PurePosixPath(name).parents}.isdisjoint(files):
            yield Mistake(name, 0, 0, "a source lies inside of what is another source")
    for name in wanted:
        if name not in files:
            yield Mistake(name, 0, 0, "this file is not there")


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and ":" not in name and not name.startswith(("-", "@"))
    return plain and name.endswith(".proto") and not {"", ".", ".."}.intersection(parts)


def _run(folder: Path, names: list[str]) -> bytes:
    made = folder / "set"
    listing = folder / "arguments"
    arguments = ["-I.", *(f"-I{root}" for root in _installed())]
    arguments += ["--include_imports", "--include_source_info", f"--descriptor_set_out={made}", *names]
    # in a file, for a command line has a limit; one argument a line
    listing.write_text("".join(f"{argument}\n" for argument in arguments), encoding="utf-8")
    # -P: what lies in the working directory must not be taken for Python's own modules
    command = [sys.executable, "-P", "-m", "grpc_tools.protoc", f"@{listing}"]
    try:
        done = subprocess.run(  # noqa: S603  nothing here is a shell's
            command,
            cwd=folder / _SOURCES,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CompileError([Mistake("", 0, 0, f"protoc was not done after {TIMEOUT:.0f} s")]) from None
    if done.returncode or not made.exists():
        raise CompileError(_mistakes(done.stderr.decode(errors="replace")))
    if made.stat().st_size > MAX_SIZE:
        raise CompileError([Mistake("", 0, 0, f"the descriptor set has more than {MAX_SIZE} bytes")])
    return made.read_bytes()


def _installed() -> list[str]:
    """Where google/rpc and its like lie, if googleapis-common-protos is installed."""
    spec = find_spec("google.rpc")
    places = spec.submodule_search_locations if spec is not None else None
    return [os.fspath(Path(place).parents[1]) for place in places or ()]


def _mistakes(output: str) -> list[Mistake]:
    """What protoc printed; places first, for a file that is missing is told twice, first without its place."""
    placed: list[Mistake] = []
    others: list[Mistake] = []
    for line in output.splitlines():
        if match := _PLACED.fullmatch(line):
            file, row, column, why = match.groups()
            if not why.startswith("warning: "):
                placed.append(Mistake(file, int(row), int(column), why))
        elif match := _UNPLACED.fullmatch(line):
            if not match[2].startswith("warning: "):
                others.append(Mistake(match[1], 0, 0, match[2]))
        elif line.strip():
            others.append(Mistake("", 0, 0, line.strip()))
    return [*placed, *others][:_MAX_SHOWN] or [Mistake("", 0, 0, "protoc failed without a word")]


# --- names --------------------------------------------------------------------------------------------


def imports(source: bytes) -> list[str]:
    """What a .proto file imports, comments left out."""
    found = (match[1] for match in _TOKEN.finditer(source) if match[1])
    return [name.decode(errors="replace") for name in found]


def choose_names(files: Mapping[str, bytes]) -> dict[str, str]:
    """For each path in a folder, the name by which others import the file.

    `protos/shop/catalog.proto` is `shop/catalog.proto` if that is how it is imported. A file that nobody
    imports is named from the root where its own imports are, else from a root that others have, else by its
    path. Raises CompileError where two files would have to have the same name.
    """
    roots: dict[str, Counter[str]] = {path: Counter() for path in files}
    own: dict[str, Counter[str]] = {path: Counter() for path in files}
    by_base: dict[str, list[str]] = {}
    for path in files:
        by_base.setdefault(path.rpartition("/")[2], []).append(path)
    for importer, source in files.items():
        for name in imports(source):
            found = _nearest(importer, name, by_base.get(name.rpartition("/")[2], ()))
            if found is not None:
                root = found.removesuffix(name)
                roots[found][root] += 1
                own[importer][root] += importer.startswith(root)
    everywhere = sum(roots.values(), Counter())
    made: dict[str, str] = {}
    taken: dict[str, str] = {}
    for path in sorted(files, key=lambda path: (not roots[path], path)):
        shared = Counter(root for root in everywhere if path.startswith(root))
        votes = roots[path] or +own[path] or shared
        name = path[len(_favourite(votes, everywhere)) :]
        if name not in taken:
            taken[name] = path
        elif roots[path]:
            why = f"others import this file as {name}, and {taken[name]} too: compile their folders apart"
            raise CompileError([Mistake(path, 0, 0, why)])
        else:
            name = path
        made[path] = name
    return made


def _favourite(votes: Counter[str], everywhere: Counter[str]) -> str:
    return max(votes, key=lambda root: (votes[root], everywhere[root], len(root)), default="")


def _nearest(importer: str, name: str, paths: Iterable[str]) -> str | None:
    """Of several files that end in the imported name, the one that shares most of the importer's folders."""
    fitting = [path for path in paths if path == name or path.endswith(f"/{name}")]
    return max(fitting, key=lambda path: (_shared(path, importer), -len(path), path), default=None)


def _shared(one: str, other: str) -> int:
    """How many folders two paths share."""
    folders = zip(one.split("/")[:-1], other.split("/")[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], folders))
