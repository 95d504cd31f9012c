"""The answer to a call that no route answers, and the errors of gRPC by name: replies of nothing but a status.

UNIMPLEMENTED where no route has the method at all, NOT_FOUND where one has it and does not match. The message
is one line with the command that explains it; the explanation itself is a google.rpc.DebugInfo among the
details, cut to what a client takes as headers (8 KiB by default, and base64 makes three bytes four).
"""

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from svcmock.protocol import Explanation
from svcmock_protocols.http.codec import values, with_head
from svcmock_protocols.http.grpc import codes, rpc
from svcmock_protocols.http.grpc.answers import status_reply
from svcmock_protocols.http.messages import Reply, Request

DETAIL_MAX: Final = 4096
"""Bytes of the explanation."""
TEXT_MAX: Final = 400
"""Characters of the message."""


def _named(name: str) -> str:
    return f"grpc_{name.lower()}"


FAULTS: Final[Mapping[str, Reply]] = {
    _named(name): status_reply(code, f"svcmock: {_named(name)}")
    for code, name in enumerate(codes.NAMES)
    if code
}
"""Every status but OK, by name."""


def miss(request: Request, explanation: Explanation, detail: bytes) -> Reply:
    """The reply that carries `explanation`, which is `detail` as text."""
    unknown = bool(explanation.funnel) and explanation.funnel[0].routes_out == 0
    code = codes.UNIMPLEMENTED if unknown else codes.NOT_FOUND
    why = "no route has this method" if unknown else "no route matches this call"
    see = f" (svcmock why {explanation.miss})" if explanation.miss else ""
    message = f"svcmock: {why}: {explanation.request[:TEXT_MAX]}{see}"
    told = rpc.debug_info(_cut(detail))
    kinds = values(request.block, b"content-type")
    made = status_reply(code, message, rpc.status(code, message, [told]), kinds[0])
    if request.version == b"2":
        return made
    # a browser's gRPC-Web over HTTP/1.1: a status in the head is one it reads
    return with_head(replace(made, reason=b"OK", framing="length", version=b"1.1"))


def _cut(detail: bytes) -> str:
    return detail[:DETAIL_MAX].decode("utf-8", "ignore")
