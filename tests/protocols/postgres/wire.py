"""Messages of PostgreSQL as literal bytes, in both directions, and a service: for the tests of this folder."""

from hashlib import sha256

from svcmock.noise import Noise
from svcmock.protocol import Context, Send
from svcmock_protocols.postgres.messages import Options
from svcmock_protocols.postgres.shared import State


def message(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return kind + (len(body) + 4).to_bytes(4) + body


def z(value: str) -> bytes:
    return value.encode() + b"\0"


def i16(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, signed=value < 0) for value in values)


def i32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, signed=value < 0) for value in values)


def value(data: bytes | None) -> bytes:
    return i32(-1) if data is None else i32(len(data)) + data


# --- clients ---


def startup(version: int = 196608, **parameters: str) -> bytes:
    named = parameters or {"user": "ann", "database": "shop"}
    body = i32(version) + b"".join(z(name) + z(text) for name, text in named.items()) + b"\0"
    return i32(len(body) + 4) + body


SSL = i32(8, 80877103)
GSSENC = i32(8, 80877104)


def query(sql: str) -> bytes:
    return message(b"Q", z(sql))


def parse(sql: str, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    return message(b"P", z(name), z(sql), i16(len(types)), i32(*types))


def bind(
    values: tuple[bytes | None, ...] = (),
    *,
    statement: str = "",
    portal: str = "",
    formats: tuple[int, ...] = (),
    wanted: tuple[int, ...] = (),
) -> bytes:
    shown = [i16(len(formats), *formats), i16(len(values)), *map(value, values), i16(len(wanted), *wanted)]
    return message(b"B", z(portal), z(statement), *shown)


def describe(kind: str = "P", name: str = "") -> bytes:
    return message(b"D", kind.encode(), z(name))


def execute(portal: str = "", limit: int = 0) -> bytes:
    return message(b"E", z(portal), i32(limit))


def close(kind: str = "S", name: str = "") -> bytes:
    return message(b"C", kind.encode(), z(name))


SYNC, FLUSH, TERMINATE = message(b"S"), message(b"H"), message(b"X")

# --- servers ---


def columns(*named: tuple[str, int], form: int = 0, size: int = -1) -> bytes:
    parts = [z(name) + i32(0) + i16(0) + i32(oid) + i16(size) + i32(-1) + i16(form) for name, oid in named]
    return message(b"T", i16(len(named)), *parts)


def row(*values: bytes | None) -> bytes:
    return message(b"D", i16(len(values)), *map(value, values))


def complete(tag: str) -> bytes:
    return message(b"C", z(tag))


def ready(status: str = "I") -> bytes:
    return message(b"Z", status.encode())


def error(code: str, text: str, severity: str = "ERROR", kind: bytes = b"E") -> bytes:
    return message(kind, b"S", z(severity), b"V", z(severity), b"C", z(code), b"M", z(text), b"\0")


def types(*oids: int) -> bytes:
    return message(b"t", i16(len(oids)), i32(*oids))


def reported(name: str, text: str) -> bytes:
    return message(b"S", z(name), z(text))


PARSED, BOUND, CLOSED, NO_DATA = message(b"1"), message(b"2"), message(b"3"), message(b"n")
SUSPENDED, EMPTY = message(b"s"), message(b"I")
HELLO = b"".join([message(b"R", i32(0)), message(b"K", i32(7), b"abcd"), ready()])

# --- services ---

ANYBODY = Options()


def token(secret: bytes) -> bytes:
    """As the daemon's: a token stays what it is."""
    return secret if secret.startswith(b"svcmock-") else b"svcmock-" + sha256(secret).hexdigest()[:24].encode()


def context(
    options: Options = ANYBODY, ignore: tuple[str, ...] = (), schema: object = None, *, tls: bool = False
) -> Context:
    return Context(options, Noise(ignore), token, schema=schema, state=State(), tls=tls)


def sent(outs) -> bytes:
    return b"".join(out.data for out in outs if isinstance(out, Send))


def split(data: bytes) -> list[bytes]:
    """Messages with their types, one by one."""
    found = []
    while data:
        size = int.from_bytes(data[1:5]) + 1
        found.append(data[:size])
        data = data[size:]
    return found


def kinds(data: bytes) -> str:
    """The letters of the messages in order."""
    return "".join(chr(one[0]) for one in split(data))


def nofiles(name: str):
    raise AssertionError(name)
