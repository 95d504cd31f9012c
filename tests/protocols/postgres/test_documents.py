"""Route files: what a person writes, what a recording writes, and that nothing is lost."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Blob, Invalid
from svcmock_protocols.postgres import documents, types
from svcmock_protocols.postgres.canonical import key
from svcmock_protocols.postgres.documents import ReplyDoc, RequestDoc
from svcmock_protocols.postgres.messages import Column, Raw, Reply, Request, Result, Said, failed, said
from tests.protocols.postgres.wire import context, nofiles


class Kept:
    """What was dumped into files: like those of a project, which leave a digest to the name that says it."""

    def __init__(self, files) -> None:
        self._files = files

    def __call__(self, name):
        return Blob(f"/project/recordings/{name}", len(self._files[name]))

    def read(self, blob):
        return self._files[blob.path.removeprefix("/project/recordings/")]


def read_request(**doc):
    return documents.request(msgspec.convert(doc, RequestDoc), nofiles)


def read_reply(asked: Request | None = None, **doc):
    return documents.reply(msgspec.convert(doc, ReplyDoc), nofiles, asked)


def back(request: Request, reply: Reply) -> tuple[Request, Reply]:
    dumped = documents.dump(request, reply)
    files = Kept(dumped.files)
    again = documents.request(msgspec.convert(dumped.request, RequestDoc), files)
    return again, documents.reply(msgspec.convert(dumped.respond, ReplyDoc), files, request)


def test_what_a_person_writes():
    request = read_request(sql="SELECT name FROM users WHERE id = $1", params=["42", None, True, 7])
    types = (0, 0, 16, 20)
    assert request == Request("SELECT name FROM users WHERE id = $1", ("42", None, "t", "7"), types)
    assert read_request(sql="SELECT $1", params=["42", None]).types == (), "text may be of any type"
    assert read_request(sql="SELECT $1", params=[42], types=["numeric"]).types == (1700,)
    reply = read_reply(
        request, columns=["name", {"name": "age", "type": "int4"}], rows=[["Ann", 31], [None, "7"]]
    )
    assert reply == Reply(
        (Result((Column("name"), Column("age", 23)), (("Ann", "31"), (None, "7")), "SELECT 2"),)
    )


@pytest.mark.parametrize(
    ("sql", "doc", "tag"),
    [
        ("INSERT INTO t VALUES (1)", {}, "INSERT 0 1"),
        ("UPDATE t SET a = 1", {}, "UPDATE 1"),
        ("DELETE FROM t", {"tag": "DELETE 7"}, "DELETE 7"),
        ("INSERT INTO t VALUES (1) RETURNING id", {"columns": ["id"], "rows": [["1"]]}, "INSERT 0 1"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", {"columns": ["a"], "rows": []}, "SELECT 0"),
        ("CREATE TABLE t (a int)", {}, "CREATE TABLE"),
        ("TRUNCATE t", {}, "TRUNCATE"),
        ("COPY t TO STDOUT", {"copy": ["1\n", "2\n"]}, "COPY 2"),
    ],
)
def test_the_tag_follows_from_the_statement(sql, doc, tag):
    assert read_reply(Request(sql), **doc).results[0].tag == tag
    assert documents.tied(msgspec.convert(doc, ReplyDoc)) is ("tag" not in doc)


def test_a_failure():
    reply = read_reply(error={"code": "23505", "message": "twice", "detail": "Key (id)=(1) already exists."})
    assert reply == failed("23505", "twice", D="Key (id)=(1) already exists.")


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({}, ()),
        ({"sql": "a\0b"}, ("sql",)),
        ({"sql": "a\ud800"}, ("sql",)),
        ({"sql": "a", "params": ["\ud800"]}, ("params", 0)),
        ({"sql": "a", "params": [1.5]}, ("params", 0)),
        ({"sql": "a", "params": [{"hex": "00"}]}, ("params", 0)),
        ({"sql": "a", "types": ["strange"]}, ("types", 0)),
        ({"describe": "a", "sql": "b"}, ("describe",)),
    ],
)
def test_requests_that_mean_nothing(doc, at):
    with pytest.raises(Invalid) as caught:
        read_request(**doc)
    assert caught.value.at == at


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"rows": [["1"]]}, ("rows",)),
        ({"columns": ["a"], "rows": [["1", "2"]]}, ("rows", 0)),
        ({"columns": ["a"], "rows": ["1"]}, ("rows", 0)),
        ({"columns": ["a"], "rows": [[1.5]]}, ("rows", 0, 0)),
        ({"columns": [{"name": "a", "type": "strange"}]}, ("columns", 0, "type")),
        ({"columns": [{"name": "a", "colour": "red"}]}, ("columns", 0, "colour")),
        ({"columns": [{"type": "int4"}]}, ("columns", 0)),
        ({"columns": [{"name": "a", "size": 1 << 20}]}, ("columns", 0, "size")),
        ({"columns": ["a"] * 2000}, ("columns",)),
        ({"columns": {"a": "int4"}}, ("columns",)),
        ({"error": {"message": "no code"}}, ("error",)),
        ({"error": {"code": "1", "message": "m", "colour": "red"}}, ("error", "colour")),
        ({"error": {"code": "1", "message": [1]}}, ("error", "message")),
        ({"status": "X"}, ("status",)),
        ({"results": [], "tag": "x"}, ("results",)),
        ({"results": [{"colour": "red"}]}, ("results", 0, "colour")),
        ({"results": [{"tag": 3}]}, ("results", 0)),
        ({"copy": "x"}, ("copy",)),
        ({"copy": ["x"], "copy_format": "csv"}, ("copy_format",)),
    ],
)
def test_replies_that_mean_nothing(doc, at):
    with pytest.raises(Invalid) as caught:
        read_reply(**doc)
    assert caught.value.at == at


def test_a_recording_reads_like_one_of_a_person():
    request = Request("SELECT $1", ("42",), (23,))
    reply = Reply((Result((Column("id", 23), Column("n", 1043, 24)), (("42", None),), "SELECT 1"),))
    dumped = documents.dump(request, reply)
    assert dumped.request == {"sql": "SELECT $1", "params": ["42"], "types": ["int4"]}
    assert dumped.respond == {
        "columns": [{"name": "id", "type": "int4"}, {"name": "n", "type": "varchar", "modifier": 24}],
        "rows": [["42", None]],
    }
    assert documents.dump(Request("BEGIN"), failed("1", "m")).respond == {
        "error": {"code": "1", "message": "m"}
    }


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (Request("SELECT 1"), Reply((Result((), ((), ()), "SELECT 2"),))),
        (Request("SELECT 1", op="describe"), Reply((Result((Column("a", 23),)),), types=(23, 25))),
        (Request("SELECT 1", op="describe"), Reply(types=())),
        (Request("SELECT 1", op="describe"), failed("42P01", "no", P="15")),
        (Request("x; y"), Reply((Result(tag="A"), Result((Column("a"),), (("1",),), "SELECT 1")))),
        (Request("x; y"), Reply((Result(tag="A"), Result(tag="B")), said("1", "2"))),
        (Request("SELECT 1"), Reply((Result((Column("a"),), (("1",),), ""),), said("22012", "by zero"))),
        (
            Request("SELECT 1"),
            Reply((Result(tag="SET"),), None, (said("1", "2", "WARNING"),), None, (("a", "b"),), "T"),
        ),
        (
            Request("COPY t TO STDOUT"),
            Reply((Result(tag="COPY 1", copy=(b"1\n", b"\xff"), binary=True, width=2),)),
        ),
        (Request("COPY t FROM STDIN", copy=b"1\tAnn\n"), Reply((Result(tag="COPY 1"),))),
        (Request("COPY t FROM STDIN", copy=b""), Reply((Result(tag="COPY 0"),))),
        (Request("SELECT 1"), Reply((Result((Column("a"),), (("x" * 5000,),), "SELECT 1"),))),
        (
            Request("SELECT 1"),
            Reply((Result((Column("a"),), ((Raw(b"\0"),), (Raw(b"x", binary=False),)), "SELECT 2"),)),
        ),
        (Request("SELECT 1"), Reply((Result((Column("a", 99999, 3, 7, 16390, 2),), (), "SELECT 0"),))),
        (
            Request("SELECT 1"),
            Reply(failure=Said((("S", "FEHLER"), ("V", "ERROR"), ("C", "1"), ("M", "m"), ("x", "y")))),
        ),
        (Request(""), Reply((Result(tag=""),))),
    ],
)
def test_nothing_is_lost(request_, reply):
    assert back(request_, reply) == (request_, reply)


VALUES = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
RAW = st.builds(Raw, st.binary(max_size=8), st.booleans())


@given(st.lists(st.lists(VALUES | RAW, min_size=2, max_size=2), max_size=4), st.lists(VALUES | RAW, max_size=3))
def test_no_value_is_lost(rows, params):
    request = Request("SELECT $1", tuple(params), (0, 23, types.oid("_text"))[: len(params)])
    columns = (Column("a", 23), Column("b", 25))
    reply = Reply((Result(columns, tuple(map(tuple, rows)), f"SELECT {len(rows)}"),))
    again, told = back(request, reply)
    assert told == reply
    assert again.params == request.params


def test_what_is_copied_in_is_matched_however_large_it_is():
    """A large one lies in a file whose name is its digest."""
    request = Request("COPY t FROM STDIN", copy=b"1\tone\n" * 10_000)
    dumped = documents.dump(request, Reply((Result(tag="COPY 10000"),)))
    assert len(dumped.files) == 1
    again = documents.request(msgspec.convert(dumped.request, RequestDoc), Kept(dumped.files))
    assert isinstance(again.copy, Blob)
    assert key(again, context()) == key(request, context())


def test_a_copy_by_hand_is_its_file_whatever_its_name():
    data = b"1\tone\n" * 2000
    typed = msgspec.convert({"sql": "COPY t FROM STDIN", "copy": {"file": "users.csv"}}, RequestDoc)
    asked = documents.request(typed, Kept({"users.csv": data}))
    live = Request("COPY t FROM STDIN", copy=data)
    assert key(asked, context()) == key(live, context())
