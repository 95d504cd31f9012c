"""Which daemons run, for whom, and how to reach them.

A daemon holds a lock on `.svcmock/daemon.pid` of its project for as long as it lives: the lock, not the
number in the file, says whether it runs, so a stale file of a killed daemon misleads nobody. Beside it,
`daemon.json` tells where its control API listens. A per-user folder points to the projects that have been
started, so that `svcmock status` finds them from anywhere.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from svcmock.protocol import SvcmockError

PRIVATE = ".svcmock"
"""The project's folder for what is this machine's alone: sockets, logs, caches, the redaction key."""


ATTEMPTS = 10
ATTEMPT_SECONDS = 0.02
"""How often, and how far apart, the lock of a project is tried for."""


class AlreadyRunning(SvcmockError):
    """Another daemon serves this project."""


class NotRunning(SvcmockError):
    """There is no daemon to ask, or more than one."""


class Running(Struct, frozen=True):
    """A daemon: its process, its project's folder, and where its control API listens."""

    pid: int
    root: str
    admin: str
    started: float = 0.0
    token_file: str | None = None


class Lock:
    """The right to serve a project, held until `release` or the end of the process.

    Raises AlreadyRunning, or SvcmockError where the project's folder cannot be written to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            self._folder = private_folder(root)
            self._file = _acquire(root, self._folder / "daemon.pid")
        except OSError as error:
            raise SvcmockError(f"cannot write to {root / PRIVATE}: {error.strerror}") from None
        self.claim()

    def claim(self) -> None:
        """Write down that this process holds the lock: after a fork, the child does."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def announce(self, running: Running) -> None:
        """Tell others. The lock must be held by the process that announces."""
        text = msgspec.json.encode(running)
        draft = self._folder / ".daemon.json"
        draft.write_bytes(text)
        draft.replace(self._folder / "daemon.json")
        pointer = run_folder() / _digest(self._root)
        pointer.write_text(str(self._root))

    def release(self) -> None:
        (self._folder / "daemon.json").unlink(missing_ok=True)
        (self._folder / "daemon.pid").unlink(missing_ok=True)
        (run_folder() / _digest(self._root)).unlink(missing_ok=True)
        os.close(self._file)


def _acquire(root: Path, path: Path) -> int:
    """The locked file. What holds it for a moment only is somebody who looks (`running`), and is waited for."""
    pid = ""
    for attempt in range(ATTEMPTS):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(file, 32, 0).decode(errors="replace").strip()
            os.close(file)
            if attempt + 1 < ATTEMPTS:
                time.sleep(ATTEMPT_SECONDS)
            continue
        if _is_at(file, path):
            return file
        os.close(file)  # a daemon that ended has removed it since: a lock on it keeps nobody out
    raise AlreadyRunning(
        f"svcmock already serves {root}{f' (pid {pid})' if pid else ''}; `svcmock down {root}` ends it"
    )


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def private_folder(root: Path) -> Path:
    """`.svcmock/`, made if need be, with a `.gitignore` that keeps all of it out of the repository."""
    folder = root / PRIVATE
    folder.mkdir(mode=0o700, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")
    return folder


def run_folder() -> Path:
    """The per-user folder of pointers to projects."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "svcmock" if base else Path(tempfile.gettempdir()) / f"svcmock-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise SvcmockError(f"{folder} belongs to another user")
    return folder


def running(root: Path) -> Running | None:
    """The daemon that serves this project, if one does."""
    folder = root / PRIVATE
    try:
        handle = os.open(folder / "daemon.pid", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return msgspec.json.decode((folder / "daemon.json").read_bytes(), type=Running)
        except (OSError, msgspec.MsgspecError):
            return None
    finally:
        os.close(handle)
    return None


def all_running() -> list[Running]:
    """Every daemon of this user, wherever its project is; by project."""
    found = []
    for pointer in sorted(run_folder().iterdir()):
        try:
            known = running(Path(pointer.read_text()))
        except OSError:
            continue
        if known is None:
            pointer.unlink(missing_ok=True)
        else:
            found.append(known)
    return sorted(found, key=lambda known: known.root)


def _digest(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
