"""Short ways to write tapes and their surroundings in tests."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Invalid
from svcmock_protocols.tcp.tape import TapeOptions, TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_library import Library, Step

Said = tuple[Any, ...]
"""(client, server) or (client, server, {what else}) of one run."""


class Options(Struct, frozen=True):
    """What of a service's options concerns tapes."""

    tape: TapeOptions = TapeOptions()


def token(credential: bytes) -> bytes:
    """A token of the right form, the same for the same letters; a token stays as it is."""
    if re.fullmatch(rb"svcmock-[a-z2-7]{24}", credential):
        return credential
    letters = bytes(ord("a") + byte % 26 for byte in credential)
    return b"svcmock-" + (letters * 24)[:24]


def step(name: str, run: int, client: bytes, server: bytes, more: Mapping[str, Any] | None = None) -> Step:
    """One run of a tape. `more`: ends, mask, thought (the client's pause); then, after (the server's)."""
    more = dict(more or {})
    request = TapeRequest(
        name, run, client, more.pop("ends", False), more.pop("thought", 0.0), more.pop("mask", ())
    )
    return Step("a.yaml", request, TapeReply(server, **more))


def steps(**tapes: Sequence[Said]) -> list[Step]:
    return [step(name, run, *said) for name, runs in tapes.items() for run, said in enumerate(runs, 1)]


def library(resume: Any = "idle", masks: Sequence[str] = (), **tapes: Sequence[Said]) -> Library:
    return Library(steps(**tapes), b"", masks, resume)


def context(schema: Any = None, pace: float = 1.0, **options: Any) -> Context:
    return Context(Options(TapeOptions(**options)), Noise(), token, pace, schema)


def answers(recorded: Iterable[Step], schema: Library) -> Mapping[bytes, TapeReply]:
    """What the engine would answer: replies by the key of their request, the first of several."""
    found: dict[bytes, TapeReply] = {}
    for one in recorded:
        found.setdefault(schema.key(one.request, token), one.reply)
    return found


class Files:
    """Files of a project, by name."""

    def __init__(self, **files: bytes) -> None:
        self._files = {name.replace("__", "/"): data for name, data in files.items()}

    def __call__(self, name: str) -> Blob:
        if name not in self._files:
            raise Invalid((), f"there is no file `{name}`")
        return Blob(name, len(self._files[name]))

    def read(self, blob: Blob) -> bytes:
        return self._files[blob.path]
