"""Tapes read out of route files: the same runs that the routes are compiled from."""

import hashlib
import json
from pathlib import Path

import pytest

from svcmock.files import SchemaFolder
from svcmock.yamlout import emit
from svcmock_protocols.tcp import tape_documents
from svcmock_protocols.tcp.tape import TapeOptions, TapeReply, TapeRequest
from svcmock_protocols.tcp.tape_files import library, steps
from tests.protocols.tcp.tape_cases import Options, context, token

RUNS = [
    (TapeRequest("5f0c", 1), TapeReply(b"220 hi\r\n")),
    (TapeRequest("5f0c", 2, b"no\n", mask=((0, 1), r"\d+")), TapeReply(b"1e3\n", after=0.5)),
    (TapeRequest("5f0c", 3, b"~", ends=True, after=1.5), TapeReply(b"\x00\xff" * 40, "close")),
    (TapeRequest("012", 1, b"null"), TapeReply(b"line\n\nline\n")),
]


def docs() -> list[dict[str, object]]:
    made = []
    for number, (request, reply) in enumerate(RUNS):
        documents = tape_documents.dump(request, reply, context())
        recorded = {"at": "2026-11-23T03:22:10.123Z", "took": "1.9ms", "connection": number}
        made.append({"recorded": recorded, "request": documents.request, "respond": documents.respond})
    return made


def folder(root: Path, **files: str) -> SchemaFolder:
    """A project whose service has its routes in `routes/`."""
    (root / "routes").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "routes" / name.replace("_", ".")).write_text(text)
    return SchemaFolder(root, ("routes/",))


def read(where: SchemaFolder) -> list[tuple[TapeRequest, TapeReply]]:
    return [(step.request, step.reply) for step in steps(where)]


def recording() -> str:
    return "".join(f"---\n{emit(doc)}...\n" for doc in docs())


def test_a_recording_is_read(tmp_path: Path) -> None:
    assert read(folder(tmp_path, a_yaml=recording())) == RUNS


def test_a_list_and_json_are_read(tmp_path: Path) -> None:
    text = "".join(f"- {json.dumps(doc)}\n" for doc in docs())
    assert read(folder(tmp_path, a_yml=text)) == RUNS
    (tmp_path / "routes" / "a.yml").unlink()
    assert read(folder(tmp_path, a_json=json.dumps(docs()))) == RUNS
    (tmp_path / "routes" / "a.json").unlink()
    assert read(folder(tmp_path, a_jsonl="".join(f"{json.dumps(doc)}\n" for doc in docs()))) == RUNS


def test_a_document_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    """As the loader of routes does: a session must not wait for what no route answers."""
    whole = recording()
    last = whole.rindex("---\n")
    for end in range(last, len(whole) - 4):
        assert read(folder(tmp_path, a_yaml=whole[:end])) == RUNS[:-1], whole[last:end]


@pytest.mark.parametrize(
    "text",
    [
        "---\n{tape: [",
        "tape: " + "[" * 5000,
        "request: {tape: {of: t}}\nrespond: {tape: {}}",
        "request: {tape: t}\nrespond: {tape: {}}",
        "request: {tape: {of: t, run: 1, said: {hex: xx}}}\nrespond: {tape: {}}",
        "request: {tape: {of: t, run: 1, said: {file: none}}}\nrespond: {tape: {}}",
        "request: {method: GET, path: /tape}\nrespond: {status: 200}",
        "tape",
        "- tape",
        "? [a, b]\n: tape",
        "\u0000 tape",
    ],
)
def test_what_is_no_tape_is_passed_over(tmp_path: Path, text: str) -> None:
    assert read(folder(tmp_path, a_yaml=text)) == []


def test_long_bytes_are_read_from_their_file(tmp_path: Path) -> None:
    long = bytes(range(256)) * 40
    name = hashlib.sha256(long).hexdigest()
    made = tape_documents.dump(TapeRequest("t", 1, long), TapeReply(long), context())
    assert list(made.files) == [f"bodies/{name}"]
    where = folder(tmp_path, a_yaml=emit({"request": made.request, "respond": made.respond}))
    (tmp_path / "routes" / "bodies").mkdir()
    (tmp_path / "routes" / "bodies" / name).write_bytes(long)
    assert read(where) == [(TapeRequest("t", 1, long), TapeReply(long))]


def test_files_are_read_in_order_and_each_has_tapes_of_its_own(tmp_path: Path) -> None:
    def text(said: str) -> str:
        return emit({"request": {"tape": {"of": "t", "run": 1, "said": said}}, "respond": {"tape": {}}})

    tapes = library(TapeOptions(), folder(tmp_path, b_yaml=text("b"), a_yaml=text("a"), c_txt=text("c")))
    assert [edge.request.said for edge in tapes.root.edges.values()] == [b"a", b"b"]


def test_a_library_is_another_when_anything_of_it_is(tmp_path: Path) -> None:
    where = folder(tmp_path, a_yaml=recording(), other_yaml="request: {method: GET}\nrespond: {}\n")
    digest = library(TapeOptions(), where).digest
    folder(tmp_path, other_yaml="request: {method: PUT}\nrespond: {}\n")
    assert library(TapeOptions(), where).digest == digest
    assert library(TapeOptions(mask=("x",)), where).digest != digest
    folder(tmp_path, a_yaml=recording().replace("220 hi", "220 ho"))
    assert library(TapeOptions(), where).digest != digest


def test_what_is_redacted_is_no_difference(tmp_path: Path) -> None:
    run = {"of": "t", "run": 1, "said": "PASS hunter2\n"}
    where = folder(tmp_path, a_yaml=emit({"request": {"tape": run}, "respond": {"tape": {}}}))
    tapes = tape_documents.schema(Options(TapeOptions(redact=(r"PASS (\S+)",))), where)
    known = tapes.key(TapeRequest("t", 1, b"PASS hunter2\n"), token)
    assert tapes.key(TapeRequest("t", 1, b"PASS " + token(b"hunter2") + b"\n"), token) == known
