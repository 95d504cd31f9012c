"""What the mock answers by itself, where no recorded route does: the talk of a client library with its server.

HELLO, CLIENT, COMMAND and the like are about one connection or about the server, not about data, and each
library asks for other things. What a server says of itself is recorded (`facts`); numbers of clients are given
out anew.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from svcmock_protocols.redis.canonical import sha1
from svcmock_protocols.redis.catalogue import ARITY, flags, is_miscounted, keys, name_of, span
from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.messages import NULL, OK, Args, Array, Error, Map, Nil, Simple, Value, Verbatim


class Client(Struct):
    """What a session knows of its client."""

    number: int
    facts: Facts
    version: int = 2
    db: int = 0
    name: bytes = b""
    library: bytes = b""
    library_version: bytes = b""
    quiet: bool = False
    """CLIENT REPLY OFF."""
    skip: bool = False
    """CLIENT REPLY SKIP: the next command gets no reply."""


def wrong_arguments(args: Args) -> Error:
    return Error(
        b"ERR wrong number of arguments for '%b' command" % shown(name_of(args).lower().replace(b" ", b"|"))
    )


def shown(data: bytes) -> bytes:
    """What can stand in an error."""
    return data[:128].replace(b"\r", b" ").replace(b"\n", b" ")


def auth(args: Args) -> Value:
    """Any credentials are taken."""
    return OK if len(args) < 4 else Error(b"ERR syntax error")


# --- HELLO ----------------------------------------------------------------------------------------------------


def hello(args: Args, client: Client) -> Value:
    """Switch to the version that is asked for, take any credentials, tell of the server."""
    version = client.version
    if len(args) > 1:
        if args[1] not in (b"2", b"3"):
            number = args[1].isdigit()
            return Error(
                b"NOPROTO unsupported protocol version"
                if number
                else b"ERR Protocol version is not an integer or out of range"
            )
        version = int(args[1])
    at, name = 2, client.name
    while at < len(args):
        option = args[at].upper()
        if option == b"AUTH" and at + 2 < len(args):
            at += 3
        elif option == b"SETNAME" and at + 1 < len(args):
            name = args[at + 1]
            at += 2
        else:
            return Error(b"ERR Syntax error in HELLO option '%b'" % shown(args[at]))
    client.version, client.name = version, name
    facts = client.facts
    return Map(
        (
            (b"server", facts.server.encode()),
            (b"version", facts.version.encode()),
            (b"proto", version),
            (b"id", client.number),
            (b"mode", facts.mode.encode()),
            (b"role", facts.role.encode()),
            (b"modules", Array()),
        )
    )


# --- CLIENT ---------------------------------------------------------------------------------------------------

_DONE: Final = frozenset(
    b"CLIENT " + name for name in (b"CACHING", b"NO-EVICT", b"NO-TOUCH", b"PAUSE", b"TRACKING", b"UNPAUSE")
)
"""What is agreed to, and means nothing here."""


def _set_name(args: Args, client: Client) -> Value:
    if len(args) != 3:
        return wrong_arguments(args)
    if any(byte < 0x21 or byte > 0x7E for byte in args[2]):
        return Error(b"ERR Client names cannot contain spaces, newlines or special characters.")
    client.name = args[2]
    return OK


def _set_info(args: Args, client: Client) -> Value:
    if len(args) != 4:
        return wrong_arguments(args)
    match args[2].upper():
        case b"LIB-NAME":
            client.library = args[3]
        case b"LIB-VER":
            client.library_version = args[3]
        case _:
            return Error(b"ERR Unrecognized option '%b'" % shown(args[2]))
    return OK


def _reply(args: Args, client: Client) -> Value:
    if len(args) != 3:
        return wrong_arguments(args)
    mode = args[2].upper()
    if mode not in {b"ON", b"OFF", b"SKIP"}:
        return Error(b"ERR syntax error")
    client.quiet = mode == b"OFF"
    client.skip = mode == b"SKIP"
    return OK


def _client_info(_args: Args, client: Client) -> Value:
    line = b"id=%d addr=127.0.0.1:0 laddr=127.0.0.1:0 fd=8 name=%b age=0 idle=0 flags=N db=%d sub=0 psub=0" % (
        client.number,
        client.name,
        client.db,
    )
    more = b" resp=%d lib-name=%b lib-ver=%b\n" % (client.version, client.library, client.library_version)
    return Verbatim(b"txt", line + b" multi=-1 events=r cmd=client|info user=default redir=-1" + more)


def _tracking_info(_args: Args, _client: Client) -> Value:
    return Map(((b"flags", Array((b"off",), "set")), (b"redirect", -1), (b"prefixes", Array())))


_CLIENT: Final[dict[bytes, Callable[[Args, Client], Value]]] = {
    b"CLIENT ID": lambda _args, client: client.number,
    b"CLIENT GETNAME": lambda _args, client: client.name or NULL,
    b"CLIENT SETNAME": _set_name,
    b"CLIENT SETINFO": _set_info,
    b"CLIENT REPLY": _reply,
    b"CLIENT INFO": _client_info,
    b"CLIENT LIST": _client_info,
    b"CLIENT TRACKINGINFO": _tracking_info,
    b"CLIENT GETREDIR": lambda _args, _client: -1,
    b"CLIENT KILL": lambda args, _client: OK if len(args) == 3 else 0,
    b"CLIENT UNBLOCK": lambda _args, _client: 0,
}


def _client(args: Args, client: Client) -> Value:
    name = name_of(args)
    if name in _DONE:
        return OK
    known = _CLIENT.get(name)
    if known is not None:
        return known(args, client)
    return Error(b"ERR unknown subcommand '%b'. Try CLIENT HELP." % shown(args[1]))


# --- others ---------------------------------------------------------------------------------------------------


def _ping(args: Args, _client: Client) -> Value:
    if len(args) > 2:
        return wrong_arguments(args)
    return args[1] if len(args) == 2 else Simple(b"PONG")


def _echo(args: Args, _client: Client) -> Value:
    return args[1]


def _command(args: Args, _client: Client) -> Value | None:
    """What clients of a cluster ask, to learn where keys are."""
    match name_of(args):
        case b"COMMAND":
            return Array(tuple(map(_described, ARITY)))
        case b"COMMAND COUNT":
            return len(ARITY)
        case b"COMMAND LIST":
            return Array(tuple(name.lower() for name in ARITY))
        case b"COMMAND INFO":
            names = (name.upper() for name in args[2:])
            return Array(tuple(_described(name) if name in ARITY else Nil("bulk") for name in names))
        case b"COMMAND GETKEYS":
            found = keys((args[2].upper(), *args[3:])) if len(args) > 2 else ()
            return Array(found) if found else Error(b"ERR The command has no key arguments")
        case b"COMMAND DOCS":
            return Map()
    return None


def _described(name: bytes) -> Value:
    told = Array(tuple(map(Simple, flags(name))), "set")
    return Array((name.lower(), ARITY[name], told, *span(name), Array((), "set"), Array(), Array(), Array()))


def _info(_args: Args, client: Client) -> Value:
    """As much as clients look at before they take a server for ready."""
    facts = client.facts
    lines = (
        "# Server",
        f"redis_version:{facts.version}",
        f"redis_mode:{facts.mode}",
        "# Clients",
        "connected_clients:1",
        "# Persistence",
        "loading:0",
        "# Replication",
        f"role:{facts.role}",
        "connected_slaves:0",
        "master_replid:0000000000000000000000000000000000000000",
        "# Cluster",
        f"cluster_enabled:{int(facts.mode == 'cluster')}",
    )
    return Verbatim(b"txt", "".join(f"{line}\r\n" for line in lines).encode())


def _script(args: Args, _client: Client) -> Value | None:
    """A script is known when its SHA-1 is."""
    if name_of(args) == b"SCRIPT LOAD" and len(args) == 3:
        return sha1(args[2])
    return OK if name_of(args) == b"SCRIPT FLUSH" else None


_ANSWERS: Final[dict[bytes, Callable[[Args, Client], Value | None]]] = {
    b"HELLO": hello,
    b"CLIENT": _client,
    b"COMMAND": _command,
    b"SCRIPT": _script,
    b"INFO": _info,
    b"PING": _ping,
    b"ECHO": _echo,
    **dict.fromkeys((b"READONLY", b"READWRITE", b"ASKING", b"WATCH", b"UNWATCH"), lambda _args, _client: OK),
}
LOCAL: Final = frozenset(_ANSWERS)
"""Names of the commands that are answered here where no route does."""


def answer(args: Args, client: Client) -> Value | None:
    """The answer to one of these, which may change what is known of the client; None: only a route has one."""
    return wrong_arguments(args) if is_miscounted(args) else _ANSWERS[args[0]](args, client)


def is_usual(args: Args, reply: Value) -> bool:
    """Whether what a real server answered is what is answered here, so that nobody needs a recording of it."""
    match args[0]:
        case b"WATCH" | b"UNWATCH":
            return True
        case b"PING" | b"ECHO" | b"READONLY" | b"READWRITE" | b"ASKING":
            return reply == answer(args, Client(0, Facts())) or reply == Array(
                (b"pong", args[1] if len(args) > 1 else b"")
            )
        case b"SCRIPT":
            known = _script(args, Client(0, Facts()))
            return known is not None and known == reply
    return False
