"""Credentials in commands and replies, and the tokens that stand for them in recordings.

AUTH and HELLO, the passwords of ACL SETUSER, of CONFIG SET, of MIGRATE and of SENTINEL; and in replies what
CONFIG GET tells of passwords, the hashes of ACL LIST and ACL GETUSER, what ACL GENPASS makes. What a key holds
is data, whatever it is called.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from svcmock_protocols.redis.catalogue import name_of
from svcmock_protocols.redis.messages import Args, Array, Map, Reply, Request, Value

Token: TypeAlias = Callable[[bytes], bytes]

SECRET_SETTINGS: Final = frozenset(
    {
        b"requirepass",
        b"masterauth",
        b"primaryauth",
        b"tls-key-file-pass",
        b"tls-client-key-file-pass",
        b"auth-pass",
    }
)
"""Settings of CONFIG and SENTINEL that hold one."""
_TELLING: Final = frozenset({b"AUTH", b"HELLO", b"MIGRATE", b"ACL SETUSER", b"CONFIG SET", b"SENTINEL SET"})
_FIRST: Final = frozenset(name.partition(b" ")[0] for name in _TELLING)
_HASH = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ACL_SECRETS: Final = (b">", b"<", b"#", b"!")


def tells(args: Args) -> bool:
    """Whether a command holds credentials, so that a line of a log shows its name alone."""
    return args[0] in _FIRST and name_of(args) in _TELLING


def redact(args: Args, token: Token) -> Args:
    """The command with its credentials replaced."""
    if args[0] not in _FIRST:
        return args
    match name_of(args):
        case b"AUTH":
            return (*args[:-1], token(args[-1])) if len(args) > 1 else args
        case b"HELLO":
            return _behind(args, b"AUTH", 2, token)
        case b"MIGRATE":
            return _behind(_behind(args, b"AUTH", 1, token), b"AUTH2", 2, token)
        case b"ACL SETUSER":
            return (*args[:3], *(_rule(arg, token) for arg in args[3:]))
        case b"CONFIG SET" | b"SENTINEL SET" as name:
            return _settings(args, 2 if name == b"CONFIG SET" else 3, token)
    return args


def redact_request(request: Request, token: Token) -> Request:
    """The same for all commands of a request."""
    if request.kind == "transaction":
        if not any(args[0] in _FIRST for args in request.commands):
            return request
        return replace(request, commands=tuple(redact(args, token) for args in request.commands))
    if not request.args or request.args[0] not in _FIRST or request.kind not in {"command", "queued"}:
        return request
    return replace(request, args=redact(request.args, token))


def _behind(args: Args, word: bytes, step: int, token: Token) -> Args:
    """Replace what stands `step` behind a word."""
    shown = list(args)
    for at, arg in enumerate(args):
        if at and arg.upper() == word and at + step < len(args):
            shown[at + step] = token(args[at + step])
    return tuple(shown)


def _rule(arg: bytes, token: Token) -> bytes:
    return arg[:1] + token(arg[1:]) if arg.startswith(_ACL_SECRETS) else arg


def _settings(args: Args, first: int, token: Token) -> Args:
    shown = list(args)
    for at in range(first, len(args) - 1, 2):
        if args[at].lower() in SECRET_SETTINGS:
            shown[at + 1] = token(args[at + 1])
    return tuple(shown)


# --- replies --------------------------------------------------------------------------------------------------


def redact_reply(request: Request, reply: Reply, token: Token) -> Reply:
    """A reply with the credentials that the server told replaced."""
    if request.kind == "command":
        value = _told(reply.value, request.args, token)
    elif request.kind == "transaction" and isinstance(reply.value, Array):
        items, commands = reply.value.items, request.commands
        if len(items) != len(commands):
            return reply
        told = (_told(item, args, token) for item, args in zip(items, commands, strict=True))
        value = Array(tuple(told))
    else:
        return reply
    return reply if value == reply.value else Reply(value, after=reply.after, channel=reply.channel)


def _told(value: Value, args: Args, token: Token) -> Value:
    match name_of(args):
        case b"CONFIG GET":
            return _secret_settings(value, token)
        case b"ACL GENPASS":
            return token(value) if isinstance(value, bytes) else value
        case b"ACL LIST" | b"ACL GETUSER":
            return _hashes(value, token)
    return value


def _secret_settings(value: Value, token: Token) -> Value:
    if isinstance(value, Map):
        return Map(tuple((name, _secret(name, item, token)) for name, item in value.pairs))
    if isinstance(value, Array):
        items = value.items
        names = (b"", *items[:-1])
        shown = (
            _secret(name, item, token) if at % 2 else item
            for at, (name, item) in enumerate(zip(names, items, strict=True))
        )
        return Array(tuple(shown), value.kind)
    return value


def _secret(name: Value, value: Value, token: Token) -> Value:
    is_secret = isinstance(name, bytes) and name.lower() in SECRET_SETTINGS
    return token(value) if is_secret and isinstance(value, bytes) and value else value


def _hashes(value: Value, token: Token) -> Value:
    match value:
        case bytes():
            return _HASH.sub(lambda found: token(found[0]), value)
        case Array(items, kind):
            return Array(tuple(_hashes(item, token) for item in items), kind)
        case Map(pairs):
            return Map(tuple((name, _hashes(item, token)) for name, item in pairs))
    return value
