"""bool, the integers, and what PostgreSQL sends as integers: oids, transaction ids, log positions, money.

The text of money depends on the server's locale; here it is that of the C locale: `$1,234.56`.
"""

import struct

from svcmock_protocols.postgres.types.codec import Codec, codec
from svcmock_protocols.postgres.types.numeric import canonical

_TRUE = frozenset(["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"])
_FALSE = frozenset(["f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"])


def _bool_from(data: bytes) -> str:
    if len(data) != 1:
        raise ValueError(f"{len(data)} bytes")
    return "f" if data == b"\0" else "t"


def _bool_to(text: str) -> bytes:
    word = text.strip().lower()
    if word in _TRUE:
        return b"\1"
    if word in _FALSE:
        return b"\0"
    raise ValueError("neither true nor false")


def _integer(shape: str) -> Codec:
    form = struct.Struct(shape)
    pack, unpack = form.pack, form.unpack

    def to_text(data: bytes) -> str:
        return str(unpack(data)[0])

    def to_binary(text: str) -> bytes:
        return pack(int(text))

    return codec(to_text, to_binary, canonical)


_LONG = struct.Struct(">q")
_CENTS = 100


def _money_from(data: bytes) -> str:
    cents: int = _LONG.unpack(data)[0]
    whole, rest = divmod(abs(cents), _CENTS)
    return f"{'-' if cents < 0 else ''}${whole:,}.{rest:02d}"


def _money_to(text: str) -> bytes:
    plain = text.strip().replace("$", "").replace(",", "")
    if plain.startswith("(") and plain.endswith(")"):
        plain = f"-{plain[1:-1]}"
    whole, _, rest = plain.partition(".")
    digits = whole.removeprefix("-")
    cents = rest.ljust(2, "0")
    if not (digits or rest) or not (digits + cents).isdigit() or len(cents) > 2:
        raise ValueError("no amount of money")
    amount = int(digits or "0") * _CENTS + int(cents)
    return _LONG.pack(-amount if whole.startswith("-") else amount)


_LSN = struct.Struct(">II")


def _lsn_from(data: bytes) -> str:
    high, low = _LSN.unpack(data)
    return f"{high:X}/{low:X}"


def _lsn_to(text: str) -> bytes:
    high, _, low = text.strip().partition("/")
    return _LSN.pack(int(high, 16), int(low, 16))


_TID = struct.Struct(">IH")


def _tid_from(data: bytes) -> str:
    block, offset = _TID.unpack(data)
    return f"({block},{offset})"


def _tid_to(text: str) -> bytes:
    block, _, offset = text.strip().removeprefix("(").removesuffix(")").partition(",")
    return _TID.pack(int(block), int(offset))


_SNAPSHOT = struct.Struct(">iqq")


def _snapshot_from(data: bytes) -> str:
    count, lowest, highest = _SNAPSHOT.unpack_from(data)
    if len(data) != _SNAPSHOT.size + 8 * count:
        raise ValueError(f"{count} transactions are announced, {len(data)} bytes are here")
    running = struct.unpack_from(f">{count}q", data, _SNAPSHOT.size)
    return f"{lowest}:{highest}:{','.join(map(str, running))}"


def _snapshot_to(text: str) -> bytes:
    lowest, highest, running = text.strip().split(":")
    ids = [int(part) for part in running.split(",")] if running else []
    return _SNAPSHOT.pack(len(ids), int(lowest), int(highest)) + struct.pack(f">{len(ids)}q", *ids)


BOOL: Codec = codec(_bool_from, _bool_to)
INT2: Codec = _integer(">h")
INT4: Codec = _integer(">i")
INT8: Codec = _integer(">q")
OID: Codec = _integer(">I")
XID8: Codec = _integer(">Q")
MONEY: Codec = codec(_money_from, _money_to)
LSN: Codec = codec(_lsn_from, _lsn_to)
TID: Codec = codec(_tid_from, _tid_to)
SNAPSHOT: Codec = codec(_snapshot_from, _snapshot_to)
