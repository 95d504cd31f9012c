"""What the messages of a service mean: its .proto sources, its descriptor sets, what was recorded of it.

A recorder saves what a server's reflection told beside the recordings, as `.binpb`; those count without being
named anywhere. What the options name goes first: a recorded set that contradicts it is left out. Sources may
import each other; what they import is looked for in all folders above them, and google's own is brought along.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from svcmock.capabilities import Folder, Unreadable
from svcmock.protocol import Invalid
from svcmock_protocols.http import messages
from svcmock_protocols.http.grpc import compiler
from svcmock_protocols.http.grpc.schema import Schema
from svcmock_protocols.http.messages import Options

SUFFIX: Final = ".binpb"
"""A serialized google.protobuf.FileDescriptorSet."""
_PROTO: Final = ".proto"
_MAX_IMPORTED: Final = 10_000
_REMEMBERED: Final = 16
"""Compilations that are remembered, by the sources that they are of."""


def schema(options: Options, folder: Folder) -> Schema | None:
    """The schema of a service; None where no file says anything. Raises Invalid and Unreadable."""
    sets: list[tuple[str, bytes]] = []
    protos = _found(options.proto, folder, _PROTO, "proto")
    if protos:
        sets.append(("", _compiled(protos, folder)))
    named = _found(options.descriptor_set, folder, "", "descriptor_set")
    sets += [(name, folder.read(name)) for name in named]
    told = _linked(sets)
    recorded = [name for name in folder.beside(SUFFIX) if name not in named]
    return _with_recorded(told, sets, [(name, folder.read(name)) for name in recorded])


def _found(patterns: str | tuple[str, ...], folder: Folder, suffix: str, option: str) -> list[str]:
    made: list[str] = []
    for i, pattern in enumerate(messages.patterns(patterns)):
        at: tuple[str | int, ...] = (option,) if isinstance(patterns, str) else (option, i)
        try:
            names = [name for name in folder.find(pattern) if name == pattern or name.endswith(suffix)]
        except Invalid as error:
            raise Invalid(at, error.why) from None
        if not names:
            raise Invalid(at, f"`{pattern}`: there is no {suffix or 'such'} file")
        made += [name for name in names if name not in made]
    return made


def _linked(sets: Sequence[tuple[str, bytes]]) -> Schema | None:
    if not sets:
        return None
    try:
        return Schema.of([data for _, data in sets])
    except Invalid as error:
        place = error.at[0] if error.at and isinstance(error.at[0], int) else 0
        file = sets[place][0] if place < len(sets) else ""
        raise Unreadable([(file or sets[-1][0], 0, 0, error.why)]) from None


def _with_recorded(
    told: Schema | None, sets: Sequence[tuple[str, bytes]], recorded: Sequence[tuple[str, bytes]]
) -> Schema | None:
    if not recorded:
        return told
    if told is None:
        return _linked(recorded)
    kept = list(sets)
    for one in recorded:
        try:
            told = Schema.of([data for _, data in (*kept, one)])
        except Invalid:
            continue
        kept.append(one)
    return told


# --- sources ------------------------------------------------------------------------------------------


def _compiled(protos: Sequence[str], folder: Folder) -> bytes:
    """The descriptor set of these sources. Raises Unreadable."""
    sources = {name: folder.read(name) for name in protos}
    _add_imported(sources, folder)
    names = compiler.choose_names(sources)
    paths = {name: path for path, name in names.items()}
    files = tuple(sorted((names[path], data) for path, data in sources.items()))
    try:
        return _set_of(files, tuple(names[path] for path in protos))
    except compiler.CompileError as error:
        faults = [(paths.get(one.file, one.file), one.line, one.column, one.why) for one in error.mistakes]
        raise Unreadable(faults) from None


@lru_cache(maxsize=_REMEMBERED)
def _set_of(files: tuple[tuple[str, bytes], ...], wanted: tuple[str, ...]) -> bytes:
    """Remembered: services share sources, and a reload seldom changes them. Raises CompileError."""
    return compiler.compile_protos(dict(files), wanted)


def _add_imported(sources: dict[str, bytes], folder: Folder) -> None:
    """Add what sources import and nobody named, where it lies below a folder above them."""
    waiting = list(sources)
    while waiting and len(sources) < _MAX_IMPORTED:
        importer = waiting.pop()
        for name in compiler.imports(sources[importer]):
            if any(path == name or path.endswith(f"/{name}") for path in sources):
                continue
            found = _above(importer, name, folder)
            if found is not None:
                sources[found] = folder.read(found)
                waiting.append(found)


def _above(importer: str, name: str, folder: Folder) -> str | None:
    if not name.endswith(_PROTO) or "*" in name or ".." in name.split("/"):
        return None
    steps = importer.split("/")[:-1]
    for depth in range(len(steps), -1, -1):
        path = "/".join([*steps[:depth], name])
        try:
            return path if path in folder.find(path) else None
        except Invalid:
            continue
    return None
