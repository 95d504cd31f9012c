"""The tapes that stand in a service's route files, all of them, as a session must know them.

Where a client's run ends is known by all tapes together, and a route answers for one run. So route files are
read here a second time, for nothing but their runs. What is wrong with them is told where routes are compiled;
here it is passed over.
"""

import json
import posixpath
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from svcmock.capabilities import Folder
from svcmock.protocol import Blob, Invalid
from svcmock_protocols.tcp import tape_yaml
from svcmock_protocols.tcp.tape import TapeOptions
from svcmock_protocols.tcp.tape_documents import TapeReplyDoc, TapeRequestDoc, answer_of, run_of
from svcmock_protocols.tcp.tape_library import Library, Step

_LINES: Final = (".jsonl", ".ndjson")
_REMEMBERED: Final = 64
"""Files whose documents are remembered by their bytes: a reload seldom changes more than one."""
_LIBRARIES: Final = 8
"""Libraries that are remembered: that of a service which did not change is not made again."""

_libraries: dict[bytes, Library] = {}


def library(options: TapeOptions, folder: Folder) -> Library:
    """The tapes beside a service's routes."""
    digest = blake2b(msgspec.json.encode(options), digest_size=16)
    found: list[Step] = []
    for name, data in _files_with_tapes(folder):
        files = _Files(folder, posixpath.dirname(name))
        found += _steps(name, data, files)
        for part in (name.encode(), data, *files.seen):
            digest.update(b"%d %b" % (len(part), part))
    known = _libraries.get(digest.digest())
    if known is None:
        if len(_libraries) >= _LIBRARIES:
            _libraries.clear()
        # what is redacted in one of two equal runs is no difference
        masks = (*options.mask, *options.redact)
        known = _libraries[digest.digest()] = Library(found, digest.digest(), masks, options.resume)
    return known


def steps(folder: Folder) -> Iterator[Step]:
    """All runs that stand beside a service's routes, file by file."""
    for name, data in _files_with_tapes(folder):
        yield from _steps(name, data, _Files(folder, posixpath.dirname(name)))


def _files_with_tapes(folder: Folder) -> Iterator[tuple[str, bytes]]:
    for name in folder.routes():
        data = folder.read(name)
        if b"tape" in data:
            yield name, data


def _steps(name: str, data: bytes, files: "_Files") -> Iterator[Step]:
    for asked, answer in _documents(data, name[name.rfind(".") :]):
        try:
            run, reply = run_of(asked, files), answer_of(answer, files)
        except Invalid:
            continue
        yield Step(name, run, reply)


@lru_cache(maxsize=_REMEMBERED)
def _documents(data: bytes, ending: str) -> tuple[tuple[TapeRequestDoc, TapeReplyDoc], ...]:
    """The runs of a file, one by one, as far as it can be read."""
    made = []
    for route in _routes(data, ending):
        asked, answer = _tape(route, "request"), _tape(route, "respond")
        if asked is None or answer is None:
            continue
        try:
            run = msgspec.convert(asked, TapeRequestDoc, strict=False)
            made.append((run, msgspec.convert(answer, TapeReplyDoc, strict=False)))
        except msgspec.ValidationError:
            continue
    return tuple(made)


def _routes(data: bytes, ending: str) -> list[Any]:
    try:
        text = data.decode("utf-8-sig")
        if ending in _LINES:
            found = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            found = [json.loads(text)] if ending == ".json" else tape_yaml.read(text)
    except (ValueError, RecursionError):
        return []
    return [route for value in found for route in (value if isinstance(value, list) else [value])]


def _tape(value: Any, half: str) -> Any:
    part = value.get(half) if isinstance(value, dict) else None
    return part.get("tape") if isinstance(part, dict) else None


class _Files:
    """What route files in a folder refer to; `seen`: what it held."""

    def __init__(self, folder: Folder, place: str) -> None:
        self._folder = folder
        self._place = place
        self.seen: list[bytes] = []

    def __call__(self, name: str) -> Blob:
        path = posixpath.normpath(posixpath.join(self._place, name))
        return Blob(path, len(self._folder.read(path)))

    def read(self, blob: Blob) -> bytes:
        data = self._folder.read(blob.path)
        self.seen.append(data)
        return data
