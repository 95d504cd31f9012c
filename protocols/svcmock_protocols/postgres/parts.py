"""A route of a statement answers two questions: what it gives, and what it takes and gives, told by its types.

Clients ask for the types of a statement before they know its parameters (Describe of a statement), so the route
is found by its SQL alone for that.
"""

from collections.abc import Sequence
from typing import Final

from svcmock_protocols.postgres.messages import Reply, Request, Result

_WIDER: Final = {21: 20, 23: 20}
"""A driver may choose the type of a number by its size: another one may come."""


def parts(request: Request, reply: Reply) -> Sequence[Request]:
    """The run of the statement, then its columns; empty where the second is not to be had."""
    known = len(reply.results) == 1 and (reply.results[0].columns is not None or any(request.types))
    if request.op != "query" or not known:
        return ()
    return request, Request(request.sql, op="columns")


def part(request: Request, reply: Reply, number: int) -> Reply:
    """What answers the part with this number."""
    if number == 0:
        return reply
    types = tuple([_WIDER.get(oid, oid) for oid in request.types])
    columns = reply.results[0].columns
    return Reply(() if columns is None else (Result(columns),), types=types)
