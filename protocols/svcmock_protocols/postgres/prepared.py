"""PREPARE, EXECUTE and DEALLOCATE of SQL: the prepared statements of Parse and Bind, named in the text.

Names are a connection's own and mean another statement on the next one. So `EXECUTE p (1)` is taken for the
statement that `p` stands for, run with the parameter 1, in recordings and when it is served. An EXECUTE with an
argument that is more than a constant, or of a name that nothing is known of, is a statement as any other.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from svcmock_protocols.postgres import codec, types
from svcmock_protocols.postgres.commands import MAX_COMMAND, command, identifier
from svcmock_protocols.postgres.messages import Reply, Request, failed
from svcmock_protocols.postgres.portals import MAX_NAMED, Statement, full
from svcmock_protocols.postgres.sql import bracketed, first_words, normalise

_NAME = r'("(?:[^"]|"")+"|[^\s"\'(),;=]+)'
_PREPARE: Final = re.compile(rf"PREPARE {_NAME} ?(?=\(|AS\b)", re.IGNORECASE)
_AS: Final = re.compile(r" ?AS (.+)", re.IGNORECASE | re.DOTALL)
_EXECUTE: Final = re.compile(rf"EXECUTE {_NAME} ?(?=\(|\Z)", re.IGNORECASE)
_CONSTANT: Final = re.compile(
    r"(?:'((?:[^']|'')*)'|([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(NULL|TRUE|FALSE))"
    r"(?: ?:: ?[\w .]+(?:\([0-9, ]*\))?(?:\[\])?)?",
    re.IGNORECASE,
)
_WORDS: Final[Mapping[str, bytes | None]] = {"NULL": None, "TRUE": b"t", "FALSE": b"f"}


@lru_cache(maxsize=4096)
def _is_one(sql: str) -> bool:
    return first_words(sql, 1) in (("PREPARE",), ("EXECUTE",))


def prepare(sql: str) -> tuple[str, Statement] | None:
    """The name and the statement of a PREPARE."""
    if len(sql) <= MAX_COMMAND and not _is_one(sql):
        return None
    plain = normalise(sql)
    head = _PREPARE.match(plain)
    if head is None:
        return None
    listed = bracketed(plain[head.end() :])
    named, rest = ([], plain[head.end() :]) if listed is None else listed
    body = _AS.fullmatch(rest)
    if body is None:
        return None
    oids = tuple([types.oid(one.partition("(")[0].strip()) or 0 for one in named])
    return identifier(head[1]), Statement(body[1], oids)


def execution(sql: str) -> codec.Bind | None:
    """What an EXECUTE binds, as a Bind would say it."""
    if len(sql) <= MAX_COMMAND and not _is_one(sql):
        return None
    plain = normalise(sql)
    head = _EXECUTE.match(plain)
    if head is None:
        return None
    listed = bracketed(plain[head.end() :]) if head.end() < len(plain) else ([], "")
    if listed is None or listed[1] or len(listed[0]) > codec.MAX_PARAMETERS:
        return None
    values = []
    for one in listed[0]:
        found = _CONSTANT.fullmatch(one)
        if found is None:
            return None
        text, number, word = found.groups()
        plain_text = number if text is None else text.replace("''", "'")
        values.append(_WORDS[word.upper()] if word else plain_text.encode("utf-8", "replace"))
    return codec.Bind("", identifier(head[1]), (), tuple(values), ())


def meant(request: Request, statements: Mapping[str, Statement]) -> Request:
    """What is run: the statement that an EXECUTE names, or the request itself."""
    bound = execution(request.sql) if not request.params else None
    statement = statements.get(bound.statement) if bound is not None else None
    if bound is None or statement is None or not statement.takes(len(bound.values)):
        return request
    return statement.request(bound)


def taken(sql: str, statements: Mapping[str, Statement]) -> Reply | None:
    """The failure of a PREPARE under a name that is there."""
    made = prepare(sql)
    if made is None or made[0] not in statements:
        return None
    return failed("42P05", f'prepared statement "{made[0]}" already exists')


def follow(sql: str, statements: dict[str, Statement]) -> None:
    """A statement was carried out: what is prepared now."""
    made = prepare(sql)
    if made is not None:
        if len(statements) < MAX_NAMED and not full(len(made[1].sql), statements, {}):
            statements.setdefault(*made)
        return
    known = command(sql)
    if known is None:
        return
    if known.kind == "deallocate" and known.name:
        statements.pop(known.name, None)
    elif known.kind == "deallocate" or known.tag == "DISCARD ALL":
        statements.clear()
