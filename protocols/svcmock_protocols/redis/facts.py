"""What is known of the real server: what it says of itself in its answer to HELLO.

A recorder keeps that beside the recordings, and a session answers HELLO with it, so that a client which looks
at the version sees the one that it was recorded with. It also notes that some client had the server track what
it reads, so that a service whose clients do not need that has no cost of it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.protocol import FACTS, Doc, Fact, Invalid
from svcmock_protocols.redis.messages import Array, Map, Value

NAME: Final = "redis"
"""Of the fact."""
VERSION: Final = "7.4.0"
"""What a server is that nobody recorded."""
TEXT_MAX: Final = 100
"""Characters of what a server says of itself."""
TRACKING: Final = Fact("redis.tracking", True)
"""A client asked for it, and the server agreed."""
_KEPT: Final = ("server", "version", "mode", "role")


class Facts(Struct, frozen=True):
    """The server's name, version, mode and role; whether it tracked keys. `digest` tells one from another."""

    server: str = "redis"
    version: str = VERSION
    mode: str = "standalone"
    role: str = "master"
    tracking: bool = False
    digest: bytes = b""


def fact(reply: Value) -> Fact | None:
    """What an answer to HELLO tells of the server."""
    if isinstance(reply, Array):
        pairs = tuple(zip(reply.items[::2], reply.items[1::2], strict=False))
    elif isinstance(reply, Map):
        pairs = reply.pairs
    else:
        return None
    told = {
        _text(name): _text(item) for name, item in pairs if isinstance(name, bytes) and isinstance(item, bytes)
    }
    kept = {name: told[name] for name in _KEPT if name in told}
    return Fact(NAME, kept) if kept else None


def _text(data: bytes) -> str:
    return data[:TEXT_MAX].decode("utf-8", "backslashreplace")


def facts(folder: Folder) -> Facts:
    """What was recorded of the server, by the latest recorder; the usual where nothing was. Raises Invalid."""
    made = Facts()
    for name in folder.beside("." + FACTS.rpartition(".")[2]):
        if name.rpartition("/")[2] != FACTS:
            continue
        data = folder.read(name)
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            raise Invalid((), f"{name} is no JSON: remove it, or record again") from None
        if isinstance(said, dict):
            made = _made(said, hashlib.sha256(data).digest())
    return made


def _made(said: Mapping[str, Doc], digest: bytes) -> Facts:
    known = said.get(NAME)
    known = known if isinstance(known, dict) else {}
    told = {name: known[name] for name in _KEPT if isinstance(known.get(name), str)}
    tracking = said.get(TRACKING.name) is True
    return Facts(**told, tracking=tracking, digest=digest) if told or tracking else Facts()
