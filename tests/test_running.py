"""The lock on a project, and how daemons are found: real files, real processes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from svcmock.protocol import SvcmockError
from svcmock.running import AlreadyRunning, Lock, Running, all_running, private_folder, running

HOLD = """
import sys
from pathlib import Path
from svcmock.running import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def project(tmp_path: Path, name: str = "shop") -> Path:
    root = tmp_path / name
    root.mkdir()
    return root


def told(root: Path) -> Running:
    return Running(os.getpid(), str(root), f"unix:{root}/control.sock", 1.5)


def test_one_lock_a_project(tmp_path: Path) -> None:
    """The second is told the process of the first; another project is another lock."""
    root = project(tmp_path)
    lock = Lock(root)
    with pytest.raises(AlreadyRunning, match=rf"serves {root} \(pid {os.getpid()}\); `svcmock down {root}`"):
        Lock(root)
    other = Lock(project(tmp_path, "other"))
    lock.release()
    again = Lock(root)
    again.release()
    other.release()


def test_a_daemon_is_found_by_its_project_and_from_anywhere(tmp_path: Path) -> None:
    root = project(tmp_path)
    assert running(root) is None
    lock = Lock(root)
    assert running(root) is None
    lock.announce(told(root))
    assert running(root) == told(root)
    assert all_running() == [told(root)]
    lock.release()
    assert running(root) is None
    assert all_running() == []


def test_the_files_of_a_killed_daemon_mislead_nobody(tmp_path: Path, runtime: Path) -> None:
    root = project(tmp_path)
    (root / ".svcmock").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunning, match=rf"\(pid {holder.pid}\)"):
        Lock(root)
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert (root / ".svcmock/daemon.pid").read_text() == f"{holder.pid}\n"
    (root / ".svcmock/daemon.json").write_text('{"pid": 1, "root": "x", "admin": "y"}')
    (runtime / "svcmock").mkdir(exist_ok=True)
    (runtime / "svcmock/stale").write_text(str(root))
    assert running(root) is None
    assert all_running() == []
    assert not (runtime / "svcmock/stale").exists()
    Lock(root).release()


def test_to_look_does_not_keep_a_daemon_from_starting(tmp_path: Path) -> None:
    """`running` takes the lock for a moment, and a start at that moment waits for it."""
    root = project(tmp_path)
    Lock(root).release()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            running(root)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            Lock(root).release()
    finally:
        over.set()
        looking.join()


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends removes the file between our opening and our locking it."""
    root = project(tmp_path)
    path = private_folder(root) / "daemon.pid"
    import svcmock.running as module

    flock = module.fcntl.flock
    removed = []

    def racing(handle: int, how: int) -> None:
        flock(handle, how)
        if not removed:
            removed.append(path)
            path.unlink()

    monkeypatch.setattr(module.fcntl, "flock", racing)
    lock = Lock(root)
    monkeypatch.undo()
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / ".svcmock").write_text("a file")
    with pytest.raises(SvcmockError, match=f"cannot write to {root}/.svcmock: File exists"):
        Lock(root)


def test_the_private_folder_stays_out_of_the_repository(tmp_path: Path) -> None:
    folder = private_folder(project(tmp_path))
    assert (folder / ".gitignore").read_text() == "*\n"
    assert folder.stat().st_mode & 0o777 == 0o700
