"""inet, cidr and hardware addresses.

byte family (2 IPv4, 3 IPv6), byte bits of the mask, byte whether a cidr, byte length, address
"""

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Never

from svcmock_protocols.postgres.types.codec import Codec, codec

_IPV4, _IPV6 = 2, 3
_SIZES = {_IPV4: 4, _IPV6: 16}
_HEAD = 4


def _read(data: bytes, *, network: bool) -> str:
    if len(data) < _HEAD:
        raise ValueError(f"{len(data)} bytes")
    family, bits, _, size = data[:_HEAD]
    if _SIZES.get(family) != size or len(data) != _HEAD + size or bits > 8 * size:
        raise ValueError("no family, mask or length of an address")
    address = data[_HEAD:]
    if network:
        _check_network(address, bits)
    text = ".".join(map(str, address)) if family == _IPV4 else _ipv6_text(address)
    return text if bits == 8 * size and not network else f"{text}/{bits}"


def _ipv6_text(address: bytes) -> str:
    """As `inet_ntop` writes it, which shows an IPv4 address that is embedded as one."""
    embedded = address[:12] == bytes(12) and any(address[12:14])
    if embedded:
        return f"::{IPv4Address(address[12:])}"
    if address[:12] == bytes(10) + b"\xff\xff":
        return f"::ffff:{IPv4Address(address[12:])}"
    return IPv6Address(address).compressed


def _check_network(address: bytes, bits: int) -> None:
    if int.from_bytes(address) & ((1 << 8 * len(address) - bits) - 1):
        raise ValueError("bits are set to the right of the mask")


def _write(text: str, *, network: bool) -> bytes:
    plain, slash, mask = text.strip().partition("/")
    if "%" in plain:
        raise ValueError("an address with the name of an interface")
    try:
        family, address = (
            (_IPV6, IPv6Address(plain).packed) if ":" in plain else (_IPV4, IPv4Address(plain).packed)
        )
    except AddressValueError as error:
        raise ValueError(str(error)) from None
    bits = int(mask) if slash else 8 * len(address)
    if not 0 <= bits <= 8 * len(address):
        raise ValueError(f"a mask of {bits} bits")
    if network:
        _check_network(address, bits)
    return bytes((family, bits, network, len(address))) + address


def _inet_from(data: bytes) -> str:
    return _read(data, network=False)


def _inet_to(text: str) -> bytes:
    return _write(text, network=False)


def _cidr_from(data: bytes) -> str:
    return _read(data, network=True)


def _cidr_to(text: str) -> bytes:
    return _write(text, network=True)


_NO_PUNCTUATION = str.maketrans("", "", ":-. ")


def _hardware(text: str) -> bytes:
    return bytes.fromhex(text.translate(_NO_PUNCTUATION))


def _mac_from(data: bytes) -> str:
    return data.hex(":") if len(data) == 6 else _wrong(data)


def _mac_to(text: str) -> bytes:
    data = _hardware(text)
    return data if len(data) == 6 else _wrong(data)


def _widened(data: bytes) -> bytes:
    """An EUI-48 in an EUI-64."""
    return data[:3] + b"\xff\xfe" + data[3:] if len(data) == 6 else data


def _mac8_from(data: bytes) -> str:
    wide = _widened(data)
    return wide.hex(":") if len(wide) == 8 else _wrong(data)


def _mac8_to(text: str) -> bytes:
    data = _hardware(text)
    wide = _widened(data)
    return wide if len(wide) == 8 else _wrong(data)


def _wrong(data: bytes) -> Never:
    raise ValueError(f"{len(data)} bytes")


INET: Codec = codec(_inet_from, _inet_to)
CIDR: Codec = codec(_cidr_from, _cidr_to)
MACADDR: Codec = codec(_mac_from, _mac_to)
MACADDR8: Codec = codec(_mac8_from, _mac8_to)
