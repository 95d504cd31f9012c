"""A stored file gives back what was written or tells that it was damaged, wherever it is, and nothing else."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.compile import Compiled
from svcmock.matching.recall import Damaged, digest_of
from svcmock.stored import About, Stored, StoredRoutes, Writer, open_stored, rows_of

ABOUT = About("place", [("/a/body", 5)], tokens=True, warnings=[])
ENTRIES = [
    Compiled(line, b"doc %d" % line * line, key, names, values)
    for line, (key, names, values) in enumerate(
        [
            (b"/b\0GET", (), ()),
            (b"/a\0GET", ("headers.x",), (b"1",)),
            (b"/a\0GET", ("headers.x",), (b"2",)),
            (b"/c\0GET", (), ()),
        ],
        1,
    )
] + [
    Compiled(5, b"own noise", b"/a\0GET", ignore=("headers.y",)),
    Compiled(6, b"predicates", match=b"\x80"),
]

ROUTES = st.lists(
    st.builds(
        Compiled,
        line=st.integers(1, 2**31),
        doc=st.binary(max_size=40),
        key=st.sampled_from([b"/a\0", b"/a\0b", b"/b\0", b"\xff\0", b""]) | st.binary(min_size=1, max_size=6),
        names=st.sampled_from([(), ("headers.x",), ("headers.x", "headers.y")]),
        policy=st.sampled_from([None, "once", "cycle"]),
        ignore=st.sampled_from([(), (), ("headers.z",)]),
    ),
    max_size=40,
)


def written(entries: list[Compiled], pieces: int = 1) -> int:
    """A file with these, left by its writer as it is."""
    with tempfile.TemporaryFile() as made:
        file = os.dup(made.fileno())
    writer = Writer(file)
    size = -(-len(entries) // pieces)
    for start in range(0, len(entries), size or 1):
        writer.add(rows_of(entries[start : start + size]))
    writer.finish(ABOUT)
    return file


def opened(file: int, path: Path | None = None) -> Stored:
    stored = open_stored(file, "place", path)
    assert stored is not None
    return stored


def find(stored: Stored, key: bytes) -> list[tuple[int, Compiled]]:
    return stored.find(key, digest_of(key))


def everything(stored: Stored, keys: set[bytes]) -> object:
    """All that can be asked of it."""
    return (
        stored.about,
        stored.names,
        [find(stored, key) for key in sorted(keys)],
        [stored.key(place) for place in range(stored.keys)],
        list(stored.several()),
        list(stored.others()),
    )


@given(ROUTES, st.integers(1, 5), st.sets(st.binary(max_size=3)))
def test_what_was_written_is_found_as_in_a_list(
    entries: list[Compiled], pieces: int, strange: set[bytes]
) -> None:
    stored = opened(written(entries, pieces))
    plain = [(number, e) for number, e in enumerate(entries) if e.key and not e.ignore]
    keys = {entry.key for _, entry in plain}
    for key in keys | strange:
        assert find(stored, key) == [(number, entry) for number, entry in plain if entry.key == key]
    assert stored.rows == len(entries)
    assert [stored.key(place) for place in range(stored.keys)] == sorted(keys)
    assert list(stored.several()) == sorted(key for key in keys if sum(e.key == key for _, e in plain) > 1)
    assert list(stored.others()) == [
        (number, e) for number, e in enumerate(entries) if (number, e) not in plain
    ]
    assert set(stored.names) == {entry.names for entry in entries}
    assert stored.about == ABOUT


def test_answers_have_their_place_among_all_routes() -> None:
    routes = StoredRoutes(opened(written(ENTRIES)), "run.yaml", 100)
    found = routes.find(b"/a\0GET", digest_of(b"/a\0GET"))
    assert [(a.file, a.line, a.order, a.doc, a.names, a.values) for a in found] == [
        ("run.yaml", 2, 101, b"doc 2doc 2", ("headers.x",), (b"1",)),
        ("run.yaml", 3, 102, b"doc 3doc 3doc 3", ("headers.x",), (b"2",)),
    ]
    assert list(routes.keys) == routes.keys[:] == [b"/a\0GET", b"/b\0GET", b"/c\0GET"]
    assert routes.keys[1:9] == [b"/b\0GET", b"/c\0GET"]


def test_another_place_s_file_is_not_it() -> None:
    assert open_stored(written(ENTRIES), "elsewhere", None) is None


def whole() -> tuple[bytes, object]:
    file = written(ENTRIES)
    data = os.pread(file, os.fstat(file).st_size, 0)
    return data, everything(opened(file), KEYS)


KEYS = {b"/a\0GET", b"/b\0GET", b"/c\0GET", b"/nowhere\0"}
WHOLE, RIGHT = whole()


def file_of(data: bytes) -> int:
    with tempfile.TemporaryFile() as made:
        made.write(data)
        made.flush()
        return os.dup(made.fileno())


def assert_right_or_refused(file: int) -> None:
    stored = open_stored(file, "place", None)
    if stored is None:
        return
    try:
        assert everything(stored, KEYS) == RIGHT
    except Damaged:
        assert stored.damaged


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_anywhere_is_seen_before_it_answers(bit: int) -> None:
    for at in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 1 << bit
        file = file_of(data)
        stored = open_stored(file, "place", None)
        if stored is not None:
            with pytest.raises(Damaged):
                everything(stored, KEYS)
            assert stored.damaged


def test_a_file_that_was_cut_off_is_not_there() -> None:
    for size in range(len(WHOLE)):
        assert open_stored(file_of(WHOLE[:size]), "place", None) is None


@given(st.binary(max_size=200))
def test_what_is_no_stored_file_is_not_there(data: bytes) -> None:
    assert open_stored(file_of(data), "place", None) is None
    assert open_stored(file_of(WHOLE + data), "place", None) is None or not data


@pytest.mark.parametrize("how", ["cut", "emptied", "zeros", "another"])
def test_a_file_that_is_changed_in_place_while_it_is_open_answers_nothing_wrong(how: str) -> None:
    file = file_of(WHOLE)
    stored = opened(file)
    other = os.pread(again := written([*reversed(ENTRIES)]), 1 << 20, 0)
    os.close(again)
    match how:
        case "cut":
            os.ftruncate(file, 60)
        case "emptied":
            os.ftruncate(file, 0)
        case "zeros":
            os.pwrite(file, bytes(len(WHOLE)), 0)
        case "another":
            os.pwrite(file, other, 0)
    for key in KEYS - {b"/nowhere\0"}:
        with pytest.raises(Damaged):
            find(stored, key)


def test_a_file_that_lost_its_name_or_got_a_successor_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.write_bytes(WHOLE)
    stored = opened(os.open(path, os.O_RDONLY), path)
    (tmp_path / "draft").write_bytes(b"something else")
    (tmp_path / "draft").replace(path)
    assert everything(stored, KEYS) == RIGHT
    path.unlink()
    assert everything(stored, KEYS) == RIGHT


def test_a_damaged_file_loses_its_name(tmp_path: Path) -> None:
    path = tmp_path / "place"
    path.write_bytes(WHOLE)
    stored = opened(os.open(path, os.O_RDONLY), path)
    data = bytearray(WHOLE)
    data[70] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(Damaged, match="svcmock reload"):
        everything(stored, KEYS)
    assert not path.exists()


@pytest.mark.parametrize("how", ["found here", "found elsewhere", "cut"])
def test_damage_that_anybody_has_found_is_known(tmp_path: Path, how: str) -> None:
    path = tmp_path / "place"
    path.write_bytes(WHOLE)
    stored = opened(os.open(path, os.O_RDONLY), path)
    assert stored.sound
    match how:
        case "found here":
            stored.damaged = True
        case "found elsewhere":
            path.unlink()
        case "cut":
            os.truncate(path, len(WHOLE) - 1)
    assert not stored.sound
    assert opened(file_of(WHOLE)).sound, "one that never had a name"


def test_a_disk_that_fails_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, "input/output error")

    stored = opened(file_of(WHOLE))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing)
        with pytest.raises(Damaged):
            everything(stored, KEYS)


def test_damage_in_a_folder_that_cannot_be_written_to_is_an_error_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied")

    data = bytearray(WHOLE)
    data[70] ^= 1
    stored = opened(file_of(bytes(data)), tmp_path / "place")
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(Damaged):
        everything(stored, KEYS)


def test_a_stored_file_that_nobody_has_is_closed() -> None:
    file = written(ENTRIES)
    stored = opened(file)
    del stored
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_an_unfinished_file_is_not_there() -> None:
    with tempfile.TemporaryFile() as made:
        file = os.dup(made.fileno())
    Writer(file).add(rows_of(ENTRIES))
    assert open_stored(file, "place", None) is None
