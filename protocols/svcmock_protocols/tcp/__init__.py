"""TCP without a protocol of its own here: declared framing, or tapes where there is none. The plugin object.

With `framing` in a service's options its connections are frames: `session`, `tap`, `documents`, `canonical`.
Without it they are tapes (`tape_documents` and its neighbours), whose values are of classes of their own.
Options, the members of route files and the fields are described in README.md.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct

from svcmock.capabilities import Folder, Inferred
from svcmock.protocol import (
    Context,
    Doc,
    Documents,
    Exchange,
    Explanation,
    Fact,
    Files,
    Plugin,
    Session,
    Tap,
    Upstream,
)
from svcmock_protocols.tcp import canonical, documents, forms, messages, stated, tape, tape_documents
from svcmock_protocols.tcp import miss as misses
from svcmock_protocols.tcp.tape_bytes import as_text

SUMMARY_MAX = 60
"""Characters of a frame in a line of a log."""


class TcpPlugin:
    """Framed TCP, and tapes, as `svcmock.protocol.Plugin` asks for it. Stateless."""

    name = "tcp"
    aliases: tuple[str, ...] = ()
    schemes: Mapping[str, int] = {"tcp": 0, "tls": 0}
    tls_schemes = frozenset({"tls"})
    alpn: tuple[str, ...] = ()
    server_first = True
    noise: tuple[str, ...] = ()
    field_names: Collection[str] = frozenset({*canonical.NAMES, *tape.NAMES})
    template_field = "text"
    template_separator = " "
    faults: Mapping[str, messages.Reply] = stated.FAULTS

    Options: ClassVar[type[Struct]] = messages.Options
    RequestDoc: ClassVar[type[Struct]] = documents.RequestDoc
    ReplyDoc: ClassVar[type[Struct]] = forms.ReplyDoc

    def sniff(self, head: bytes) -> bool:  # noqa: ARG002  a frame may begin with anything
        return True

    def session(self, context: Context) -> Session:
        if context.options.framing is None:
            from svcmock_protocols.tcp.tape_session import TapeSession

            return TapeSession(context)
        from svcmock_protocols.tcp.session import FramedSession

        return FramedSession(context)

    def tap(self, context: Context, upstream: Upstream) -> Tap:
        if context.options.framing is None:
            from svcmock_protocols.tcp.tape_tap import TapeTap

            return TapeTap(context, upstream)
        from svcmock_protocols.tcp.tap import FramedTap

        return FramedTap(context, upstream)

    def request(self, doc: Any, files: Files, context: Context) -> Any:
        if context.options.framing is None:
            return tape_documents.request(doc, files, context)
        return documents.request(doc, files, context)

    def reply(self, doc: Any, files: Files, context: Context, asked: Any) -> Any:
        if context.options.framing is None:
            return tape_documents.reply(doc, files, context, asked)
        return documents.reply(doc, files, context)

    def tied(self, doc: Any) -> bool:  # noqa: ARG002  a reply is what it is, whatever it answers
        return False

    def dump(self, request: Any, reply: Any, context: Context) -> Documents:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.dump(request, reply, context)
        return documents.dump(request, reply, context)

    def key(self, request: Any, context: Context) -> bytes:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.key(request, context)
        return canonical.key(request, context)

    def address(self, request: Any) -> bytes:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.address(request)
        return canonical.address(request)

    def conditions(self, request: Any, context: Context) -> Mapping[str, bytes]:  # noqa: ARG002  all decides
        return {}

    def present(
        self,
        request: Any,  # noqa: ARG002
        names: tuple[str, ...],
        context: Context,  # noqa: ARG002
    ) -> tuple[bytes | None, ...]:
        return (None,) * len(names)

    def fields(self, request: Any, context: Context) -> Mapping[str, Doc]:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.fields(request, context)
        return canonical.fields(request, context)

    def decisive(self, request: Any, context: Context) -> Mapping[str, Doc]:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.decisive(request, context)
        return canonical.decisive(request, context)

    def redact(self, request: Any, context: Context) -> Any:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.redact(request, context)
        return canonical.redact(request, context)

    def miss(self, request: Any, explanation: Explanation, context: Context) -> Any:
        if isinstance(request, tape.TapeRequest):
            return tape_documents.miss(request, explanation, context)
        return misses.miss(request, explanation, context)

    def summary(self, request: Any) -> str:
        """The beginning of a frame, in text or in hex digits, and its size."""
        if isinstance(request, tape.TapeRequest):
            return tape_documents.summary(request)
        if request.kind == "banner":
            return "banner"
        told = _beginning(request.payload)
        if request.kind == "unread":
            return f"no frame: {request.why}; it begins with {told}"
        return f"push {request.number} after {told}" if request.kind == "push" else told

    def outcome(self, reply: Any) -> str:
        """How many frames, and whether the connection ends then."""
        if isinstance(reply, tape.TapeReply):
            return tape_documents.outcome(reply)
        count = len(reply.frames)
        told = "" if not count and reply.then else "1 frame" if count == 1 else f"{count} frames"
        return ", ".join(part for part in (told, reply.then) if part)

    def infer(self, options: Any, folder: Folder) -> Sequence[Inferred]:
        from svcmock_protocols.tcp import infer

        return infer.inferred(options, folder)

    def retold(self, context: Context, upstream: Upstream, folder: Folder) -> Sequence[Exchange | Fact]:
        from svcmock_protocols.tcp import infer, tape_files

        tapes = infer.tapes_of((step.request, step.reply) for step in tape_files.steps(folder))
        return [one for tape in tapes for one in infer.retold(tape, self.tap(context, upstream))]

    def sources(self, options: Any) -> Sequence[str]:
        return tape_documents.sources(options) if options.framing is None else ()

    def schema(self, options: Any, folder: Folder) -> Any:
        from svcmock_protocols.tcp.dialect import compile_dialect, learned

        if options.framing is None:
            return tape_documents.schema(options, folder)
        return compile_dialect(options, pushes=learned(folder))


def _beginning(payload: bytes) -> str:
    """As text, with escapes for what is none in it, or in hex digits where it is none."""
    text = as_text(payload[:SUMMARY_MAX])
    if not text:
        text, size = payload[: SUMMARY_MAX // 3].hex(" "), f" ({len(payload)} bytes)"
    else:
        text, size = "".join(one if one.isprintable() else _escaped(one) for one in text.strip("\r\n")), ""
    more = "..." if len(payload) > SUMMARY_MAX or (size and len(payload) > SUMMARY_MAX // 3) else ""
    return f"{text}{more}{size}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


plugin: Plugin = TcpPlugin()
