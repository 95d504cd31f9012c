"""Body files on their way to one client, read piece by piece as it takes them.

A large one is read while it is sent, and is all that is sent meanwhile. Slices of one file, each between the
heads of frames, are read at once; the file stays open until the step is over.
"""

import os

from svcmock.protocol import Blob

FILE_PIECE = 256 * 1024
"""Bytes read from a body file at a time."""
FILE_JOINED = 64 * 1024
"""Bytes of a slice that is read at once and joined with what stands around it: the head of its frame."""


class Unsendable(Exception):
    """A body file that cannot be read, or is shorter than the head that has left has promised."""


class Outgoing:
    """Of one connection."""

    __slots__ = ("_file", "_slices", "active")

    def __init__(self) -> None:
        self.active = False
        """Whether a file is being sent; nothing else may be, then."""
        self._file: tuple[int, int, int] | None = None
        """The descriptor, and what of it is to be sent: from where, and how much."""
        self._slices: tuple[str, int] | None = None
        """A file that is sent in slices, by its path, and its descriptor."""

    def begin(self, blob: Blob) -> None:
        """Raises Unsendable."""
        self._file = (_open(blob), blob.offset, blob.size)
        self.active = True

    def piece(self) -> bytes:
        """The next bytes of the file; empty after its last. Raises Unsendable."""
        if self._file is None:
            return b""
        handle, offset, left = self._file
        if not left:
            self.end()
            return b""
        piece = os.pread(handle, min(FILE_PIECE, left), offset)
        if not piece:
            self.end()
            raise Unsendable(f"a body file is shorter than its route says, by {left} bytes")
        self._file = (handle, offset + len(piece), left - len(piece))
        return piece

    def slice(self, blob: Blob) -> bytes:
        """A slice among many of one file. Raises Unsendable."""
        if self._slices is None or self._slices[0] != blob.path:
            self.close_slices()
            self._slices = (blob.path, _open(blob))
        piece = os.pread(self._slices[1], blob.size, blob.offset)
        if len(piece) < blob.size:
            short = blob.size - len(piece)
            raise Unsendable(f"a body file is shorter than its route says, by {short} bytes")
        return piece

    def close_slices(self) -> None:
        if self._slices is not None:
            os.close(self._slices[1])
            self._slices = None

    def end(self) -> None:
        """Nothing more is sent of the file."""
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
            self.active = False


def _open(blob: Blob) -> int:
    try:
        return os.open(blob.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unsendable(f"the body file {blob.path} cannot be read: {error.strerror}") from None
