"""What is known of a recorded server: what it said of itself when a client logged in, and the types it has.

Kept by the recorder beside the recordings, as one JSON object: parameters by their names, under `type 16385`
what the type with this oid is. So the mock says the same, and knows in which formats values may be had.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.protocol import Doc, Fact, Invalid
from svcmock_protocols.postgres.types import BUILT_IN, Types
from svcmock_protocols.postgres.types.declared import MAX_DECLARED, Declared

DEFAULTS: Final[Mapping[str, str]] = {
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "is_superuser": "off",
    "application_name": "",
    "default_transaction_read_only": "off",
    "scram_iterations": "4096",
    "DateStyle": "ISO, MDY",
    "standard_conforming_strings": "on",
    "session_authorization": "",
    "client_encoding": "UTF8",
    "server_version": "17.0",
    "server_encoding": "UTF8",
}
"""What is said where nothing was recorded."""
OF_THE_CLIENT: Final = frozenset({"application_name", "session_authorization", "client_encoding"})
"""Parameters that tell of a client, not of the server. `is_superuser` is kept: pg_dump goes by it."""
_UNNAMED: Final = frozenset({"user", "database", "options", "replication", "client_encoding"})


_TYPE: Final = "type "


class Facts(Struct, frozen=True):
    """What is known of the server. `digest` tells one from another."""

    parameters: tuple[tuple[str, str], ...] = ()
    digest: bytes = b""
    types: Types = BUILT_IN


def types_of(schema: object) -> Types:
    """The types of a service, by the `schema` of its context."""
    return schema.types if isinstance(schema, Facts) else BUILT_IN


def type_fact(one: Declared) -> Fact:
    """A type, as a recorder has it written down."""
    doc: Doc = msgspec.to_builtins(one)
    return Fact(f"{_TYPE}{one.oid}", doc)


def facts(folder: Folder, declared: Iterable[Declared] = ()) -> Facts:
    """Those of the project's first file of facts, and what the user has `declared`. Raises Invalid."""
    found = _written(folder)
    own = tuple(declared)
    if not own:
        return found
    known = {**found.types.declared, **{one.oid: one for one in own}}
    digest = blake2b(msgspec.json.encode(own), digest_size=16, key=found.digest).digest()
    return Facts(found.parameters, digest, Types(known.values()))


def _written(folder: Folder) -> Facts:
    for name in folder.beside(".facts"):
        data = folder.read(name)
        try:
            found = json.loads(data)
        except ValueError as error:
            raise Invalid((), f"{name} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise Invalid((), f"{name} is no JSON object")
        pairs = tuple((key, value) for key, value in found.items() if isinstance(value, str))
        types = [_declared(name, key, value) for key, value in found.items() if key.startswith(_TYPE)]
        if len(types) > MAX_DECLARED:
            raise Invalid((), f"{name} has more than {MAX_DECLARED} types")
        return Facts(pairs, blake2b(data, digest_size=16).digest(), Types(types))
    return Facts()


def _declared(file: str, key: str, value: Any) -> Declared:
    try:
        return msgspec.convert(value, Declared)
    except msgspec.ValidationError as error:
        raise Invalid((), f"{file}: `{key}` is no type: {error}") from None


def parameters(known: object, startup: Mapping[str, str]) -> dict[str, str]:
    """What the server reports to a client that started up so. Only UTF-8 is spoken."""
    recorded = dict(known.parameters) if isinstance(known, Facts) else {}
    made = {**DEFAULTS, **recorded, "client_encoding": "UTF8", "session_authorization": startup.get("user", "")}
    spelled = {name.lower(): name for name in made}
    for name, value in {**_options(startup.get("options", "")), **startup}.items():
        if name.lower() in spelled and name not in _UNNAMED:
            made[spelled[name.lower()]] = value
    if ", " not in made["DateStyle"]:
        made["DateStyle"] += ", MDY"
    return made


def _options(text: str) -> dict[str, str]:
    """The settings of the startup parameter `options`: `-c name=value` and `--name=value`."""
    found = {}
    words = text.replace("\\ ", "\0").split()
    for number, word in enumerate(words):
        if word == "-c" and number + 1 < len(words):
            setting = words[number + 1]
        elif word.startswith("-c") and len(word) > 2:
            setting = word[2:]
        elif word.startswith("--"):
            setting = word[2:].replace("-", "_")
        else:
            continue
        name, _, value = setting.partition("=")
        found[name] = value.replace("\0", " ")
    return found
