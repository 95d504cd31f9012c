"""A route of a statement answers two questions: what it gives, and what it takes and gives, told by its types.

Clients ask for the types of a statement before they know its parameters (Describe of a statement), so the route
is found by its SQL alone for that. Where its answer is made for each request, or its statement is one of
several demands, a description goes with it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from svcmock.protocol import Doc
from svcmock_protocols.postgres.documents import implied
from svcmock_protocols.postgres.messages import Reply, Request, Result
from svcmock_protocols.postgres.sql import gives_rows

_WIDER: Final = {21: 20, 23: 20}
"""A driver may choose the type of a number by its size: another one may come."""


def parts(request: Request, reply: Reply) -> Sequence[Request]:
    """The run of the statement, then its columns; empty where the second is not to be had."""
    told = any(request.types)
    if reply.results:
        known = len(reply.results) == 1 and (reply.results[0].columns is not None or told)
    else:  # a failure; what the columns were nobody has said
        known = told and not gives_rows(request.sql)
    if request.op != "query" or not known:
        return ()
    return request, Request(request.sql, op="columns")


def part(request: Request, reply: Reply, number: int) -> Reply:
    """What answers the part with this number."""
    if number == 0:
        return reply
    types = tuple([_WIDER.get(oid, oid) for oid in request.types])
    columns = reply.results[0].columns if reply.results else None
    return Reply(() if columns is None else (Result(columns),), types=types)


def ahead(request: Doc, match: Doc, respond: Doc) -> tuple[Doc, Doc] | None:
    """The description that goes with a route; None where its statement or its columns are not told.

    Of the parts of a route file: `request` and `match`, of which one may be absent, and `respond`.
    """
    sql = _member(request, "sql") or _literal(_member(match, "sql"))
    columns = _member(respond, "columns")
    if not isinstance(sql, str) or (columns is None and gives_rows(sql)) or _made(columns):
        return None
    params, types = _member(request, "params"), _member(request, "types")
    if types is None and isinstance(params, list):
        types = list(implied(params))
    if columns is None and not types:
        return None
    told: dict[str, Doc] = {"types": types if isinstance(types, list) else []}
    return {"describe": sql}, told if columns is None else {"columns": columns, **told}


def _member(doc: Doc, name: str) -> Doc:
    return doc.get(name) if isinstance(doc, Mapping) else None


def _literal(demand: Doc) -> Doc:
    """The statement that a predicate demands; None where that may be several."""
    if isinstance(demand, Mapping) and len(demand) == 1:
        return demand.get("equals")
    return demand if isinstance(demand, str) and "{" not in demand else None


def _made(columns: Doc) -> bool:
    """Whether a template makes them."""
    return "{{" in str(columns) or "{%" in str(columns)
