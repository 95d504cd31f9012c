"""Which requests are the same: keys, fields and what of them decides.

The key is the command's name, its arguments and the database. A script is known by its SHA-1, as a server knows
it, so that EVAL and EVALSHA of one script are one request. Names of commands and subcommands have no case.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from svcmock.protocol import Context, Doc
from svcmock_protocols.redis import catalogue
from svcmock_protocols.redis.messages import Args, Request

NAMES: Final = ("command", "args", "key", "keys", "db", "transaction", "refused", "pushed", "number")
"""Every field that a request may have."""

_BY_SCRIPT: Final = {b"EVAL": b"EVALSHA", b"EVAL_RO": b"EVALSHA_RO"}

_SPECIAL: Final = catalogue.CONTAINERS | {b"EVAL", b"EVAL_RO", b"EVALSHA", b"EVALSHA_RO"}
"""Commands that may be called in several ways."""


def sha1(script: bytes) -> bytes:
    """The name by which a server knows a script."""
    return hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()


def normal(args: Args) -> Args:
    """A command with all that it may be called made one."""
    name = args[0]
    if name in catalogue.CONTAINERS:
        return args if len(args) < 2 else (name, args[1].upper(), *args[2:])
    if name in _BY_SCRIPT and len(args) > 1:
        return (_BY_SCRIPT[name], sha1(args[1]), *args[2:])
    if name in {b"EVALSHA", b"EVALSHA_RO"} and len(args) > 1:
        return (name, args[1].lower(), *args[2:])
    return args


def address(request: Request) -> bytes:
    """The command's name; in small letters what is no command."""
    if request.kind == "command":
        return _escaped(_BY_SCRIPT.get(request.args[0], request.args[0]))
    if request.kind == "queued":
        return b"queued " + _escaped(request.args[0])
    return request.kind.encode()


def key(request: Request, context: Context) -> bytes:
    """Equal for requests that are the same but for noise."""
    args = request.args
    if request.kind == "command" and not context.ignore.patterns and args[0] not in _SPECIAL:
        joined = b"\0".join(args) + b"\0%d" % request.db
        if joined.count(b"\0") == len(args) and b"\1" not in joined:
            return joined
    ignore = context.ignore
    if request.kind == "transaction":
        parts = tuple(_packed(normal(args)) for args in request.commands)
        parts = _kept(parts, "transaction", context)
    elif request.kind in {"command", "queued"}:
        args = normal(request.args)[1:]
        parts = _kept(args, "args", context) if ignore.concerns("args") else args
    else:
        parts = (*request.args, b"%d" % request.number)
    db = b"" if ignore.covers("db") else b"%d" % request.db
    joined = b"\0".join((address(request), *parts, db))
    if joined.count(b"\0") > len(parts) + 1 or b"\1" in joined:
        joined = b"\0".join((address(request), *map(_escaped, parts), db))
    return joined


def _kept(parts: tuple[bytes, ...], field: str, context: Context) -> tuple[bytes, ...]:
    """What is not noise; something that nothing else is, in the place of what is."""
    covers = context.ignore.covers
    if covers(field):
        return ()
    return tuple(b"\2" if covers(field, str(at)) else part for at, part in enumerate(parts))


def _escaped(part: bytes) -> bytes:
    """Without NUL, and with nothing that another part could become."""
    if b"\0" in part or b"\1" in part:
        return part.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return part


def _packed(args: Args) -> bytes:
    return b"".join(b"%d:%b" % (len(arg), arg) for arg in args)


# --- fields ---------------------------------------------------------------------------------------------------


def text(data: bytes) -> str:
    """Bytes as a predicate sees them: UTF-8, and what is none escaped."""
    return data.decode("utf-8", "backslashreplace")


def fields(request: Request) -> dict[str, Doc]:
    """What predicates, noise paths and templates see of a request."""
    if request.kind == "transaction":
        lists: Doc = [list(map(text, args)) for args in request.commands]
        return {"command": "EXEC", "transaction": lists, "db": request.db}
    if request.kind not in {"command", "queued"}:
        return {"pushed": {request.kind: text(request.args[0])}, "number": request.number, "db": request.db}
    known: dict[str, Doc] = {"command": text(request.args[0]), "args": list(map(text, request.args[1:]))}
    keys = catalogue.keys(request.args)
    if keys:
        known["key"] = text(keys[0])
        known["keys"] = list(map(text, keys))
    if request.kind == "queued":
        known["refused"] = True
    known["db"] = request.db
    return known


def decisive(request: Request, context: Context) -> Mapping[str, Doc]:
    """The fields that the key is made of, without noise."""
    shown = fields(normal_request(request))
    for derived in ("key", "keys"):
        shown.pop(derived, None)
    return {
        name: context.ignore.prune(value, name)
        for name, value in shown.items()
        if not context.ignore.covers(name)
    }


def normal_request(request: Request) -> Request:
    """The request as its key has it."""
    if request.kind in {"command", "queued"}:
        return Request(normal(request.args), request.db, request.kind, number=request.number)
    commands = tuple(map(normal, request.commands))
    return Request(request.args, request.db, request.kind, commands, request.number)
