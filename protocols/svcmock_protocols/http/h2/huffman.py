"""The Huffman code of header strings: bytes to fewer bytes and back (RFC 7541 section 5.2, appendix B).

Decides what is a Huffman-coded string. Refused are the symbol EOS, and an end that is not all ones or longer
than seven bits; nothing else can be wrong, as the code is complete.

The code is canonical: its lengths say all of it. DEFLATE makes its codes of their lengths by the same rule
(RFC 1951 section 3.2.2), but none of more than 15 bits. Up to there, exactly one code is left over: fifteen
ones, with which every longer one begins. As the end of a DEFLATE block, it makes the code one that zlib
decodes, in half the time a table walked in Python takes for 40 characters, and in a tenth for 400:

    zlib gets    empty blocks up to a whole byte │ a block that has this code │ the string │ fifteen ones
    it stops     at fifteen ones: where the padding begins, if the string is well-formed,
                 earlier or later if there is a rare symbol or an error; then such a table is walked
"""

import zlib
from typing import Final

LENGTHS: Final = bytes(
    (
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
        28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
         6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
         5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
        13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
         7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
        15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
         6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
        21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
        19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    )
)  # fmt: skip
"""The bits of each symbol's code. The last is EOS, which is no byte."""


_EOS: Final = len(LENGTHS) - 1
_COST: Final = LENGTHS[:_EOS]
_TURNED: Final = bytes([int(f"{byte:08b}"[::-1], 2) for byte in range(256)])
"""Each byte with its bits in the other order: DEFLATE fills bytes from their low end."""
_PADDINGS: Final = frozenset("1" * bits for bits in range(8))


def _codes() -> list[str]:
    """The code of each symbol, as digits."""
    codes = [""] * len(LENGTHS)
    code = length = 0
    for symbol in sorted(range(len(LENGTHS)), key=LENGTHS.__getitem__):
        code <<= LENGTHS[symbol] - length
        length = LENGTHS[symbol]
        codes[symbol] = f"{code:0{length}b}"
        code += 1
    return codes


_CODES: Final = _codes()
_SYMBOLS: Final = {code: symbol for symbol, code in enumerate(_CODES)}


def _block_head() -> bytes:
    """What stands before a string (RFC 1951 section 3.2). Numbers begin with their low bit, codes do not."""
    lengths = [length if length <= 15 else 0 for length in LENGTHS[:_EOS]] + [15]
    parts = [
        "0100000000" * 3,  # three blocks of the fixed code, ended at once: with them, the head fills its bytes
        "101",  # the last block, which tells its codes
        "00000" + "00000" + "1111",  # 257 symbols, one distance, 19 lengths of the code that tells lengths:
        "000" * 3 + "001" * 16,  # none for repetitions, four bits for each length from 0 to 15
        *(f"{length:04b}" for length in lengths),
        "0000",  # no distance after all
    ]
    bits = "".join(parts)
    return int(bits[::-1], 2).to_bytes(len(bits) // 8, "little")


_INFLATE: Final = zlib.decompressobj(-15)
_INFLATE.decompress(_block_head())


def decode(data: bytes) -> bytes | None:
    """The string that `data` is the code of; None if there is none."""
    inflate = _INFLATE.copy()
    found = inflate.decompress(data.translate(_TURNED) + b"\xff\x7f")
    # Fifteen ones that end in the very last byte begin 0 to 6 bits before the end of `data`. 7 could be 8.
    if inflate.eof and not inflate.unused_data:
        return found
    if sum(found.translate(_COST)) == len(data) * 8 - 7:
        return found
    return _walk(data)


class _State(dict[str, tuple[int | None, "_State"]]):
    """A beginning of a code, `read`. By hexadecimal digit: the symbol that this completes, and the next state.

    Made as they are needed. There are at most 256, as every code but one is a byte's, and each has 16 digits.
    """

    __slots__ = ("read",)

    def __init__(self, read: str) -> None:
        super().__init__()
        self.read = read

    def __missing__(self, digit: str) -> tuple[int | None, "_State"]:
        read = self.read
        found = None
        for bit in f"{int(digit, 16):04b}":
            read += bit
            if read in _SYMBOLS:
                found = _SYMBOLS[read]
                read = ""
        if read not in _STATES:
            _STATES[read] = _State(read)
        self[digit] = step = found, _STATES[read]
        return step


_STATES: Final = {"": _State("")}


def _walk(data: bytes) -> bytes | None:
    """`decode` of anything."""
    state = _STATES[""]
    found = bytearray()
    for digit in data.hex():
        symbol, state = state[digit]
        if symbol is not None:
            if symbol == _EOS:
                return None
            found.append(symbol)
    return bytes(found) if state.read in _PADDINGS else None


def size(string: bytes) -> int:
    """How many bytes the code of `string` has."""
    return (sum(string.translate(_COST)) + 7) // 8


def encode(string: bytes) -> bytes:
    """The code of `string`."""
    bits = "".join([_CODES[byte] for byte in string])
    bits += "1" * (-len(bits) % 8)
    return int("0" + bits, 2).to_bytes(len(bits) // 8)
