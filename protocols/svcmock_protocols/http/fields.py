"""The fields of a request: what predicates, noise paths and templates see, and which of them make the key.

Plain and JSON-like, each worked out when it is first looked at. What they are is described in README.md.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from svcmock.protocol import Context, Doc
from svcmock_protocols.http import canonical, coding
from svcmock_protocols.http.bodies import FORM
from svcmock_protocols.http.codec import index, values
from svcmock_protocols.http.forms import Pairs, media_type, parse_pairs, text
from svcmock_protocols.http.grpc import meaning, view
from svcmock_protocols.http.grpc.heads import text_values
from svcmock_protocols.http.messages import Request

NAMES = (
    "method",
    "path",
    "query",
    "headers",
    "cookies",
    "host",
    "http_version",
    "json",
    "form",
    "multipart",
    "body",
    "grpc",
    "service",
    "rpc",
    "metadata",
    "message",
    "messages",
)
"""Every field that a request may have; from `json` on only where its body is so, or it is a gRPC call."""


class Fields(Mapping[str, Doc]):
    """A request as predicates, noise paths and templates see it; each field is computed when first read."""

    __slots__ = ("_call", "_known", "_plain", "_request", "_schema")

    def __init__(self, request: Request, schema: Any = None) -> None:
        self._request = request
        self._schema = schema
        self._call = view.head(request.block) if request.method == b"POST" else None
        self._known: dict[str, Doc] = {}
        self._plain: bytes | None = None

    def __getitem__(self, name: str) -> Doc:
        if name not in self._known:
            if name not in NAMES:
                raise KeyError(name)
            self._known[name] = getattr(self, f"_{name}")()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in NAMES if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _method(self) -> Doc:
        return text(self._request.method)

    def _path(self) -> Doc:
        return text(canonical.address(self._request))

    def _query(self) -> Doc:
        return _grouped(parse_pairs(canonical.split(self._request.target)[1]) or ())

    def _headers(self) -> Doc:
        found = index(self._request.block)
        return {text(name): [text(value) for value in values] for name, values in found.items()}

    def _cookies(self) -> Doc:
        crumbs = [crumb for line in values(self._request.block, b"cookie") for crumb in line.split(b";")]
        named = [crumb.strip(b" \t").partition(b"=") for crumb in crumbs]
        return {text(name): text(value) for name, equals, value in named if equals}

    def _host(self) -> Doc:
        found = values(self._request.block, b"host")
        return text(found[0]) if found else ""

    def _http_version(self) -> Doc:
        return text(self._request.version)

    def _json(self) -> Doc:
        data = self._meant()
        found = canonical.read_json(data) if canonical.says_json(self._kind(), data) else None
        if found is None:
            raise KeyError("json")
        return found[0]

    def _form(self) -> Doc:
        pairs = parse_pairs(self._meant()) if self._kind() == FORM else None
        if pairs is None:
            raise KeyError("form")
        return _grouped(pairs)

    def _multipart(self) -> Doc:
        parts = canonical.parts(self._meant(), self._content_type())
        if parts is None:
            raise KeyError("multipart")
        return parts

    def _body(self) -> Doc:
        if self._call is not None:
            raise KeyError("body")
        return text(self._content())

    def _grpc(self) -> Doc:
        name = view.name_of(self._request.target) if self._call is not None else None
        if name is None:
            raise KeyError("grpc")
        return name

    def _service(self) -> Doc:
        return str(self["grpc"]).rpartition("/")[0]

    def _rpc(self) -> Doc:
        return str(self["grpc"]).rpartition("/")[2]

    def _metadata(self) -> Doc:
        if self._call is None:
            raise KeyError("metadata")
        found = index(self._request.block)
        return {text(name): text_values(name, values) for name, values in found.items()}

    def _messages(self) -> Doc:
        request, head = self._request, self._call
        if head is None or not isinstance(request.body, bytes) or len(request.body) > canonical.MEANING_MAX:
            raise KeyError("messages")
        found = meaning.documents(request.body, head, request.target, self._schema)
        if found is None:
            raise KeyError("messages")
        return found

    def _message(self) -> Doc:
        found: list[Doc] = self["messages"]
        if len(found) != 1:
            raise KeyError("message")
        return found[0]

    def _content(self) -> bytes:
        """The body without its coding, where it is in memory; undecodable, it is what it is."""
        if self._plain is None:
            body = self._request.body
            if not isinstance(body, bytes) or not body:
                raise KeyError("body")
            plain = coding.decode(body, coding.coding_of(self._request.block))
            self._plain = body if plain is None else plain
        return self._plain

    def _meant(self) -> bytes:
        """The content where it is not too large to be taken for more than bytes."""
        data = self._content()
        if len(data) > canonical.MEANING_MAX:
            raise KeyError("body")
        return data

    def _content_type(self) -> bytes:
        return b", ".join(values(self._request.block, b"content-type"))

    def _kind(self) -> bytes:
        return media_type(self._content_type())[0]


def _grouped(pairs: Pairs) -> dict[str, Doc]:
    grouped: dict[str, Doc] = {}
    for name, value in pairs:
        grouped.setdefault(text(name), []).append(text(value))
    return grouped


def fields(request: Request, context: Context) -> Mapping[str, Doc]:
    """What predicates, noise paths and templates see of a request. Noise is not left out here."""
    return Fields(request, context.schema)


def decisive(request: Request, context: Context) -> Mapping[str, Doc]:
    """The fields that the key is made of, without noise, a body in one form only.

    A body that is compared by its digest is `{sha256: }`; one form is as in `fields` otherwise.
    """
    found = Fields(request, context.schema)
    if "grpc" in found:
        made: dict[str, Doc] = {"grpc": found["grpc"]}
        forms: tuple[str, ...] = ("message", "messages")
    else:
        made = {"method": found["method"], "path": found["path"]}
        forms = ("json", "form", "multipart", "body")
    query = context.ignore.prune(found["query"], "query")
    if query:
        made["query"] = query
    if request.said:
        made["said"] = text(request.said)
    body = request.body
    if not isinstance(body, bytes):
        made["body"] = {"sha256": body.sha256}
    elif len(body) > canonical.by_digest_above(context):
        made["body"] = {"sha256": canonical.sha256(body, request)}
    else:
        name = next((name for name in forms if name in found), None)
        if name is not None:
            made[name] = context.ignore.prune(found[name], name)
    return made
