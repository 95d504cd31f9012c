"""Files as documents: what is read, where things stand, what a crash or an enemy may do."""

from pathlib import PurePath

import pytest

from svcmock.documents import finder, read, where

RECORDED = b"---\nrecorded: {took: 1ms}\nrequest: {path: /%d}\nrespond: {status: 200}\n...\n"


def values(data: bytes, file: str = "a.yaml") -> list[object]:
    documents, problems = read(data, file)
    assert problems == []
    return [document.value for document in documents]


def told(data: bytes, file: str = "a.yaml") -> list[str]:
    return [str(problem) for problem in read(data, file)[1]]


def test_documents_and_their_first_content_lines() -> None:
    documents, problems = read(b"# c\n---\n\na: 1\n---\n- x\n-\n  y: 2\n...\n---\nb\n", "a.yaml")
    assert problems == []
    assert [(d.value, d.line, d.lines) for d in documents] == [
        ({"a": 1}, 4, ()),
        (["x", {"y": 2}], 6, (6, 8)),
        ("b", 11, ()),
    ]


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"\n\n"])
def test_nothing_is_no_document(data: bytes) -> None:
    assert read(data, "a.yaml") == ([], [])


@pytest.mark.parametrize("file", ["a.json", "a.jsonl", "a.yaml"])
def test_a_byte_order_mark_is_no_content(file: str) -> None:
    documents, _ = read(b'\xef\xbb\xbf{"a": [1]}', file)
    assert [(d.value, d.line) for d in documents] == [({"a": [1]}, 1)]


def test_crlf_lines() -> None:
    assert values(b"a: 1\r\n---\r\nb: |\r\n  x\r\n  y\r\n...\r\n") == [{"a": 1}, {"b": "x\ny\n"}]


def test_anchors_aliases_and_merge_keys() -> None:
    text = b"base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [{x: 9}, *b]}\nlit: {'<<': 1}\n"
    assert values(text) == [
        {"base": {"x": 1, "y": 2}, "one": {"x": 1, "y": 3}, "two": {"x": 9, "y": 2}, "lit": {"<<": 1}}
    ]


def test_a_recording_that_a_crash_cut_off_anywhere_loses_only_its_last_document() -> None:
    whole = RECORDED % 1 + RECORDED % 2
    for cut in range(len(RECORDED % 1) + 1, len(whole)):
        documents, problems = read(whole[:cut], "r.yaml")
        complete = whole[:cut].endswith(b"\n...")
        assert len(documents) == 1 + complete, whole[:cut]
        assert [p.severity for p in problems] == ([] if complete else ["warning"]), whole[:cut]


def test_a_cut_first_document_and_a_cut_character() -> None:
    torn = b'---\nrecorded: {}\nrespond: {body: "\xc3'
    documents, (problem,) = read(torn, "r.yaml")
    assert documents == []
    assert str(problem).startswith("r.yaml:1:1: warning: the last recorded document is cut off")


@pytest.mark.parametrize("torn", [b"-", b"--", b"---", b"---\n", b"---\nrec", b"---\nrecorded", b"recorded:"])
def test_a_file_of_nothing_but_a_cut_document(torn: bytes) -> None:
    documents, (problem,) = read(torn, "r.yaml")
    assert (documents, problem.severity) == ([], "warning")


def test_an_empty_last_document_of_a_hand_written_file_is_nothing() -> None:
    assert values(b"a: 1\n---\n") == [{"a": 1}, None]


def test_a_last_document_without_end_mark_that_nobody_recorded_is_read() -> None:
    assert values(RECORDED % 1 + b"---\nrequest: {path: /x}\n")[-1] == {"request": {"path": "/x"}}


def test_a_syntax_error_in_the_middle_is_an_error_and_the_rest_is_read() -> None:
    documents, problems = read(b"a: 1\n---\nb: [1\n---\nc: 3\n---\nd: }\n---\ne: 5\n", "a.yaml")
    assert [d.value for d in documents] == [{"a": 1}, {"c": 3}, {"e": 5}]
    assert [(p.line, p.severity) for p in problems] == [(4, "error"), (7, "error")]


def test_not_utf8_says_where() -> None:
    assert told(b"a: 1\nb: \xff\n") == ["a.yaml:2:4: not UTF-8: invalid start byte"]


def test_json_object_list_and_lines() -> None:
    assert values(b'\n {"a": 1}', "a.json") == [{"a": 1}]
    documents, _ = read(b'[{"a": 1},\n {"a":\n 1}, {"a": 1},\n\n 5]', "a.json")
    assert documents[0].value == [{"a": 1}, {"a": 1}, {"a": 1}, 5]
    assert documents[0].lines == (1, 2, 3, 5)
    documents, _ = read(b'{"a": 1}\n\n{"b": 2}', "a.ndjson")
    assert [(d.value, d.line) for d in documents] == [({"a": 1}, 1), ({"b": 2}, 3)]


def test_broken_json_says_where() -> None:
    assert told(b'{"a":\n  1,}', "a.json") == ["a.json:2:5: JSON is malformed: trailing comma in object"]
    assert told(b'{"a": 1}\n{"b"\n{"c": 1}', "a.jsonl")[0].startswith("a.jsonl:2:5: ")
    assert "nested more than 100" in told(b"[" * 5000 + b"]" * 5000, "a.json")[0]
    assert "nested more than 100" in told(b"[" * 200 + b"]" * 200, "a.jsonl")[0]


@pytest.mark.parametrize("file", ["a.yaml", "a.json", "a.jsonl"])
def test_a_node_is_found_by_its_path(file: str) -> None:
    data = b'{"a": {"x y": [1, {"k": "}"}, {"z": 5}]}, "b": null}'
    document = read(data, file)[0][0]
    at = where(data, file, document)
    assert at.find(()) == (1, 1)
    assert at.find(("a", "x y", 2, "z")) == (1, 32)
    assert at.under("a").problem(("x y", 1), "m").column == 19
    assert at.find(("b", "gone")) == (1, 43)
    assert at.find(("a", "x y", 7)) == (1, 8)


def test_a_node_is_found_in_its_own_document() -> None:
    data = b"a: {b: 1}\n...\n---\nt: |\n  ---- no marker\n  --- neither\na: {b: 1}\n---\na:\n   b: 1\n"
    documents, _ = read(data, "a.yaml")
    find = finder(data, "a.yaml")
    assert [find(document).find(("a", "b")) for document in documents] == [(1, 5), (7, 5), (10, 4)]


def test_the_file_name_decides_by_its_end_only() -> None:
    assert values(b"a: no", str(PurePath("x.json") / "b.yml")) == [{"a": "no"}]
