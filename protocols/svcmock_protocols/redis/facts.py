"""What is known of the real server: what it says of itself in its answer to HELLO.

A recorder keeps that beside the recordings, and a session answers HELLO with it, so that a client which looks
at the version sees the one that it was recorded with.
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
_KEPT: Final = ("server", "version", "mode", "role")


class Facts(Struct, frozen=True):
    """The server's name, version, mode and role. `digest` tells one from another."""

    server: str = "redis"
    version: str = VERSION
    mode: str = "standalone"
    role: str = "master"
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
        known = said.get(NAME) if isinstance(said, dict) else None
        if isinstance(known, dict):
            made = _made(known, hashlib.sha256(data).digest())
    return made


def _made(known: Mapping[str, Doc], digest: bytes) -> Facts:
    told = {name: known[name] for name in _KEPT if isinstance(known.get(name), str)}
    return Facts(**told, digest=digest)
