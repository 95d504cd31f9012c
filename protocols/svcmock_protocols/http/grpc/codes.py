"""The status codes of gRPC: their names, and what a bare HTTP status means to a gRPC client.

Names and numbers as in grpc/doc/statuscodes.md, the mapping as in grpc/doc/http-grpc-status-mapping.md. A
number that has no name is still a status: a server may send it, so a recording may hold it.
"""

from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from svcmock.protocol import Doc, Invalid

OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9
ABORTED: Final = 10
OUT_OF_RANGE: Final = 11
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16

NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By number."""
NUMBERS: Final = MappingProxyType({name: number for number, name in enumerate(NAMES)})
MAX_CODE: Final = 2**31 - 1

_FROM_HTTP: Final = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}


def show(code: int) -> str | int:
    """The code as a route file has it: by name, or the number where it has none."""
    return NAMES[code] if 0 <= code < len(NAMES) else code


def from_http(status: int) -> int:
    """What a client makes of a response that has no grpc-status."""
    return _FROM_HTTP.get(status, UNKNOWN)


def parse(doc: Doc, *at: str | int) -> int:
    """The code that a name (in any case) or a number stands for. Raises Invalid."""
    if isinstance(doc, int) and not isinstance(doc, bool):
        return _number(doc, at)
    if not isinstance(doc, str):
        raise Invalid(at, f"expected a status such as NOT_FOUND or 5, got {type(doc).__name__}")
    text = doc.strip()
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return _number(int(text), at)
    name = text.upper().replace("-", "_").replace(" ", "_")
    # protobuf's google.rpc.Code and all but one library have two Ls; that one is Go's Canceled
    found = NUMBERS.get("CANCELLED" if name == "CANCELED" else name)
    if found is None:
        near = get_close_matches(name[:40], NAMES, 1)
        hint = f"; did you mean {near[0]}?" if near else f": one of {', '.join(NAMES)}"
        raise Invalid(at, f"no gRPC status {doc[:40]!r}{hint}")
    return found


def _number(value: int, at: tuple[str | int, ...]) -> int:
    if not 0 <= value <= MAX_CODE:
        raise Invalid(at, "a gRPC status is a number from 0 (OK) to 16 (UNAUTHENTICATED)")
    return value
