"""Passwords in SQL become tokens: CREATE and ALTER of roles and users, and of user mappings and subscriptions.

The login itself is never recorded. A password in a parameter or in a column of a table is data, and stays.
"""

import re
from collections.abc import Callable

from msgspec.structs import replace

from svcmock_protocols.postgres.messages import Request
from svcmock_protocols.postgres.sql import first_words

_PASSWORD = re.compile(
    r"(?P<before>\b(?:ENCRYPTED\s+|UNENCRYPTED\s+)?PASSWORD\s+)(?:[Ee](?='))?'(?P<secret>(?:[^']|'')*)'",
    re.IGNORECASE,
)
_OPTION = re.compile(r"(?P<before>\bpassword\s+)'(?P<secret>(?:[^']|'')*)'", re.IGNORECASE)
_CONNECTION = re.compile(r"(?P<before>\bpassword\s*=\s*)(?P<secret>[^\s']+)", re.IGNORECASE)
_OF = frozenset({"ROLE", "USER", "GROUP"})


def redact_request(request: Request, token: Callable[[bytes], bytes]) -> Request:
    """The request with its passwords replaced by tokens."""
    if "password" not in request.sql.lower():
        return request
    words = first_words(request.sql, 2)
    if len(words) < 2 or words[0] not in ("CREATE", "ALTER"):
        return request

    def quoted(match: re.Match[str]) -> str:
        secret = match["secret"].replace("''", "'").encode("utf-8", "replace")
        return f"{match['before']}'{token(secret).decode()}'"

    def bare(match: re.Match[str]) -> str:
        return match["before"] + token(match["secret"].encode("utf-8", "replace")).decode()

    if words[1] in _OF:
        sql = _PASSWORD.sub(quoted, request.sql)
        if words[1] == "USER":
            sql = _OPTION.sub(quoted, sql)
    elif words[1] in ("SUBSCRIPTION", "SERVER"):
        sql = _CONNECTION.sub(bare, request.sql)
    else:
        return request
    return request if sql == request.sql else replace(request, sql=sql)
