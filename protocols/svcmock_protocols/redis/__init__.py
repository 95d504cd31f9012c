"""Redis, RESP2 and RESP3: the plugin object, which ties this folder's modules to the contract.

What is supported, the members of route files, the fields and the options are described in README.md.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct

from svcmock.capabilities import Folder
from svcmock.protocol import Context, Doc, Documents, Explanation, Files, Plugin, Session, Tap, Upstream
from svcmock_protocols.redis import canonical, credentials, documents, facts, messages
from svcmock_protocols.redis import miss as misses
from svcmock_protocols.redis.cluster import Topology
from svcmock_protocols.redis.shared import Shared


class RedisPlugin:
    """Redis as `svcmock.protocol.Plugin` asks for it. Stateless."""

    name = "redis"
    aliases: tuple[str, ...] = ("resp", "valkey")
    schemes: Mapping[str, int] = {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379}
    tls_schemes = frozenset({"rediss", "valkeys"})
    alpn: tuple[str, ...] = ()
    server_first = False
    noise: tuple[str, ...] = ()
    field_names: Collection[str] = canonical.NAMES
    template_field = "key"
    template_separator = ":"
    faults: Mapping[str, messages.Reply] = misses.FAULTS

    Options: ClassVar[type[Struct]] = messages.Options
    RequestDoc: ClassVar[type[Struct]] = documents.RequestDoc
    ReplyDoc: ClassVar[type[Struct]] = documents.ReplyDoc

    def sniff(self, head: bytes) -> bool:
        """An array of bulk strings. Inline commands could be anything."""
        count, line_end, rest = head[1:].partition(b"\r\n")
        numbered = not count or count.rstrip(b"\r").isdigit()
        return not head or (
            head[:1] == b"*" and numbered and rest[:1] in (b"", b"$") and (not line_end or bool(count))
        )

    def session(self, context: Context) -> Session:
        from svcmock_protocols.redis.session import RedisSession

        return RedisSession(context)

    def tap(self, context: Context, upstream: Upstream) -> Tap:
        from svcmock_protocols.redis.tap import RedisTap

        return RedisTap(context, upstream)

    def state(self, options: Any) -> Shared:  # noqa: ARG002  the same for all
        return Shared()

    def request(self, doc: Any, files: Files, context: Context) -> messages.Request:  # noqa: ARG002
        return documents.request(doc, files)

    def reply(
        self,
        doc: Any,
        files: Files,
        context: Context,  # noqa: ARG002
        asked: messages.Request | None,  # noqa: ARG002
    ) -> messages.Reply:
        return documents.reply(doc, files)

    def tied(self, doc: Any) -> bool:  # noqa: ARG002
        return False

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
        return tuple(None for _ in names)

    def fields(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:  # noqa: ARG002
        return canonical.fields(request)

    def decisive(self, request: messages.Request, context: Context) -> Mapping[str, Doc]:
        return canonical.decisive(request, context)

    def redact(self, request: messages.Request, context: Context) -> messages.Request:
        return credentials.redact_request(request, context.token)

    def miss(self, request: messages.Request, explanation: Explanation, context: Context) -> messages.Reply:  # noqa: ARG002
        return misses.miss(request, explanation)

    def summary(self, request: messages.Request) -> str:
        return misses.summary(request)

    def outcome(self, reply: messages.Reply) -> str:
        return misses.outcome(reply)

    def sources(self, options: Any) -> Sequence[str]:  # noqa: ARG002  what a recorder left is beside the routes
        return ()

    def schema(self, options: Any, folder: Folder) -> facts.Facts:
        known = messages.options_of(options)
        Topology(known.announce, known.nodes)  # raises Invalid
        return facts.facts(folder)


plugin: Plugin = RedisPlugin()
