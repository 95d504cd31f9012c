"""A large route file compiled in pieces is the same as compiled whole, problems and their lines included."""

import json
import os
import tempfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock import parallel
from svcmock.compile import Compiled, CompiledFile, compile_file
from svcmock.files import ProjectFiles
from svcmock.model import Problem
from svcmock.noise import Noise
from svcmock.parallel import Job, Result, compile_piece, compile_stored, cut, place_of
from svcmock.protocol import Context, Plugin
from svcmock.recording import tokenizer
from svcmock.registry import installed
from svcmock.stored import Stored, open_stored
from svcmock_protocols.http import HttpPlugin

KEY = b"k" * 32


def document(number: int, *, status: object = 200) -> str:
    return (
        f"---\nrecorded: {{took: 1ms}}\nrequest:\n  path: /users/{number}\n"
        f"respond:\n  status: {status}\n  body: |\n    a line\n    --- not a marker\n...\n"
    )


def http() -> tuple[Plugin, Context]:
    plugin = installed()["http"]
    return plugin, Context(plugin.Options(), Noise(plugin.noise), tokenizer(KEY))


def job(root: Path, name: str = "run.yaml") -> Job:
    return Job(str(root), name, "http", {}, http()[1].ignore.patterns, KEY, b"salt")


def whole(root: Path, name: str = "run.yaml") -> tuple[CompiledFile, list[Problem]]:
    """The file compiled by what compiles small ones."""
    plugin, context = http()
    data = (root / name).read_bytes()
    return compile_file(data, name, plugin, lambda _: context, ProjectFiles(root, name))


def stored(root: Path, name: str = "run.yaml") -> tuple[Result, Stored]:
    """The file compiled by processes."""
    with tempfile.TemporaryFile() as made:
        file = os.dup(made.fileno())
    result = compile_stored(job(root, name), http()[0], file)
    assert result is not None
    opened = open_stored(file, result.place, None)
    assert opened is not None
    return result, opened


def entries(opened: Stored) -> list[Compiled]:
    return [opened.row(number) for number in range(opened.rows)]


@given(
    st.lists(st.sampled_from(["---\na: 1\n...\n", "---\nb: |\n  ...\n  x\n...\n", "c: 2\n", "...\n"])),
    st.integers(1, 60),
)
def test_pieces_are_all_of_the_file_and_begin_with_documents(texts: list[str], size: int) -> None:
    data = "".join(texts).encode()
    pieces = list(cut(BytesIO(data), "run.yaml", size))
    assert b"".join(piece.data for piece in pieces) == data
    done = b""
    for piece in pieces:
        assert piece.line == done.count(b"\n")
        if done:
            assert done.endswith(b"\n...\n")
            assert piece.data.startswith(b"---\n")
        done += piece.data


@given(st.lists(st.integers(0, 10**6)), st.integers(1, 20))
def test_json_lines_are_cut_after_lines(numbers: list[int], size: int) -> None:
    data = "\n".join(map(str, numbers)).encode()
    pieces = list(cut(BytesIO(data), "run.jsonl", size))
    assert b"".join(piece.data for piece in pieces) == data
    assert [json.loads(line) for piece in pieces for line in piece.data.splitlines()] == numbers


def test_a_file_that_can_be_cut_is_cut_to_size() -> None:
    data = "".join(document(number) for number in range(1000)).encode()
    sizes = [len(piece.data) for piece in cut(BytesIO(data), "run.yaml", 5000)]
    assert len(sizes) > 20
    assert max(sizes) < 5000 + 2 * len(document(999))


@pytest.mark.parametrize("size", [100, 1000, 100_000])
def test_pieces_compile_to_what_the_whole_does(tmp_path: Path, size: int) -> None:
    text = "".join(document(number, status="none" if number in (7, 31) else 200) for number in range(40))
    (tmp_path / "run.yaml").write_text(text)
    compiled, problems = whole(tmp_path)
    assert len(problems) == 2
    done = [
        compile_piece(job(tmp_path), piece, installed())
        for piece in cut(BytesIO(text.encode()), "run.yaml", size)
    ]
    assert [problem for one in done for problem in one.problems] == problems
    assert [key for one in done for key in one.rows.keys] == [entry.key for entry in compiled.entries]


def test_processes_give_the_same(tmp_path: Path) -> None:
    text = "".join(document(number) for number in range(9000)) + "---\nrecorded: {to"
    assert len(text) > parallel.MIN_PIECE
    (tmp_path / "run.yaml").write_text(text)
    compiled, problems = whole(tmp_path)
    result, opened = stored(tmp_path)
    assert entries(opened) == compiled.entries
    assert result.problems == problems == opened.about.warnings
    assert "cut off" in problems[0].message
    assert opened.about.place == result.place == sha256(b"salt" + text.encode()).hexdigest()


def test_the_place_of_what_is_compiled_can_be_told_without_compiling(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("".join(document(number) for number in range(10)))
    result, _ = stored(tmp_path)
    with (tmp_path / "run.yaml").open("rb") as file:
        assert place_of(b"salt", file) == result.place


@pytest.mark.parametrize("name", ["run.jsonl", "run.json"])
def test_json_is_compiled_by_processes_too(tmp_path: Path, name: str) -> None:
    pad = "x" * 500
    docs = [{"request": {"path": f"/u/{n}"}, "respond": {"body": f"{pad}{n}"}} for n in range(3000)]
    text = json.dumps(docs) if name == "run.json" else "\n".join(map(json.dumps, docs))
    (tmp_path / name).write_text(text)
    compiled, problems = whole(tmp_path, name)
    result, opened = stored(tmp_path, name)
    assert entries(opened) == compiled.entries
    assert result.problems == problems == []


def test_files_tokens_and_routes_that_have_no_key_are_told(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"12345")
    text = (
        "---\nrequest: {path: /a, headers: [[X-A, svcmock-1]]}\nrespond: {body: {file: body}}\n...\n"
        "---\nmatch: {path: /b}\nrespond: {}\n...\n"
    )
    (tmp_path / "run.yaml").write_text(text)
    compiled, _ = whole(tmp_path)
    _, opened = stored(tmp_path)
    assert opened.about.files == compiled.files == [(str(tmp_path / "body"), 5)]
    assert opened.about.tokens
    assert [number for number, _ in opened.others()] == [1]


def test_problems_of_a_file_are_bounded_and_no_error_is_lost_among_warnings(tmp_path: Path) -> None:
    text = "".join(document(number, status="none") for number in range(20_000))
    assert len(text) > 2 * parallel.MIN_PIECE
    (tmp_path / "run.yaml").write_text(text)
    result, _ = stored(tmp_path)
    assert len(result.problems) == parallel.MAX_PROBLEMS
    warning, error = Problem("f", 1, 1, "w", "warning"), Problem("f", 2, 1, "e")
    assert parallel.bounded([warning] * 500 + [error]) == [warning] * parallel.MAX_PROBLEMS + [error]


def test_a_process_that_fails_leaves_it_to_the_caller(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryFile() as file:
        assert compile_stored(job(tmp_path, "is-not-there.yaml"), http()[0], file.fileno()) is None
    assert "is-not-there.yaml" in capfd.readouterr().err


def test_a_protocol_that_is_not_installed_is_left_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(document(1))
    with tempfile.TemporaryFile() as file:
        assert compile_stored(job(tmp_path), HttpPlugin(), file.fileno()) is None
