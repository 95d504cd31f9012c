"""A large route file compiled in parts is the same as compiled whole, problems and their lines included."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock import parallel
from svcmock.compile import compile_file
from svcmock.files import ProjectFiles
from svcmock.noise import Noise
from svcmock.parallel import Part, compile_part, compile_parts, cut
from svcmock.protocol import Context, Plugin
from svcmock.recording import tokenizer
from svcmock.registry import plugins

KEY = b"k" * 32


def document(number: int, *, status: object = 200) -> str:
    return (
        f"---\nrecorded: {{took: 1ms}}\nrequest:\n  path: /users/{number}\n"
        f"respond:\n  status: {status}\n  body: |\n    a line\n    --- not a marker\n...\n"
    )


def http() -> tuple[Plugin, Context]:
    plugin = plugins()["http"]
    return plugin, Context(plugin.Options(), Noise(plugin.noise), tokenizer(KEY))


@given(
    st.lists(st.sampled_from(["---\na: 1\n...\n", "---\nb: |\n  ...\n  x\n...\n", "c: 2\n", "...\n"])),
    st.integers(1, 9),
)
def test_parts_are_all_of_the_file_and_begin_with_documents(pieces: list[str], most: int) -> None:
    data = "".join(pieces).encode()
    parts = cut(data, most)
    assert len(parts) <= most
    assert b"".join(data[start:end] for start, end, _ in parts) == data
    for start, _, line in parts:
        assert line == data.count(b"\n", 0, start)
    for start, _, _ in parts[1:]:
        assert data[:start].endswith(b"\n...\n")
        assert data[start:].startswith(b"---\n")


@pytest.mark.parametrize("most", [1, 2, 3, 50])
def test_parts_compile_to_what_the_whole_does(tmp_path: Path, most: int) -> None:
    data = "".join(
        document(number, status="none" if number in (7, 31) else 200) for number in range(40)
    ).encode()
    (tmp_path / "run.yaml").write_bytes(data)
    plugin, context = http()
    whole, problems = compile_file(
        data, "run.yaml", plugin, lambda _: context, ProjectFiles(tmp_path, "run.yaml")
    )
    assert len(problems) == 2
    results = [
        compile_part(
            Part(str(tmp_path), "run.yaml", start, end, line, "http", {}, context.ignore.patterns, KEY),
            plugins(),
        )
        for start, end, line in cut(data, most)
    ]
    assert [entry for result in results for entry in result.compiled.entries] == whole.entries
    assert [problem for result in results for problem in result.problems] == problems


def test_processes_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PARALLEL_ABOVE", 1000)
    data = "".join(document(number) for number in range(200)).encode() + b"---\nrecorded: {to"
    (tmp_path / "run.yaml").write_bytes(data)
    plugin, context = http()
    whole, problems = compile_file(
        data, "run.yaml", plugin, lambda _: context, ProjectFiles(tmp_path, "run.yaml")
    )
    result = compile_parts(data, tmp_path, "run.yaml", plugin, context, KEY)
    assert result is not None
    assert result.compiled == whole
    assert result.problems == problems
    assert "cut off" in problems[0].message


def test_what_is_small_or_cannot_be_cut_is_left_to_the_caller(tmp_path: Path) -> None:
    plugin, context = http()
    small = document(1).encode()
    assert compile_parts(small, tmp_path, "run.yaml", plugin, context, KEY) is None
    one = b"---\nrespond: {body: " + b"x" * parallel.PARALLEL_ABOVE + b"}\n...\n"
    assert compile_parts(one, tmp_path, "run.yaml", plugin, context, KEY) is None


def test_a_process_that_fails_leaves_it_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PARALLEL_ABOVE", 1000)
    data = "".join(document(number) for number in range(200)).encode()
    plugin, context = http()
    assert compile_parts(data, tmp_path, "is-not-there.yaml", plugin, context, KEY) is None
