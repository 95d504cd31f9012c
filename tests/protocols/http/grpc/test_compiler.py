"""protoc: descriptor sets out of sources, and its errors by file, line and column."""

import subprocess

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from svcmock_protocols.http.grpc import compiler
from svcmock_protocols.http.grpc.compiler import CompileError, Mistake, choose_names, compile_protos, imports

ITEM = b'syntax = "proto3";\npackage shop;\nmessage Item { string id = 1; }\n'


def compiled(files, wanted):
    return [file.name for file in FileDescriptorSet.FromString(compile_protos(files, wanted)).file]


def mistakes(files, wanted=None):
    with pytest.raises(CompileError) as caught:
        compile_protos(files, files if wanted is None else wanted)
    return caught.value.mistakes


def test_imports_come_first_and_only_what_is_wanted():
    cart = b'syntax = "proto3";\nimport "shop/item.proto";\nmessage Cart { repeated shop.Item items = 1; }\n'
    files = {"cart.proto": cart, "shop/item.proto": ITEM, "other.proto": b'syntax = "proto3";'}
    assert compiled(files, ["cart.proto"]) == ["shop/item.proto", "cart.proto"]
    assert set(compiled(files, files)) == set(files)


def test_what_is_well_known_and_what_is_installed_need_not_be_given():
    source = (
        b'syntax = "proto3";\nimport "google/protobuf/any.proto";\nimport "google/rpc/status.proto";\n'
        b'import "google/api/annotations.proto";\nmessage A { google.rpc.Status status = 1; }\n'
    )
    names = compiled({"a.proto": source}, ["a.proto"])
    assert names[-1] == "a.proto"
    assert {"google/protobuf/any.proto", "google/rpc/status.proto", "google/api/annotations.proto"} < set(names)


def test_comments_are_kept_for_reflection():
    made = FileDescriptorSet.FromString(compile_protos({"item.proto": ITEM}, ["item.proto"]))
    assert made.file[0].HasField("source_code_info")


def test_what_lies_in_the_folder_is_not_run():
    files = {"grpc_tools/protoc.proto": ITEM, "google/protobuf.proto": b'syntax = "proto3";'}
    assert set(compiled(files, files)) == set(files)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (
            {"a.proto": b'syntax = "proto3";\nmessage A {\n  B b = 1;\n  C c = 2;\n}\n'},
            [Mistake("a.proto", 3, 3, '"B" is not defined.'), Mistake("a.proto", 4, 3, '"C" is not defined.')],
        ),
        (
            {"x/a.proto": b'syntax = "proto3";\n message'},
            [Mistake("x/a.proto", 2, 9, "Expected message name.")],
        ),
        (
            {"sources/a.proto": b'syntax = "proto3";\nimport "no.proto";\n'},
            [
                Mistake("sources/a.proto", 2, 1, 'Import "no.proto" was not found or had errors.'),
                Mistake("no.proto", 0, 0, "File not found."),
            ],
        ),
        (
            {"a.proto": b'syntax = "proto3"; message A { int32 a = 1; int32 a = 2; }'},
            [Mistake("a.proto", 1, 51, '"a" is already defined in "A".')],
        ),
        ({"with space.proto": b"nonsense"}, None),
        ({"a.proto": b"\x00\xff"}, None),
        ({"a.proto": b'edition = "2099";'}, None),
    ],
)
def test_mistakes_have_their_place(files, found):
    told = mistakes(files)
    assert all(mistake.file in files or mistake.line == 0 for mistake in told)
    if found is not None:
        assert list(told) == found


def test_an_error_says_its_first_place():
    with pytest.raises(CompileError, match=r"^a\.proto:1:1: Expected top-level statement"):
        compile_protos({"a.proto": b"nonsense"}, ["a.proto"])
    with pytest.raises(CompileError, match=r"^\.\./a\.proto: a source is named by"):
        compile_protos({"../a.proto": b""}, ["../a.proto"])


OUTSIDE = ["../a.proto", "/a.proto", "a/../b.proto", "./a.proto", "a//b.proto", "", "a"]
ODD = ["-I.proto", "@a.proto", "a\\b.proto", "a\nb.proto", "a:b.proto", "a\0.proto"]


@pytest.mark.parametrize("name", [*OUTSIDE, *ODD])
def test_names_that_would_leave_the_folder(name):
    assert "relative path" in mistakes({name: ITEM})[0].why


def test_files_that_exclude_each_other_or_are_missing():
    assert "lies inside" in mistakes({"a.proto": b"", "a.proto/b.proto": b""})[0].why
    assert mistakes({"a.proto": ITEM}, ["b.proto"]) == (Mistake("b.proto", 0, 0, "this file is not there"),)
    assert "no .proto file" in mistakes({"a.proto": ITEM}, [])[0].why


def test_limits(monkeypatch):
    monkeypatch.setattr(compiler, "MAX_SIZE", 10)
    assert "more than" in mistakes({"a.proto": ITEM})[0].why
    monkeypatch.setattr(compiler, "MAX_SIZE", len(ITEM) + 1)
    assert "the descriptor set has more than" in mistakes({"a.proto": ITEM})[0].why


def test_a_compiler_that_does_not_end(monkeypatch):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    assert mistakes({"a.proto": ITEM}) == (Mistake("", 0, 0, "protoc was not done after 60 s"),)


def test_a_compiler_that_says_something_else(monkeypatch):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, b"", said)

    monkeypatch.setattr(subprocess, "run", run)
    said = b"a.proto:1:1: warning: unused\nb.proto: warning: so\nNo module named grpc_tools\n"
    assert mistakes({"a.proto": ITEM}) == (Mistake("", 0, 0, "No module named grpc_tools"),)
    said = b""
    assert mistakes({"a.proto": ITEM}) == (Mistake("", 0, 0, "protoc failed without a word"),)


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (
            b'import "a.proto"; import public "b.proto";import weak\t\'c.proto\' ;',
            ["a.proto", "b.proto", "c.proto"],
        ),
        (b'// import "a.proto";\n/* import "b.proto";\n */ import "c.proto";', ["c.proto"]),
        (b'option x = "import \\"a.proto\\";"; import "b.proto";', ["b.proto"]),
        (b"option x = 'import'; string important = 1;", []),
        (b'import option "o.proto";', ["o.proto"]),
        (b'/* never closed import "a.proto";', []),
        (b"/*" * 200_000 + b'"' * 200_001, []),
        (b"", []),
    ],
)
def test_imports(source, names):
    assert imports(source) == names


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"a.proto": []}, {"a.proto": "a.proto"}),
        # a root that imports tell
        (
            {"protos/shop/a.proto": ["shop/b.proto"], "protos/shop/b.proto": [], "protos/c.proto": []},
            {
                "protos/shop/a.proto": "shop/a.proto",
                "protos/shop/b.proto": "shop/b.proto",
                "protos/c.proto": "c.proto",
            },
        ),
        # no root at all
        (
            {"x/a.proto": ["x/b.proto"], "x/b.proto": []},
            {"x/a.proto": "x/a.proto", "x/b.proto": "x/b.proto"},
        ),
        # imported from outside of its root
        (
            {"api/a.proto": ["dep/d.proto"], "third/dep/d.proto": []},
            {"api/a.proto": "api/a.proto", "third/dep/d.proto": "dep/d.proto"},
        ),
        # two files with one name, of which nobody imports the one
        (
            {"v1/a.proto": ["b.proto"], "v1/b.proto": [], "v1/x/b.proto": [], "v1/x/c.proto": ["a.proto"]},
            {
                "v1/a.proto": "a.proto",
                "v1/b.proto": "b.proto",
                "v1/x/b.proto": "x/b.proto",
                "v1/x/c.proto": "x/c.proto",
            },
        ),
        # what is well known, or nowhere, tells nothing
        ({"x/a.proto": ["google/protobuf/any.proto", "no.proto"]}, {"x/a.proto": "x/a.proto"}),
        # the end of a name is not enough
        ({"x/ab.proto": [], "x/c.proto": ["b.proto"]}, {"x/ab.proto": "x/ab.proto", "x/c.proto": "x/c.proto"}),
        ({}, {}),
    ],
)
def test_choose_names(files, names):
    sources = {
        path: b"".join(b'import "%s";' % name.encode() for name in found) for path, found in files.items()
    }
    assert choose_names(sources) == names


def test_a_folder_compiles_by_its_chosen_names():
    folder = {
        "protos/shop/cart.proto": b'syntax="proto3"; import "shop/item.proto"; message Cart { shop.Item i=1; }',
        "protos/shop/item.proto": ITEM,
    }
    named = {choose_names(folder)[path]: source for path, source in folder.items()}
    assert compiled(named, named) == ["shop/item.proto", "shop/cart.proto"]
