"""HTTP/1.0, HTTP/1.1, HTTP/2 and gRPC: the plugin object, which ties this folder's modules to the contract.

What is supported, the members of route files, the fields and the noise are described in README.md.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct

from svcmock.capabilities import Folder, Inquiry, Likeness
from svcmock.protocol import Context, Doc, Documents, Explanation, Files, Plugin, Session, Tap, Upstream
from svcmock_protocols.http import canonical, documents, fields, messages, openings
from svcmock_protocols.http import miss as misses
from svcmock_protocols.http.grpc import codes, parts, view
from svcmock_protocols.http.noise import NOISE
from svcmock_protocols.http.redact import TooManyError, redact_request

SUMMARY_MAX = 200
"""Characters of a request in a line of a log."""

# A method, then the start of a target; a complete first line also names HTTP. Another protocol's text command
# (`EHLO x`, `get key`) passes only until its line is complete.
_OPENING = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: (?:[!-~]*(?: (?:HTTP/.*|H|HT|HTT|HTTP)?)?)?)?", re.DOTALL
)


class HttpPlugin:
    """HTTP and gRPC as `svcmock.protocol.Plugin` asks for it. Stateless."""

    name = "http"
    aliases: tuple[str, ...] = ("http1",)
    schemes: Mapping[str, int] = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443}
    tls_schemes = frozenset({"https", "grpcs"})
    alpn: tuple[str, ...] = ("h2", "http/1.1")
    server_first = False
    noise: tuple[str, ...] = NOISE
    field_names: Collection[str] = fields.NAMES
    template_field = "path"
    template_separator = "/"
    faults: Mapping[str, messages.Reply] = misses.FAULTS

    Options: ClassVar[type[Struct]] = messages.Options
    RequestDoc: ClassVar[type[Struct]] = documents.RequestDoc
    ReplyDoc: ClassVar[type[Struct]] = documents.ReplyDoc

    def sniff(self, head: bytes) -> bool:
        first, line_end, _ = head.partition(b"\r\n")
        if line_end:
            return _OPENING.fullmatch(first) is not None and b" HTTP/" in first
        return not first or _OPENING.fullmatch(first) is not None

    def session(self, context: Context) -> Session:
        from svcmock_protocols.http.session import HttpSession

        return HttpSession(context)

    def likeness(self, names: frozenset[str], context: Context) -> Likeness:
        from svcmock_protocols.http import likeness

        return likeness.Likeness(names, context)

    def tap(self, context: Context, upstream: Upstream) -> Tap:
        from svcmock_protocols.http.tap import HttpTap

        return HttpTap(context, upstream)

    def alpn_for(self, head: bytes) -> tuple[str, ...] | None:
        return openings.alpn_for(head)

    def knock(self, name: str) -> bytes:
        return openings.knock(name)

    def answered(self, name: str, data: bytes) -> bool | None:
        return openings.answered(data) if name == "h2" else False

    def request(self, doc: Any, files: Files, context: Context) -> messages.Request:
        return documents.request(doc, files, context)

    def reply(self, doc: Any, files: Files, context: Context, asked: messages.Request | None) -> messages.Reply:
        return documents.reply(doc, files, context, asked)

    def tied(self, doc: Any) -> bool:
        return documents.tied(doc)

    def dump(self, request: messages.Request, reply: messages.Reply, context: Context) -> Documents:
        return documents.dump(request, reply, context)

    def key(self, request: messages.Request, context: Context) -> bytes:
        return canonical.key(request, context)

    def address(self, request: messages.Request) -> bytes:
        return canonical.address(request)

    def conditions(self, request: messages.Request, context: Context) -> Mapping[str, bytes]:
        return canonical.conditions(request, context)

    def present(
        self, request: messages.Request, names: tuple[str, ...], context: Context
    ) -> tuple[bytes | None, ...]:
        return canonical.present(request, names, context)

    def fields(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:
        return fields.fields(request, context)

    def decisive(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:
        return fields.decisive(request, context)

    def redact(self, request: messages.Request, context: Context) -> messages.Request:
        """With more credentials than a recording may hold, nothing is left but method and path: a miss."""
        try:
            return redact_request(request, context.token, canonical.redaction(context), context.schema)
        except TooManyError:
            return messages.Request(request.method, canonical.address(request))

    def miss(self, request: messages.Request, explanation: Explanation, context: Context) -> messages.Reply:
        return misses.miss(request, explanation, context.options)

    def summary(self, request: messages.Request) -> str:
        """Method and path, or `gRPC` and the method's name; no query, which may hold credentials."""
        path = canonical.address(request)[:SUMMARY_MAX].decode("ascii", "backslashreplace")
        if not view.is_call(request):
            return f"{request.method.decode('ascii', 'backslashreplace')[:32]} {path}"
        number = request.said.partition(b" ")[0].decode("ascii", "backslashreplace")
        part = f", {'message ' if number.isdigit() else ''}{number}" if number else ""
        return f"gRPC {path[1:]}{part}"

    def outcome(self, reply: messages.Reply) -> str:
        """The status, or the name of gRPC's; `more` for a part of a conversation that goes on."""
        if reply.more:
            return "more"
        code = view.status_of(reply) if view.kind(reply.block) is not None else None
        return str(reply.status) if code is None else str(codes.show(code))

    def parts(
        self, request: messages.Request, reply: messages.Reply, context: Context
    ) -> Sequence[messages.Request]:
        return parts.parts(request, reply, context)

    def part(self, request: messages.Request, reply: messages.Reply, number: int) -> messages.Reply:
        return parts.part(request, reply, number)

    def sources(self, options: Any) -> Sequence[str]:
        return messages.patterns(options.proto) + messages.patterns(options.descriptor_set)

    def schema(self, options: Any, folder: Folder) -> Any:
        from svcmock_protocols.http.grpc import school

        return school.schema(options, folder)

    def inquiry(self, upstream: Upstream) -> Inquiry:
        from svcmock_protocols.http.grpc.inquiry import ReflectionInquiry

        return ReflectionInquiry(upstream)


plugin: Plugin = HttpPlugin()
