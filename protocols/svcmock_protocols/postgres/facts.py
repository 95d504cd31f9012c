"""What a recorded server said of itself when a client logged in, so that the mock says the same.

Kept by the recorder beside the recordings, as one JSON object of parameters.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.protocol import Invalid

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
OF_THE_CLIENT: Final = frozenset(
    {"application_name", "session_authorization", "client_encoding", "is_superuser"}
)
"""Parameters that tell of a client, not of the server."""
_UNNAMED: Final = frozenset({"user", "database", "options", "replication", "client_encoding"})


class Facts(Struct, frozen=True):
    """What is known of the server. `digest` tells one from another."""

    parameters: tuple[tuple[str, str], ...] = ()
    digest: bytes = b""


def facts(folder: Folder) -> Facts:
    """Those of the project's files; the first file counts. Raises Invalid."""
    for name in folder.beside(".facts"):
        data = folder.read(name)
        try:
            found = json.loads(data)
        except ValueError as error:
            raise Invalid((), f"{name} is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise Invalid((), f"{name} is no JSON object")
        pairs = tuple((key, value) for key, value in found.items() if isinstance(value, str))
        return Facts(pairs, blake2b(data, digest_size=16).digest())
    return Facts()


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
