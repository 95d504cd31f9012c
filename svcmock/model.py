"""The graph of services and their routes, as frozen values.

What `svcmock.config` reads and everything above works on. Field names are the YAML's; every rule that
needs no other field stands beside its field.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from svcmock.protocol import Doc

FILE = "svcmock.yaml"
"""The file in a project's folder that makes it one."""

Policy: TypeAlias = Literal["sequence", "cycle", "once", "random"]
"""How several answers recorded for one request follow each other; `sequence`: in order, the last sticks."""


class Problem(Struct, frozen=True):
    """Something wrong in a file a person wrote. `warning`s do not keep the project from serving."""

    file: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.message}"


class Tcp(Struct, frozen=True):
    """A TCP address to listen on. Port 0: the system picks one, and `svcmock status` reports it."""

    host: str
    port: Annotated[int, Meta(ge=0, le=65535)]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unix(Struct, frozen=True):
    """A unix socket to listen on; `path` is absolute."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address: TypeAlias = Tcp | Unix


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """`auto` mints a leaf per SNI name from the project's CA; else `cert` and `key` name PEM files.

    `client_ca` asks clients for a certificate that this CA signed; `client: required` refuses those
    without one, `optional` takes them. `plain: false` refuses clients that do not speak TLS.
    """

    auto: bool = False
    cert: str | None = None
    key: str | None = None
    client_ca: str | None = None
    client: Literal["required", "optional"] | None = None
    plain: bool = True


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one service bears. Times in seconds, sizes in bytes.

    `idle`: a client that makes no progress inside a message, or does not read, is told so and closed
    (nginx waits 60 s in both cases). `connections`: beyond it, new ones are closed, and counted as refused.
    `drain`: how long a stopping daemon waits for answers that are under way.
    """

    connections: Annotated[int, Meta(ge=1)] = 10_000
    idle: Annotated[float, Meta(gt=0)] = 60.0
    drain: Annotated[float, Meta(ge=0)] = 5.0


class Service(Struct, frozen=True):
    """One dependency: where it listens, what it speaks, where its routes are."""

    name: str
    listen: Address
    protocol: str = "http"
    options: object = None
    upstream: str | None = None
    preserve_host: bool = False
    upstream_verify: bool = True
    routes: tuple[str, ...] = ()
    tls: Tls | None = None
    ignore: tuple[str, ...] = ()
    policy: Policy = "sequence"
    seed: int = 0
    pace: float = 1.0
    limits: Limits = Limits()
    line: int = 1
    upstream_password_env: str | None = None


class Admin(Struct, frozen=True):
    """The control API. TCP only with a token: the name of a file that holds it, mode 0600."""

    listen: Address
    token_file: str | None = None


class Graph(Struct, frozen=True):
    """A project: its folder (absolute), its services by name, its control API."""

    root: str
    services: dict[str, Service]
    admin: Admin


def rfc3339(at: float) -> str:
    """Seconds since the epoch as `2026-11-23T03:22:10.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Recorded(Struct, frozen=True, omit_defaults=True):
    """Where an exchange came from. `at`: RFC 3339, UTC; `took`: to the reply's first byte, `1.9ms`."""

    at: str = ""
    took: str = ""
    connection: int = 0


class RouteDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One document of a route file. Without `match`, the exact key of `request` decides."""

    respond: Doc
    request: Doc = None
    match: Doc = None
    recorded: Recorded | None = None
    name: str | None = None
    policy: Policy | None = None
    ignore: tuple[str, ...] = ()
    delay: str | float | None = None
    template: bool = False
