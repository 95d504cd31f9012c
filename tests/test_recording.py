"""Recording files survive crashes and full disks; tokens stand for credentials and for nothing else."""

import hashlib
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from svcmock.documents import read
from svcmock.protocol import Spooled
from svcmock.recording import (
    ANY_CREDENTIAL,
    Counters,
    Recording,
    RecordingError,
    load_key,
    load_or_create_key,
    tokenizer,
)

DOC = {"request": {"method": "GET", "path": "/"}, "respond": {"status": 200}}
TEXT = "---\nrequest: {method: GET, path: /}\nrespond: {status: 200}\n...\n"


def no_spool(_spooled: Spooled) -> Path:
    raise AssertionError("nothing was spooled")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: writing more is cut short, then fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_exchange_is_a_document_that_says_it_is_whole(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "recordings" / "shop", "20261123T032210Z-1.yaml", no_spool)
    recording.append(DOC, {})
    assert recording.path.read_text() == TEXT
    recording.append(DOC, {})
    recording.close()
    assert recording.path.read_text() == TEXT * 2
    assert list(yaml.safe_load_all(recording.path.read_text())) == [DOC, DOC]


def test_nothing_is_made_before_the_first_exchange_and_then_for_the_owner_alone(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "recordings" / "shop", "a.yaml", no_spool)
    assert list(tmp_path.iterdir()) == []
    old = os.umask(0)
    try:
        recording.append(DOC, {"bodies/" + "0" * 64: b"x"})
    finally:
        os.umask(old)
    recording.close()
    assert mode(recording.path) == 0o600
    assert mode(recording.path.parent / "bodies" / ("0" * 64)) == 0o600
    for folder in ("recordings", "recordings/shop", "recordings/shop/bodies"):
        assert mode(tmp_path / folder) == 0o700


def test_a_crash_at_any_byte_costs_the_last_exchange_alone(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "a.yaml", no_spool)
    last = {"recorded": {"at": "x"}, "request": {"path": "/..."}, "respond": {"body": "---\n...\na\n"}}
    recording.append({"recorded": {"at": "y"}, **DOC}, {})
    first = recording.path.stat().st_size
    recording.append(last, {})
    recording.close()
    data = recording.path.read_bytes()
    for size in range(first, len(data) + 1):
        found, problems = read(data[:size], "a.yaml")
        whole = size >= len(data) - 1  # the line break after the last mark may be missing
        assert [one.value for one in found][1:] == ([last] if whole else [])
        assert found[0].value == {"recorded": {"at": "y"}, **DOC}
        assert all(problem.severity == "warning" for problem in problems)


def test_a_recording_goes_on_where_an_earlier_one_of_its_name_ended(tmp_path: Path) -> None:
    for _ in range(2):
        recording = Recording(tmp_path, "a.yaml", no_spool)
        recording.append(DOC, {})
        recording.close()
    assert (tmp_path / "a.yaml").read_text() == TEXT * 2


def test_bodies_are_stored_once_under_their_hash(tmp_path: Path) -> None:
    name = "bodies/" + hashlib.sha256(b"large").hexdigest()
    recording = Recording(tmp_path, "a.yaml", no_spool)
    recording.append(DOC, {name: b"large"})
    before = (tmp_path / name).stat().st_mtime_ns
    recording.append(DOC, {name: b"large"})
    recording.close()
    assert (tmp_path / name).read_bytes() == b"large"
    assert (tmp_path / name).stat().st_mtime_ns == before
    assert len(list((tmp_path / "bodies").iterdir())) == 1


@pytest.mark.parametrize("name", ["bodies/../x", "/etc/x", "bodies/" + "A" * 64, "bodies/" + "0" * 63, "x"])
def test_a_body_is_stored_nowhere_else(tmp_path: Path, name: str) -> None:
    recording = Recording(tmp_path / "r", "a.yaml", no_spool)
    with pytest.raises(RecordingError):
        recording.append(DOC, {name: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_spooled_body_is_moved_into_the_recording(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"huge")
    name = "bodies/" + "1" * 64
    recording = Recording(tmp_path / "r", "a.yaml", lambda _spooled: spool)
    recording.append(DOC, {name: Spooled(token=1, size=4, sha256="1" * 64)})
    recording.close()
    assert (tmp_path / "r" / name).read_bytes() == b"huge"
    assert mode(tmp_path / "r" / name) == 0o600
    assert not spool.exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_spooled_body_on_another_disk_is_copied(tmp_path: Path) -> None:
    spool = Path("/dev/shm") / f"svcmock-test-{os.getpid()}"
    spool.write_bytes(b"huge")
    name = "bodies/" + "1" * 64
    recording = Recording(tmp_path, "a.yaml", lambda _spooled: spool)
    recording.append(DOC, {name: Spooled(token=1, size=4, sha256="1" * 64)})
    recording.close()
    assert (tmp_path / name).read_bytes() == b"huge"
    assert not spool.exists()


def test_other_bytes_under_the_name_of_a_stored_body_are_refused(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"the same in another coding")
    name = "bodies/" + "1" * 64
    recording = Recording(tmp_path, "a.yaml", lambda _spooled: spool)
    recording.append(DOC, {name: b"plain"})
    with pytest.raises(RecordingError, match="another coding"):
        recording.append(DOC, {name: Spooled(token=1, size=26, sha256="1" * 64)})
    recording.close()
    assert (tmp_path / name).read_bytes() == b"plain"
    assert not spool.exists()
    assert recording.path.read_text() == TEXT


def test_a_full_disk_costs_the_exchange_and_no_other(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "a.yaml", no_spool)
    recording.append(DOC, {})
    for size in (len(TEXT), len(TEXT) + 20):
        with largest_file(size), pytest.raises(RecordingError, match=r"a\.yaml: "):
            recording.append(DOC, {})
        assert recording.path.read_text() == TEXT
    recording.append(DOC, {})
    recording.close()
    assert recording.path.read_text() == TEXT * 2


def test_a_body_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    recording = Recording(tmp_path, "a.yaml", no_spool)
    with largest_file(100), pytest.raises(RecordingError, match="File too large"):
        recording.append(DOC, {"bodies/" + "0" * 64: b"x" * 200})
    assert [path.name for path in tmp_path.iterdir()] == ["bodies"]
    assert list((tmp_path / "bodies").iterdir()) == []


def test_what_yaml_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "r", "a.yaml", no_spool)
    with pytest.raises(RecordingError, match="surrogate"):
        recording.append({"respond": {"body": "\udc00"}}, {"bodies/" + "0" * 64: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_recording_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"a\.yaml: Not a directory"):
        Recording(tmp_path / "file" / "x", "a.yaml", no_spool).append(DOC, {})


def test_counters_add_up() -> None:
    counters = Counters()
    for _ in range(4):
        counters.accept()
    counters.settle("recorded")
    counters.settle("skipped")
    counters.settle("failed")
    assert counters == Counters(accepted=4, recorded=1, skipped=1, failed=1)
    assert counters.in_flight == 1
    counters.settle("recorded")
    with pytest.raises(RuntimeError):
        counters.settle("failed")


def test_a_token_is_stable_keyed_and_its_own_token() -> None:
    token = tokenizer(b"k" * 32)
    first = token(b"hunter2")
    assert first == token(b"hunter2") == tokenizer(b"k" * 32)(b"hunter2")
    assert first.startswith(b"svcmock-")
    assert len(first) == 32
    assert token(first) == first
    assert first not in {token(b"hunter3"), tokenizer(b"j" * 32)(b"hunter2")}
    assert token(first + b"x") != first + b"x"
    assert first == b"svcmock-63bp6yawdj4vt6avnlkue3sa"


def test_without_the_key_credentials_are_compared_by_presence() -> None:
    token = tokenizer(None)
    assert token(b"hunter2") == token(tokenizer(b"k" * 32)(b"other")) == token(token(b"x")) == ANY_CREDENTIAL


def test_the_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / ".svcmock" / "key"
    assert load_key(path) is None
    key = load_or_create_key(path)
    assert len(key) == 32
    assert load_or_create_key(path) == load_key(path) == key
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]
    assert path.read_text() == key.hex() + "\n"


@pytest.mark.parametrize("text", ["", "abcd\n", "not hex", "é" * 64])
def test_a_file_that_is_no_key_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(RecordingError, match="key"):
        load_or_create_key(tmp_path / "key")
    assert (tmp_path / "key").read_text() == text
