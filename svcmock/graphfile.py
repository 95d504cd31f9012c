"""Services named on the command line, written into `svcmock.yaml` without touching what stands there.

`NAME:PORT=URL` is all that a first recording needs. What the file already says wins: a service that is there
is left as it is, and one that says otherwise is a conflict, never overwritten.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from svcmock.documents import read
from svcmock.model import FILE
from svcmock.protocol import Doc, Plugin, SvcmockError

_SPEC = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*):(?P<listen>[^=]+)=(?P<url>[a-z][a-z0-9+.-]*://\S+)")


class SpecError(SvcmockError):
    """A service on the command line that cannot be used."""


class Spec(Struct, frozen=True):
    """`NAME:PORT=URL`. `listen` is a port, a host:port or unix:path, as in the graph."""

    name: str
    listen: str
    protocol: str
    url: str


def parse(text: str, plugins: Mapping[str, Plugin]) -> Spec:
    """Read one NAME:PORT=URL. Raises SpecError."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise SpecError(f"{text!r} is not NAME:PORT=URL, like catalog:8081=http://127.0.0.1:8000")
    scheme = found["url"].partition("://")[0]
    for plugin in plugins.values():
        if scheme in plugin.schemes:
            return Spec(found["name"], found["listen"], plugin.name, found["url"])
    known = ", ".join(sorted({scheme for plugin in plugins.values() for scheme in plugin.schemes}))
    raise SpecError(f"{text!r}: no protocol is known for {scheme}:// (known: {known})")


def add(root: Path, specs: Iterable[Spec]) -> list[str]:
    """Add the services that are not there; gives their names. Raises SpecError."""
    path = root / FILE
    text = path.read_text() if path.exists() else "version: 1\nservices:\n"
    there = _services(text, path.name)
    fresh = []
    for spec in specs:
        known = there.get(spec.name)
        if known is None:
            fresh.append(spec)
        elif not isinstance(known, dict) or not _agrees(known, spec):
            raise SpecError(
                f"{path}: service {spec.name} is there and says otherwise; edit it, or pick another name"
            )
    if not fresh:
        return []
    longer = text + ("" if text.endswith("\n") else "\n") + "".join(_written(spec) for spec in fresh)
    if set(_services(longer, path.name)) != {*there, *(spec.name for spec in fresh)}:
        lines = "".join(_written(spec) for spec in fresh)
        raise SpecError(f"{path}: add this below `services:` yourself, it could not be done safely:\n{lines}")
    root.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(longer)
    draft.replace(path)
    return [spec.name for spec in fresh]


def _services(text: str, name: str) -> dict[str, Doc]:
    documents, problems = read(text.encode(), name)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise SpecError(str(errors[0]))
    value = documents[0].value if documents else None
    services = value.get("services") if isinstance(value, dict) else None
    return services if isinstance(services, dict) else {}


def _agrees(known: Mapping[str, Doc], spec: Spec) -> bool:
    listen = str(known.get("listen")).removeprefix("127.0.0.1:")
    return listen == spec.listen.removeprefix("127.0.0.1:") and known.get("upstream") == spec.url


def _written(spec: Spec) -> str:
    return (
        f"  {spec.name}:\n"
        f"    listen: {spec.listen}\n"
        f"    protocol: {spec.protocol}\n"
        f"    upstream: {spec.url}\n"
        f"    routes: recordings/{spec.name}/\n"
    )
