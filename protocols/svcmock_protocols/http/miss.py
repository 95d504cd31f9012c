"""The answer to a request that nothing matches, and HTTP's own errors by name.

A miss is an HTTP reply like any other: 501 unless the service says otherwise, the explanation as JSON, and its
id in a header, so that a person who sees it in the application's log can ask `svcmock why` for it. What the
explanation quotes has been masked by whoever made it: no credential is known here.
"""

import json
import re
from collections.abc import Mapping

import msgspec

from svcmock.protocol import Explanation
from svcmock_protocols.http.codec import bodiless, with_head
from svcmock_protocols.http.grpc import miss as of_calls
from svcmock_protocols.http.grpc import view
from svcmock_protocols.http.messages import Options, Reply, Request
from svcmock_protocols.http.reasons import REASONS

_JSON = b"Content-Type: application/json\r\n"
_TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
_RETRY = b"Retry-After: 1\r\n"
_UNSEEN = re.compile("[^!-~]")


def _fault(status: int, block: bytes = b"") -> Reply:
    reason = REASONS[status].encode()
    return with_head(Reply(status=status, reason=reason, block=_TEXT + block, body=reason + b"\n"))


FAULTS: Mapping[str, Reply] = {
    "bad_request": _fault(400),
    "unauthorized": _fault(401, b"WWW-Authenticate: Bearer\r\n"),
    "forbidden": _fault(403),
    "not_found": _fault(404),
    "request_timeout": _fault(408, b"Connection: close\r\n"),
    "conflict": _fault(409),
    "too_many_requests": _fault(429, _RETRY),
    "internal_error": _fault(500),
    "bad_gateway": _fault(502),
    "unavailable": _fault(503, _RETRY),
    "gateway_timeout": _fault(504),
    **of_calls.FAULTS,
}
"""HTTP's errors by name, as servers and the gateways in front of them send them, and gRPC's."""


def miss(request: Request, explanation: Explanation, options: object) -> Reply:
    """The reply that carries `explanation`: with the status `miss_status`, or for a call one of gRPC's."""
    if view.is_call(request):
        return of_calls.miss(request, explanation, _as_json(explanation))
    status = options.miss_status if isinstance(options, Options) else Options().miss_status
    label = b"X-Svcmock-Miss: %b\r\n" % _visible(explanation.miss)
    reason, block, body = REASONS.get(status, "").encode(), _JSON + label, _as_json(explanation)
    if bodiless(b"", status):
        return with_head(Reply(status=status, reason=reason, block=block, body=body))
    # what `with_head` would find out about this block is known, and misses may come as fast as hits
    head = b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n\r\n" % (status, reason, block, len(body))
    return Reply(status=status, reason=reason, block=block, body=body, head=head, plain=True)


def _as_json(explanation: Explanation) -> bytes:
    """Two spaces of indent; a lone surrogate, which JSON bodies may bring in, is escaped."""
    try:
        encoded = msgspec.json.format(msgspec.json.encode(explanation), indent=2)
    except UnicodeEncodeError:
        encoded = json.dumps(msgspec.to_builtins(explanation), indent=2).encode()
    return encoded + b"\n"


def _visible(label: str) -> bytes:
    """What can stand in a header."""
    return _UNSEEN.sub("?", label).encode()
