"""Statements and their answers as route files hold them: the structs, reading them, writing them.

Losslessness is the law: `reply(dump(...).respond)` is the reply again. What follows from the rest is left out:
the tag of a SELECT, the size of a type, a severity that is ERROR. Values are text, as PostgreSQL writes them;
bytes that no codec reads say in which format they came.

A notification that the server sent is a route of its own, which says what it follows: a statement, or a LISTEN.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from svcmock import payload
from svcmock.protocol import Blob, Doc, Documents, Files, Invalid
from svcmock_protocols.postgres import calls, types
from svcmock_protocols.postgres.messages import (
    Column,
    Notification,
    Raw,
    Reply,
    Request,
    Result,
    Said,
    Value,
)
from svcmock_protocols.postgres.sql import first_words

MAX_COLUMNS: Final = 1664
"""Columns of a result: the server's own limit (MaxTupleAttributeNumber)."""
MAX_PARAMS: Final = 65_535
MAX_NOTIFIES: Final = 10_000
"""Notifications of one statement."""
MAX_AFTER: Final = 24 * 3600.0
"""Seconds after which a notification comes."""

_LETTERS: Final = {
    "severity": "S", "severity_plain": "V", "code": "C", "message": "M", "detail": "D", "hint": "H",
    "position": "P", "internal_position": "p", "internal_query": "q", "where": "W", "schema": "s", "table": "t",
    "column": "c", "type": "d", "constraint": "n", "file": "F", "line": "L", "routine": "R",
}  # fmt: skip
"""Members of `error` and `notices` by the letters of the protocol, in the server's order."""
_MEMBERS: Final = {letter: member for member, letter in _LETTERS.items()}
_SURROGATE = re.compile("[\ud800-\udfff]")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(ms|s)")
_BOOL, _INT8 = 16, 20
_COUNTED: Final = {"UPDATE", "DELETE", "MERGE", "COPY"}


class RequestDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`request:` of a route file. The README describes every member."""

    sql: str | None = None
    params: list[Any] = []
    types: list[Any] = []
    copy: Any = None
    describe: str | None = None
    call: Any = None
    descriptor: dict[str, Any] | None = None
    follows: dict[str, Any] | None = None
    listen: str | None = None
    number: int = 0


class ReplyDoc(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`respond:` of a route file. The README describes every member."""

    columns: Any = None
    rows: Any = None
    tag: str | None = None
    copy: Any = None
    copy_format: str = "text"
    copy_width: int = 0
    results: list[dict[str, Any]] | None = None
    types: list[Any] | None = None
    notices: list[dict[str, Any]] = []
    settings: dict[str, str] = {}
    status: str = ""
    error: dict[str, Any] | None = None
    notifies: list[dict[str, Any]] = []
    after: str | float = 0
    result: Any = None


# --- requests -----------------------------------------------------------------------------------------


def request(doc: RequestDoc, files: Files) -> Request:
    """The request that a document describes. Raises Invalid with the path of the member at fault."""
    if doc.follows is not None or doc.listen is not None:
        return _notified(doc, files)
    if doc.number:
        raise Invalid(("number",), "only notifications are counted: of `follows` or `listen`")
    if doc.describe is not None:
        if doc.sql is not None or doc.params or doc.copy is not None:
            raise Invalid(
                ("describe",), "a description is of a statement without parameters: leave out the rest"
            )
        return Request(_sql(doc.describe, "describe"), op="describe")
    if len(doc.params) > MAX_PARAMS:
        raise Invalid(("params",), f"more than {MAX_PARAMS} parameters")
    params = tuple([_value(value, files, "params", number) for number, value in enumerate(doc.params)])
    if doc.call is not None or doc.descriptor is not None:
        alone = doc == RequestDoc(call=doc.call, descriptor=doc.descriptor, params=doc.params)
        return calls.request(doc.call, doc.descriptor, params, alone=alone)
    if doc.sql is None:
        raise Invalid((), "a request needs `sql`, or `describe`, or `call`")
    copy = None if doc.copy is None else payload.from_doc(doc.copy, files, "copy")
    if isinstance(copy, Blob):
        copy = payload.named(copy)
        if not copy.sha256:
            copy = replace(copy, sha256=sha256(files.read(copy)).hexdigest())
    types = _oids(doc.types, "types") or implied(doc.params)
    return Request(_sql(doc.sql, "sql"), params, types, copy)


def _notified(doc: RequestDoc, files: Files) -> Request:
    """That somebody was notified: a statement, or the name of a channel, and which time it was."""
    if doc != RequestDoc(follows=doc.follows, listen=doc.listen, number=doc.number) or (
        doc.follows is not None and doc.listen is not None
    ):
        raise Invalid((), "a notification has `follows: {sql: ...}` or `listen: CHANNEL`: leave out the rest")
    if doc.number < 0:
        raise Invalid(("number",), "notifications are counted from 0")
    if doc.listen is not None:
        return Request(_sql(doc.listen, "listen"), op="listen", number=doc.number)
    try:
        inner = msgspec.convert(doc.follows, RequestDoc)
        statement = request(inner, files)
    except msgspec.ValidationError as error:
        raise Invalid(("follows",), str(error)) from None
    except Invalid as error:
        raise Invalid(("follows", *error.at), error.why) from None
    if statement.op != "query":
        raise Invalid(("follows",), "a notification follows a statement: {sql: ...}")
    return replace(statement, op="follows", number=doc.number)


def _sql(text: str, at: str) -> str:
    if "\0" in text:
        raise Invalid((at,), "no SQL holds a NUL character")
    return _utf8(text, (at,))


def _utf8(text: str, at: tuple[str | int, ...]) -> str:
    if not text.isascii() and _SURROGATE.search(text):
        raise Invalid(at, "a lone surrogate, which JSON can name, is no text")
    return text


def _request_doc(request: Request, files: dict[str, Any]) -> Doc:
    if request.op == "describe":
        return {"describe": request.sql}
    if request.op in ("follows", "listen"):
        statement = replace(request, op="query", number=0)
        told = request.sql if request.op == "listen" else _request_doc(statement, files)
        return {request.op: told, **({"number": request.number} if request.number else {})}
    if request.op == "call":
        return calls.document(request, [_value_doc(value, files) for value in request.params])
    doc: dict[str, Doc] = {"sql": request.sql}
    if request.params:
        doc["params"] = [_value_doc(value, files) for value in request.params]
    if any(request.types):
        doc["types"] = [_type_doc(oid) for oid in request.types]
    if request.copy is not None and not isinstance(request.copy, Blob):
        doc["copy"] = payload.to_doc(request.copy, files)
    return doc


# --- replies ------------------------------------------------------------------------------------------


def reply(doc: ReplyDoc, files: Files, asked: Request | None) -> Reply:
    """The reply that a document describes. Raises Invalid."""
    sql = asked.sql if asked is not None else ""
    several = doc.results is not None
    if several and (
        doc.columns is not None or doc.rows is not None or doc.tag is not None or doc.copy is not None
    ):
        raise Invalid(("results",), "a reply has one result, or `results`")
    if doc.results is not None:
        results = tuple([_result_of(one, files, number) for number, one in enumerate(doc.results)])
    elif doc.types is not None:
        results = () if doc.columns is None else (Result(_columns(doc.columns, ("columns",))),)
    elif asked is not None and asked.op in ("follows", "listen"):
        results = ()
    elif doc.result is not None or (asked is not None and asked.op == "call"):
        if asked is not None and asked.op != "call":
            raise Invalid(("result",), "a statement gives `columns` and `rows`; only a call has a `result`")
        results = () if doc.error is not None else calls.replied(_value(doc.result, files, "result")).results
    else:
        results = _only(doc, sql, files)
    if doc.status not in ("", "I", "T", "E"):
        raise Invalid(("status",), "the status of a transaction is I (none), T or E (failed)")
    return Reply(
        results,
        None if doc.error is None else _said(doc.error, "ERROR", "error"),
        tuple([_said(one, "NOTICE", "notices", number) for number, one in enumerate(doc.notices)]),
        None if doc.types is None else _oids(doc.types, "types"),
        tuple(doc.settings.items()),
        doc.status,
        _notifies(doc.notifies),
        _seconds(doc.after),
    )


def tied(doc: ReplyDoc) -> bool:
    """Whether the tag follows from the statement."""
    return all(one is None for one in (doc.tag, doc.results, doc.error, doc.types))


def _notifies(listed: Sequence[dict[str, Any]]) -> tuple[Notification, ...]:
    if len(listed) > MAX_NOTIFIES:
        raise Invalid(("notifies",), f"more than {MAX_NOTIFIES} notifications")
    found = []
    for number, one in enumerate(listed):
        try:
            found.append(msgspec.convert(one, Notification))
        except msgspec.ValidationError as error:
            raise Invalid(("notifies", number), f"{error}: expected {{channel: jobs, payload: go}}") from None
    return tuple(found)


def _seconds(doc: str | float) -> float:
    seconds = -1.0
    if isinstance(doc, str):
        found = _DURATION.fullmatch(doc)
        seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else seconds
    elif not isinstance(doc, bool):
        seconds = float(doc)
    if not 0 <= seconds <= MAX_AFTER:
        raise Invalid(("after",), f"expected a duration such as 20ms or 1.5s, got {doc!r}")
    return seconds


def _only(doc: ReplyDoc, sql: str, files: Files) -> tuple[Result, ...]:
    empty = doc.columns is None and doc.rows is None and doc.copy is None and doc.tag is None
    if empty and doc.error is not None:
        return ()
    result = _result(doc, files, ())
    return (result if doc.tag is not None else replace(result, tag=_tag(result, sql)),)


def _result_of(one: dict[str, Any], files: Files, number: int) -> Result:
    known = {"columns", "rows", "tag", "copy", "copy_format", "copy_width"}
    unknown = next((name for name in one if name not in known), None)
    if unknown is not None:
        raise Invalid(("results", number, unknown), f"a result has {', '.join(sorted(known))}")
    try:
        doc = msgspec.convert(one, ReplyDoc)
    except msgspec.ValidationError as error:
        raise Invalid(("results", number), str(error)) from None
    result = _result(doc, files, ("results", number))
    return result if doc.tag is not None else replace(result, tag=_tag(result, ""))


def _result(doc: ReplyDoc, files: Files, at: tuple[str | int, ...]) -> Result:
    columns = None if doc.columns is None else _columns(doc.columns, (*at, "columns"))
    if doc.rows is not None and columns is None:
        raise Invalid((*at, "rows"), "rows need `columns`: [{name: id, type: int4}, ...]")
    rows: list[tuple[Value, ...]] = []
    for number, row in enumerate(_list(doc.rows or [], (*at, "rows"))):
        where = (*at, "rows", number)
        if not isinstance(row, list) or len(row) != len(columns or ()):
            raise Invalid(where, f"a row is a list of {len(columns or ())} values, one for each column")
        rows.append(tuple([_value(value, files, *where, place) for place, value in enumerate(row)]))
    if doc.copy_format not in ("text", "binary") or not 0 <= doc.copy_width <= MAX_COLUMNS:
        raise Invalid((*at, "copy_format"), "`copy_format` is text or binary, `copy_width` a number of columns")
    copy = None
    if doc.copy is not None:
        pieces = _list(doc.copy, (*at, "copy"))
        copy = tuple([_bytes(piece, files, *at, "copy", number) for number, piece in enumerate(pieces)])
    return Result(columns, tuple(rows), doc.tag or "", copy, doc.copy_format == "binary", doc.copy_width)


def _tag(result: Result, sql: str) -> str:
    """What a server says when this was done."""
    if result.columns is not None and not sql:
        return f"SELECT {len(result.rows)}"
    if result.copy is not None:
        return f"COPY {len(result.copy)}"
    words = first_words(sql, 2)
    if not words:
        return "" if not sql else "OK"
    count = len(result.rows) if result.columns is not None else 1
    if words[0] == "INSERT":
        return f"INSERT 0 {count}"
    if words[0] in _COUNTED:
        return f"{words[0]} {count}"
    if result.columns is not None:
        return f"SELECT {len(result.rows)}"
    return " ".join(words) if words[0] in {"CREATE", "DROP", "ALTER"} else words[0]


def dump(request: Request, reply: Reply) -> Documents:
    """Both as documents; reading them gives both again."""
    files: dict[str, Any] = {}
    return Documents(_request_doc(request, files), _reply_doc(reply, request, files), files)


def _reply_doc(reply: Reply, asked: Request, files: dict[str, Any]) -> Doc:
    doc: dict[str, Doc] = {}
    if reply.notices:
        doc["notices"] = [_said_doc(one, "NOTICE") for one in reply.notices]
    if reply.types is not None:
        doc["types"] = [_type_doc(oid) for oid in reply.types]
        if reply.results:
            doc["columns"] = [_column_doc(one) for one in reply.results[0].columns or ()]
    elif asked.op == "call":
        doc |= {"result": _value_doc(calls.value_of(reply), files)} if reply.results else {}
    elif len(reply.results) == 1:
        doc |= _result_doc(reply.results[0], asked.sql, files)
    elif reply.results:
        doc["results"] = [_result_doc(result, "", files) for result in reply.results]
    if reply.settings:
        doc["settings"] = dict(reply.settings)
    if reply.status:
        doc["status"] = reply.status
    if reply.failure is not None:
        doc["error"] = _said_doc(reply.failure, "ERROR")
    if reply.notifies:
        doc["notifies"] = [{"channel": one.channel, "payload": one.payload} for one in reply.notifies]
    if reply.after:
        doc["after"] = f"{round(reply.after * 1000, 3):.12g}ms"
    return doc


def _result_doc(result: Result, sql: str, files: dict[str, Any]) -> dict[str, Doc]:
    doc: dict[str, Doc] = {}
    if result.columns is not None:
        doc["columns"] = [_column_doc(column) for column in result.columns]
        doc["rows"] = [[_value_doc(value, files) for value in row] for row in result.rows]
    if result.copy is not None:
        doc["copy"] = [payload.to_doc(piece, files) for piece in result.copy]
    if result.binary:
        doc["copy_format"] = "binary"
    if result.width:
        doc["copy_width"] = result.width
    if result.columns is None or result.tag != _tag(result, sql):
        doc["tag"] = result.tag
    return doc


# --- columns, values, failures ------------------------------------------------------------------------


def _columns(doc: Any, at: tuple[str | int, ...]) -> tuple[Column, ...]:
    listed = _list(doc, at)
    if len(listed) > MAX_COLUMNS:
        raise Invalid(at, f"more than {MAX_COLUMNS} columns")
    return tuple([_column(one, (*at, number)) for number, one in enumerate(listed)])


def _column(doc: Any, at: tuple[str | int, ...]) -> Column:
    if isinstance(doc, str):
        return Column(doc)
    if not isinstance(doc, dict) or not isinstance(doc.get("name"), str):
        raise Invalid(at, "a column is {name: id, type: int4}, or the name of one of type text")
    unknown = next((name for name in doc if name not in ("name", "type", "modifier", "size", "from")), None)
    if unknown is not None:
        raise Invalid((*at, unknown), "a column has name, type, modifier, size, from")
    size = doc.get("size")
    source = doc.get("from", [0, 0])
    if not isinstance(source, list) or len(source) != 2:
        raise Invalid((*at, "from"), "where a column comes from is [oid of the table, number]")
    return Column(
        doc["name"],
        _oid(doc.get("type", "text"), (*at, "type")),
        _number(doc.get("modifier", -1), 32, (*at, "modifier")),
        None if size is None else _number(size, 16, (*at, "size")),
        _oid(source[0], (*at, "from")),
        _number(source[1], 16, (*at, "from")),
    )


def _column_doc(column: Column) -> Doc:
    doc: dict[str, Doc] = {"name": column.name, "type": _type_doc(column.oid)}
    if column.modifier != -1:
        doc["modifier"] = column.modifier
    if column.size is not None:
        doc["size"] = column.size
    if column.table or column.attribute:
        doc["from"] = [column.table, column.attribute]
    return doc


def _list(doc: Any, at: tuple[str | int, ...]) -> list[Any]:
    if not isinstance(doc, list):
        raise Invalid(at, "expected a list")
    return doc


def _number(doc: Any, bits: int, at: tuple[str | int, ...]) -> int:
    if not isinstance(doc, int) or isinstance(doc, bool) or not -(1 << bits - 1) <= doc < 1 << bits - 1:
        raise Invalid(at, f"expected a number of {bits} bits")
    return doc


def implied(params: Sequence[Any]) -> tuple[int, ...]:
    """The types of parameters by how they are written: whole numbers, true and false. Text may be anything."""
    oids = tuple([_BOOL if isinstance(one, bool) else _INT8 if isinstance(one, int) else 0 for one in params])
    return oids if any(oids) else ()


def _oids(listed: Sequence[Any], at: str) -> tuple[int, ...]:
    if len(listed) > MAX_PARAMS:
        raise Invalid((at,), f"more than {MAX_PARAMS} types")
    return tuple([_oid(one, (at, number)) for number, one in enumerate(listed)])


def _oid(doc: Any, at: tuple[str | int, ...]) -> int:
    if isinstance(doc, int) and not isinstance(doc, bool) and 0 <= doc < 1 << 32:
        return doc
    known = types.oid(doc) if isinstance(doc, str) else None
    if known is None:
        raise Invalid(at, f"expected the name of a type, such as int4 or _text, or its oid, not {doc!r}")
    return known


def _type_doc(oid: int) -> Doc:
    name = types.name(oid)
    return oid if name is None or types.oid(name) != oid else name


def _value(doc: Any, files: Files, *at: str | int) -> Value:
    if doc is None:
        return None
    if isinstance(doc, str):
        return _utf8(doc, at)
    if isinstance(doc, bool):
        return "t" if doc else "f"
    if isinstance(doc, int):
        return str(doc)
    if isinstance(doc, dict) and len(doc) == 1:
        ((form, inner),) = doc.items()
        if form in ("binary", "text"):
            return Raw(_bytes(inner, files, *at, form), form == "binary")
        if form == "file":
            return _text(_bytes(doc, files, *at), at)
    raise Invalid(at, "a value is text, as PostgreSQL writes it, or null; a fraction in quotes: '1.50'")


def _text(data: bytes, at: tuple[str | int, ...]) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(at, "a file with a value's text holds UTF-8") from None


def _bytes(doc: Any, files: Files, *at: str | int) -> bytes:
    found = payload.from_doc(doc, files, *at)
    return files.read(found) if isinstance(found, Blob) else found


def _value_doc(value: Value, files: dict[str, Any]) -> Doc:
    if value is None:
        return None
    if isinstance(value, Raw):
        return {"binary" if value.binary else "text": payload.to_doc(value.data, files)}
    if len(value) > payload.INLINE_MAX:
        shown = payload.to_doc(value.encode("utf-8", "replace"), files)
        return shown if isinstance(shown, dict) and "file" in shown else value
    return value


def _said(doc: Mapping[str, Any], severity: str, *at: str | int) -> Said:
    """A failure or notice. Only its message and code must be there."""
    fields = []
    for member, value in doc.items():
        letter = _LETTERS.get(member) or (member if len(member) == 1 and member.isascii() else None)
        if letter is None:
            raise Invalid((*at, member), f"an error has {', '.join(_LETTERS)}")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise Invalid((*at, member), "expected text")
        fields.append((letter, str(value)))
    known = dict(fields)
    if "C" not in known or "M" not in known:
        raise Invalid(at, "an error needs `code` (five characters, SQLSTATE) and `message`")
    plain = known.get("S", severity)
    order = [("S", plain), ("V", known.get("V", plain)), *[pair for pair in fields if pair[0] not in "SV"]]
    return Said(tuple(order))


def _said_doc(said: Said, severity: str) -> Doc:
    doc: dict[str, Doc] = {}
    plain = said.get("S")
    for letter, value in said.fields:
        member = _MEMBERS.get(letter, letter)
        if not ((letter == "S" and value == severity) or (letter == "V" and value == plain)):
            doc[member] = value
    return doc
