"""PostgreSQL: the plugin object, which ties this folder's modules to the contract.

What is supported, the members of route files, the fields and the noise are described in README.md.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.protocol import Context, Doc, Documents, Explanation, Files, Plugin, Session, Tap, Upstream
from svcmock_protocols.postgres import canonical, documents, messages
from svcmock_protocols.postgres import facts as known
from svcmock_protocols.postgres import miss as misses
from svcmock_protocols.postgres import parts as conversations
from svcmock_protocols.postgres.redact import redact_request
from svcmock_protocols.postgres.shared import State
from svcmock_protocols.postgres.sql import normalise

SUMMARY_MAX = 200
"""Characters of a statement in a line of a log."""


class PostgresPlugin:
    """PostgreSQL as `svcmock.protocol.Plugin` asks for it. Stateless."""

    name = "postgres"
    aliases: tuple[str, ...] = ("postgresql", "pg")
    schemes: Mapping[str, int] = {"postgres": 5432, "postgresql": 5432}
    tls_schemes: frozenset[str] = frozenset()
    upstream_parameters = frozenset({"sslmode"})
    alpn: tuple[str, ...] = ("postgresql",)
    server_first = False
    noise: tuple[str, ...] = ()
    field_names: Collection[str] = canonical.NAMES
    template_field = "sql"
    template_separator = " "
    faults: Mapping[str, messages.Reply] = misses.FAULTS

    Options: ClassVar[type[Struct]] = messages.Options
    RequestDoc: ClassVar[type[Struct]] = documents.RequestDoc
    ReplyDoc: ClassVar[type[Struct]] = documents.ReplyDoc

    def vouches(self, options: Any) -> bool:
        return isinstance(options, messages.Options) and options.auth == "terminate"

    def sniff(self, head: bytes) -> bool:
        """A length, then version 3 or one of the codes that begin with 1234."""
        return (
            head[:2] == b"\0\0"[: len(head)]
            and (len(head) < 5 or head[4:6] in (b"\0\3"[: len(head) - 4], b"\x04\xd2"[: len(head) - 4]))
            and (len(head) < 4 or int.from_bytes(head[:4]) >= 8)
        )

    def session(self, context: Context) -> Session:
        from svcmock_protocols.postgres.handshake import HandshakeSession

        return HandshakeSession(context)

    def tap(self, context: Context, upstream: Upstream) -> Tap:
        from svcmock_protocols.postgres.inquiring import InquiringTap
        from svcmock_protocols.postgres.tap import PostgresTap

        tap = PostgresTap(context, upstream)
        return InquiringTap(tap, context) if context.options.inquire else tap

    def state(self, options: Any) -> Any:  # noqa: ARG002  it is the same for all
        return State()

    def request(self, doc: Any, files: Files, context: Context) -> messages.Request:  # noqa: ARG002
        return documents.request(doc, files)

    def reply(
        self,
        doc: Any,
        files: Files,
        context: Context,  # noqa: ARG002
        asked: messages.Request | None,
    ) -> messages.Reply:
        return documents.reply(doc, files, asked)

    def tied(self, doc: Any) -> bool:
        return documents.tied(doc)

    def dump(self, request: messages.Request, reply: messages.Reply, context: Context) -> Documents:  # noqa: ARG002
        return documents.dump(request, reply)

    def key(self, request: messages.Request, context: Context) -> bytes:
        return canonical.key(request, context)

    def address(self, request: messages.Request) -> bytes:
        return canonical.address(request)

    def conditions(self, request: messages.Request, context: Context) -> Mapping[str, bytes]:  # noqa: ARG002
        return {}

    def present(
        self,
        request: messages.Request,  # noqa: ARG002
        names: tuple[str, ...],
        context: Context,  # noqa: ARG002
    ) -> tuple[bytes | None, ...]:
        return (None,) * len(names)

    def fields(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:
        return canonical.fields(request, context)

    def decisive(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:
        return canonical.decisive(request, context)

    def redact(self, request: messages.Request, context: Context) -> messages.Request:
        return redact_request(request, context.token)

    def miss(
        self,
        request: messages.Request,  # noqa: ARG002
        explanation: Explanation,
        context: Context,  # noqa: ARG002
    ) -> messages.Reply:
        return misses.miss(explanation)

    def summary(self, request: messages.Request) -> str:
        """The statement on one line, no parameters; what is asked of it where that is not to run it."""
        sql = normalise(request.sql)
        short = sql if len(sql) <= SUMMARY_MAX else sql[: SUMMARY_MAX - 3] + "..."
        return short if request.op == "query" else f"{request.op} {short}"

    def outcome(self, reply: messages.Reply) -> str:
        """The last tag, or the code of the failure."""
        if reply.failure is not None:
            return reply.failure.get("C")
        if reply.types is not None:
            return "described"
        return reply.results[-1].tag if reply.results else "nothing"

    def parts(
        self,
        request: messages.Request,
        reply: messages.Reply,
        context: Context,  # noqa: ARG002
    ) -> Sequence[messages.Request]:
        return conversations.parts(request, reply)

    def part(self, request: messages.Request, reply: messages.Reply, number: int) -> messages.Reply:
        return conversations.part(request, reply, number)

    def ahead(self, request: Doc, match: Doc, respond: Doc) -> tuple[Doc, Doc] | None:
        return conversations.ahead(request, match, respond)

    def sources(self, options: Any) -> Sequence[str]:  # noqa: ARG002  they are beside the recordings
        return ()

    def schema(self, options: Any, folder: Folder) -> Any:
        return known.facts(folder, options.types if isinstance(options, messages.Options) else ())


plugin: Plugin = PostgresPlugin()
