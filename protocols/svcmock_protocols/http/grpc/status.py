"""The status of a call as a route file has it, and as the lines that end a reply.

    status: NOT_FOUND
    status: none                                # a reply that ends without one, or with what is none
    status: {code: NOT_FOUND, message: no item 43, details: [{"@type": ...google.rpc.ErrorInfo, reason: GONE}]}

`details` become grpc-status-details-bin: a google.rpc.Status with the code and the message once more. A detail
of a type that is known here, or to the service's schema, is written by its fields; any other is `{type_url,
value}`. A line that this would not give again, byte for byte, is kept among the trailers and stands for itself.
"""

from typing import Any, Final

from msgspec import Struct

from svcmock.protocol import Doc, Invalid
from svcmock_protocols.http.codec import values
from svcmock_protocols.http.grpc import codes, rpc, tree
from svcmock_protocols.http.grpc.heads import Implied, holds
from svcmock_protocols.http.grpc.metadata import decode_bin, decode_text, encode_bin, encode_text
from svcmock_protocols.http.lines import value_bytes

CODE: Final = "grpc-status"
MESSAGE: Final = "grpc-message"
DETAILS: Final = "grpc-status-details-bin"
LINES: Final = (CODE, MESSAGE, DETAILS)
END: Final = "end"
"""What a document calls the part of a conversation in which the client has said all."""
NONE: Final = "none"
_NO_CODE: Final = -1
_MEMBERS: Final = frozenset({"code", "message", "details", "on"})


class Status(Struct, frozen=True):
    """A status as it is written: `message` and `details` are None where the reply has no line for them.

    `code` is negative in a reply without a status.
    """

    code: int = codes.OK
    message: str | None = None
    details: bytes | None = None
    on: Doc = None


def read(doc: Doc, schema: Any, *at: str | int) -> Status:
    """The status that a document stands for. Raises Invalid."""
    if isinstance(doc, str):
        return Status(_code(doc, at))
    if not isinstance(doc, dict):
        raise Invalid(at, "expected the name of a gRPC status, or a mapping with code, message, details and on")
    unknown = sorted(doc.keys() - _MEMBERS)
    if unknown:
        raise Invalid(
            (*at, unknown[0]), f"unknown key `{unknown[0]}`; known here: {', '.join(sorted(_MEMBERS))}"
        )
    code = _code(doc.get("code", codes.NAMES[codes.OK]), (*at, "code"))
    message = doc.get("message")
    if message is not None:
        message = value_bytes(message, (*at, "message")).decode()
    details = None
    if doc.get("details") is not None:
        details = rpc.status(code, message or "", _details(doc["details"], schema, (*at, "details")))
    return Status(code, message, details, doc.get("on"))


def _code(doc: Doc, at: tuple[str | int, ...]) -> int:
    if doc == NONE:
        return _NO_CODE
    if isinstance(doc, str) and doc[:1].isdigit():
        raise Invalid(
            at, f"expected the name of a gRPC status, such as {codes.NAMES[codes.NOT_FOUND]}, got {doc[:40]!r}"
        )
    return codes.parse(doc, *at)


def _details(doc: Doc, schema: Any, at: tuple[str | int, ...]) -> list[bytes]:
    if not isinstance(doc, list):
        raise Invalid(at, "expected a list of details")
    return [rpc.any_of(item, schema, (*at, i)) for i, item in enumerate(doc)]


def implied(status: Status) -> Implied:
    """The lines that end a reply with this status."""
    made = {CODE: _line(CODE, b"%d" % status.code)} if status.code >= 0 else {}
    if status.message is not None:
        made[MESSAGE] = _line(MESSAGE, encode_text(status.message))
    if status.details is not None:
        made[DETAILS] = _line(DETAILS, encode_bin(status.details))
    return made


def _line(name: str, value: bytes) -> bytes:
    return b"%b: %b\r\n" % (name.encode(), value)


def found(block: bytes, schema: Any) -> tuple[dict[str, Doc], Implied]:
    """The status in a block, as far as a document can say it, and the lines that it implies."""
    said = [values(block, name.encode()) for name in LINES]
    code, message, details = (one[0] if len(one) == 1 else None for one in said)
    made = Status(_number(code))
    shown: dict[str, Doc] = {}
    if message is not None and encode_text(decode_text(message)) == message:
        text = decode_text(message)
        made = Status(made.code, text)
        shown["message"] = text
    if details is not None and (listed := _show_details(details, made, schema)) is not None:
        held = decode_bin(details)
        made = Status(made.code, made.message, held[0] if held else None)
        shown["details"] = listed
    if code is not None and code == b"%d" % made.code:
        shown = {"code": codes.show(made.code), **shown}
    lines = {name: line for name, line in implied(made).items() if holds(block, line)}
    return shown, lines


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() and len(value) <= 9 else codes.OK


def _show_details(value: bytes, status: Status, schema: Any) -> list[Doc] | None:
    """The details in a google.rpc.Status; None if they would not become the same bytes again."""
    held = decode_bin(value)
    if held is None or len(held) != 1 or encode_bin(held[0]) != value:
        return None
    fields = tree.scan(held[0])
    if fields is None:
        return None
    details = [data for number, wire, data in fields if number == 3 and wire == tree.LENGTH]
    if rpc.status(status.code, status.message or "", details) != held[0]:
        return None
    shown = [rpc.show_any(data, schema) for data in details]
    try:
        again = _details(shown, schema, ())
    except Invalid:
        return None
    return shown if again == details else None
