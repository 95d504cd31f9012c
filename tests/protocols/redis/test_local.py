"""What the mock answers by itself."""

import pytest

from svcmock_protocols.redis.facts import Facts
from svcmock_protocols.redis.local import LOCAL, Client, answer, is_usual, wrong_arguments
from svcmock_protocols.redis.messages import NULL, OK, Array, Error, Map, Nil, Simple, Verbatim
from tests.protocols.redis.making import words


def client(**more):
    return Client(7, Facts(version="6.2.12"), **more)


def says(line, to=None):
    return answer(words(line), to or client())


def test_hello_switches_and_tells():
    one = client()
    told = says("HELLO 3 AUTH ann secret SETNAME app", one)
    assert isinstance(told, Map)
    assert dict(told.pairs)[b"version"] == b"6.2.12"
    assert dict(told.pairs)[b"proto"] == 3
    assert dict(told.pairs)[b"id"] == 7
    assert (one.version, one.name) == (3, b"app")
    assert dict(says("HELLO", one).pairs)[b"proto"] == 3
    says("HELLO 2", one)
    assert one.version == 2


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("HELLO 4", b"NOPROTO "),
        ("HELLO x", b"ERR Protocol version"),
        ("HELLO 3 AUTH a", b"ERR Syntax error"),
        ("HELLO 3 X", b"ERR Syntax"),
    ],
)
def test_hello_that_changes_nothing(line, start):
    one = client()
    told = says(line, one)
    assert isinstance(told, Error)
    assert told.text.startswith(start)
    assert (one.version, one.name) == (2, b"")


def test_clients_have_names_and_numbers():
    one = client()
    assert says("CLIENT GETNAME", one) == NULL
    assert says("CLIENT SETNAME app", one) == OK
    assert says("client getname", one) == b"app"
    assert says("CLIENT ID", one) == 7
    assert says("CLIENT SETINFO LIB-NAME redis-py", one) == OK
    assert says("CLIENT SETINFO LIB-VER 8", one) == OK
    told = says("CLIENT INFO", one)
    assert isinstance(told, Verbatim)
    assert b"name=app" in told.text
    assert b"lib-name=redis-py lib-ver=8" in told.text


def test_reply_modes():
    one = client()
    says("CLIENT REPLY OFF", one)
    assert one.quiet
    says("CLIENT REPLY SKIP", one)
    assert (one.quiet, one.skip) == (False, True)
    assert says("CLIENT REPLY ON", one) == OK
    assert not one.skip
    assert isinstance(says("CLIENT REPLY X", one), Error)


GET = Array(
    (b"get", 2, Array((Simple(b"readonly"),), "set"), 1, 1, 1, Array((), "set"), Array(), Array(), Array())
)
ANSWERS = [
    ("CLIENT TRACKING on", OK),
    ("CLIENT NO-EVICT on", OK),
    ("CLIENT KILL id", OK),
    ("CLIENT KILL ID 5", 0),
    ("CLIENT UNBLOCK 3", 0),
    ("CLIENT GETREDIR", -1),
    ("PING", Simple(b"PONG")),
    ("PING hi", b"hi"),
    ("ECHO hi", b"hi"),
    ("COMMAND GETKEYS MSET a 1 b 2", Array((b"a", b"b"))),
    ("COMMAND INFO get NOSUCH", Array((GET, Nil("bulk")))),
    ("COMMAND NOSUCH", None),
    ("COMMAND DOCS", Map()),
    ("READONLY", OK),
    ("WATCH a", OK),
    ("SCRIPT LOAD x", b"11f6ad8ec52a2984abaafd7c3b516503785c2072"),
    ("SCRIPT EXISTS abc", None),
    ("SCRIPT FLUSH", OK),
]


@pytest.mark.parametrize(("line", "value"), ANSWERS)
def test_answers(line, value):
    assert says(line) == value


@pytest.mark.parametrize(
    "line",
    [
        "CLIENT",
        "CLIENT NOSUCH",
        "CLIENT MAINT_NOTIFICATIONS ON",
        "ECHO",
        "PING a b",
        "CLIENT SETNAME",
        "CLIENT SETINFO X y",
        "CLIENT SETINFO",
    ],
)
def test_errors(line):
    assert isinstance(says(line), Error)


def test_a_name_has_no_spaces():
    assert isinstance(answer((b"CLIENT", b"SETNAME", b"a b"), client()), Error)


def test_a_server_that_is_ready():
    told = says("INFO")
    assert isinstance(told, Verbatim)
    assert b"redis_version:6.2.12\r\n" in told.text
    assert b"loading:0\r\n" in told.text
    assert not is_usual(words("INFO"), told)


def test_all_commands():
    listed = says("COMMAND")
    assert isinstance(listed, Array)
    assert GET in listed.items
    assert says("COMMAND COUNT") == len(listed.items) == len(says("COMMAND LIST").items)
    assert isinstance(says("COMMAND GETKEYS PING"), Error)


def test_wrong_arguments_in_the_words_of_a_server():
    assert (
        wrong_arguments(words("CONFIG GET")).text == b"ERR wrong number of arguments for 'config|get' command"
    )


def test_what_needs_no_recording():
    assert is_usual(words("PING"), Simple(b"PONG"))
    assert is_usual(words("PING"), Array((b"pong", b"")))
    assert not is_usual(words("PING"), Error(b"LOADING"))
    assert is_usual(words("WATCH a"), OK)
    assert is_usual(words("SCRIPT LOAD x"), b"11f6ad8ec52a2984abaafd7c3b516503785c2072")
    assert not is_usual(words("SCRIPT EXISTS x"), Array((0,)))
    assert not is_usual(words("COMMAND COUNT"), 240)


def test_all_of_these_have_an_answer_or_none():
    for name in LOCAL:
        answer((name,), client())
