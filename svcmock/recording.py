"""Exchanges on their way into a project's files, and the tokens that stand for credentials there.

Decides how a recording run writes: one file per service and run that only ever grows, one document and one
`write` per exchange, between a `---` and a `...` line (YAML 1.2.2 section 9.1.2). The closing line is the
commit mark: a last document without it was cut off by a crash, and the loader skips it. Large bodies are
stored first, under the hash of their content, so that no document ever refers to a file that is not there.
A failed write takes back what it wrote: the exchange is lost and reported, everything before it stays good.

Credentials become `svcmock-` and 24 characters of HMAC-SHA256 (RFC 2104) under the project's key. Equal
credentials have equal tokens within a project, tokens of two projects cannot be compared, and none can be
turned back. Without the key, in a fresh clone, all credentials are taken for equal: `tokenizer`.
"""

import base64
import errno
import hmac
import os
import re
import shutil
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct

from svcmock.protocol import Doc, Spooled, SvcmockError
from svcmock.yamlout import UnwritableError, emit

KEY_BYTES = 32
"""Of the project's key; as many as the hash has."""
ANY_CREDENTIAL = b"svcmock-any"
"""What every credential and every token is taken for without the project's key."""
REMEMBERED_TOKENS = 4096
"""A live request's credentials are nearly always those of the request before it."""

_TOKEN = re.compile(rb"svcmock-[a-z2-7]{24}")
_BODY_NAME = re.compile(r"bodies/[0-9a-f]{64}")

Adopt: TypeAlias = Callable[[Spooled], Path]
"""Hands over the temporary file that holds a spooled payload: the caller owns it from then on."""


class RecordingError(SvcmockError):
    """An exchange could not be written. The recording holds all exchanges before it, and can go on."""


# --- files --------------------------------------------------------------------------------------------


class Recording:
    """One recording run's file for one service, made with its first exchange. Not safe between threads."""

    def __init__(self, folder: Path, name: str, adopt: Adopt) -> None:
        """`folder` is `recordings/<service>`, `name` the file in it, `<UTC timestamp>-<run id>.yaml`."""
        self.path = folder / name
        self._adopt = adopt
        self._file: int | None = None
        self._length = 0
        self._torn = False

    def append(self, doc: Doc, files: Mapping[str, bytes | Spooled]) -> None:
        """Write one exchange: `files` first, by the names the document uses, then the document.

        Spooled payloads are adopted whatever happens. Raises RecordingError, and leaves no trace of the
        document then.
        """
        adopted: dict[str, Path] = {}
        try:
            for name, data in files.items():
                if isinstance(data, Spooled):
                    adopted[name] = self._adopt(data)
            text = f"---\n{emit(doc)}...\n".encode()
            for name, data in files.items():
                self._store(name, adopted[name] if isinstance(data, Spooled) else data)
            self._write(text)
        except (OSError, UnwritableError) as error:
            raise RecordingError(f"{self.path.name}: {_reason(error)}") from error
        finally:
            for path in adopted.values():
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file back. What was appended is already in it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, text: bytes) -> None:
        file = self._open()
        if self._torn:
            os.ftruncate(file, self._length)
            self._torn = False
        try:
            _write_at_once(file, text)
        except OSError:
            self._torn = True
            os.ftruncate(file, self._length)
            self._torn = False
            raise
        self._length += len(text)

    def _open(self) -> int:
        if self._file is None:
            _private_folder(self.path.parent)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, 0o600)
            self._length = os.fstat(self._file).st_size
        return self._file

    def _store(self, name: str, data: bytes | Path) -> None:
        """Put a body where documents look for it. It is there whole or not at all."""
        if not _BODY_NAME.fullmatch(name):
            raise RecordingError(f"{name!r} is no name of a body file")
        target = self.path.parent / name
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        if target.exists():
            if target.stat().st_size != size:
                raise RecordingError(f"{name} is there with other bytes: the same content in another coding")
            return
        _private_folder(target.parent)
        draft = target.with_name(f".{target.name}.{self.path.stem}")
        try:
            _draft(draft, data)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def _write_at_once(file: int, text: bytes) -> None:
    """One write, so that a crash cannot come between two. A short one means that the disk is full."""
    if os.write(file, text) < len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _draft(draft: Path, data: bytes | Path) -> None:
    """Bytes are written, a file is moved where it can be and copied where it is on another disk."""
    if isinstance(data, Path):
        try:
            data.replace(draft)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            draft.chmod(0o600)
            return
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if isinstance(data, Path):
            with data.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            file.write(data)


def _private_folder(folder: Path) -> None:
    """Make `folder` for its owner alone; folders that are there already keep their mode."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def keep(folder: Path, name: str, data: bytes) -> None:
    """Put a file beside the recordings in `folder`, whole or not at all. Raises RecordingError.

    One that says the same is left alone, so that nobody takes it for changed.
    """
    target = folder / name
    if Path(name).name != name or name.startswith("."):
        raise RecordingError(f"{name!r} is no name of a file")
    draft = target.with_name(f".{name}.{os.getpid()}")
    try:
        if target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data:
            return
        _private_folder(folder)
        try:
            _draft(draft, data)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{name}: {_reason(error)}") from error


# --- counting -----------------------------------------------------------------------------------------


class Counters(Struct):
    """What became of the requests of a recording: accepted = recorded + skipped + failed + in flight."""

    accepted: int = 0
    recorded: int = 0
    skipped: int = 0
    failed: int = 0

    @property
    def in_flight(self) -> int:
        return self.accepted - self.recorded - self.skipped - self.failed

    def accept(self) -> None:
        """A request began."""
        self.accepted += 1

    def settle(self, how: Literal["recorded", "skipped", "failed"]) -> None:
        """A request that began has come to its end. Raises RuntimeError if none is under way."""
        if not self.in_flight:
            raise RuntimeError("an exchange was settled that never began")
        setattr(self, how, getattr(self, how) + 1)


# --- tokens -------------------------------------------------------------------------------------------


def tokenizer(key: bytes | None) -> Callable[[bytes], bytes]:
    """The function that turns a credential into its token, and a token into itself.

    It is applied to what is recorded and to what a live client sends, so a live credential has to be the
    recorded one, unseen. Without a key nothing can be compared: every credential and every token becomes
    ANY_CREDENTIAL, and a match then needs a credential of the same scheme in the same place, whichever.
    """
    if key is None:
        return lambda _credential: ANY_CREDENTIAL

    @lru_cache(maxsize=REMEMBERED_TOKENS)
    def token(credential: bytes) -> bytes:
        if _TOKEN.fullmatch(credential):
            return credential
        digest = hmac.digest(key, credential, "sha256")
        return b"svcmock-" + base64.b32encode(digest[:15]).lower()

    return token


def load_key(path: Path) -> bytes | None:
    """The project's key, or None where there is none. Raises RecordingError for a file that is no key."""
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RecordingError(f"{path.name} cannot be read as a key: {_reason(error)}") from error
    if len(key) != KEY_BYTES:
        raise RecordingError(f"{path.name} holds {len(key)} bytes, a key has {KEY_BYTES}")
    return key


def load_or_create_key(path: Path) -> bytes:
    """The project's key, made on first use: hex digits in a file of mode 0600. Raises RecordingError.

    Of several processes that make it at once one wins, and all return the winner's.
    """
    key = load_key(path)
    if key is not None:
        return key
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _private_folder(path.parent)
        _draft(draft, f"{os.urandom(KEY_BYTES).hex()}\n".encode())
        try:
            path.hardlink_to(draft)
        finally:
            draft.unlink()
    except FileExistsError:
        pass
    except OSError as error:
        raise RecordingError(f"{path.name} cannot be made: {_reason(error)}") from error
    key = load_key(path)
    if key is None:
        raise RecordingError(f"{path.name} disappeared")
    return key
