"""Runs as documents, and what the daemon asks about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from svcmock.protocol import Context, Explanation, Invalid
from svcmock_protocols.tcp import tape_documents
from svcmock_protocols.tcp.tape import MAX_RUN, NAMES, MissReply, TapeReply, TapeRequest
from tests.protocols.tcp.tape_cases import Files, context, library, token

NO_FILES = Files()
CONTEXT = context()


class Doc(Struct, frozen=True):
    """A document of the plugin, as far as tapes are concerned."""

    tape: Any = None
    text: Any = None


def request(tape: Any, made_in: Context | None = CONTEXT) -> TapeRequest:
    return tape_documents.request(Doc(tape), NO_FILES, made_in)


def reply(tape: Any) -> TapeReply:
    return tape_documents.reply(Doc(tape), NO_FILES, CONTEXT, None)


@pytest.mark.parametrize(
    ("run", "answer", "asked", "answered"),
    [
        (
            TapeRequest("t", 2, b"GET a\r\n"),
            TapeReply(b"1\r\n"),
            {"of": "t", "run": 2, "said": "GET a\r\n"},
            {"said": "1\r\n"},
        ),
        (
            TapeRequest("t", 1),
            TapeReply(b"", "close", 1.5),
            {"of": "t", "run": 1},
            {"after": "1.5s", "then": "close"},
        ),
        (
            TapeRequest("t", 1, b"\0\1ab", True, 0.25, ((0, 2), "a(b)")),
            TapeReply(b"\xff", "reset"),
            {
                "of": "t",
                "run": 1,
                "after": "250ms",
                "said": {"hex": "00016162"},
                "ends": True,
                "mask": [[0, 2], "a(b)"],
            },
            {"said": {"hex": "ff"}, "then": "reset"},
        ),
    ],
)
def test_a_run_is_written_as_a_person_would(
    run: TapeRequest, answer: TapeReply, asked: object, answered: object
) -> None:
    made = tape_documents.dump(run, answer, CONTEXT)
    assert (made.request, made.respond) == ({"tape": asked}, {"tape": answered})
    assert request(asked) == run
    assert reply(answered) == answer


@given(st.binary(max_size=200), st.binary(max_size=5000), st.integers(0, 10**6), st.booleans())
def test_what_is_written_is_read_back(said: bytes, answer: bytes, after: int, ends: bool) -> None:
    run = TapeRequest("t", 7, said, ends, after / 1000)
    back = TapeReply(answer, "", after / 1000)
    made = tape_documents.dump(run, back, CONTEXT)
    files = Files(
        **{name.replace("/", "__"): data for name, data in made.files.items() if isinstance(data, bytes)}
    )
    assert tape_documents.request(Doc(made.request["tape"]), files, CONTEXT) == run
    assert tape_documents.reply(Doc(made.respond["tape"]), files, CONTEXT, run) == back


@pytest.mark.parametrize(
    ("tape", "at", "why"),
    [
        ({"run": 1}, ("tape",), "of"),
        ({"of": "", "run": 1}, ("tape", "of"), "named"),
        ({"of": "t" * 201, "run": 1}, ("tape", "of"), "named"),
        ({"of": "t", "run": 0}, ("tape", "run"), "from 1"),
        ({"of": "t", "run": "one"}, ("tape",), "run"),
        ({"of": "t", "run": 1, "said": {"hex": "0"}}, ("tape", "said", "hex"), "not hex"),
        ({"of": "t", "run": 1, "said": {"file": "x"}}, (), "no file"),
        ({"of": "t", "run": 1, "said": "ab", "mask": [[0, 3]]}, ("tape", "mask", 0), "2 bytes"),
        ({"of": "t", "run": 1, "said": "ab", "mask": ["("]}, ("tape", "mask", 0), "regular"),
        ({"of": "t", "run": 1, "mask": ["a"] * 257}, ("tape", "mask"), "256"),
        ({"of": "t", "run": 1, "after": "soon"}, ("tape", "after"), "duration"),
        ({"of": "t", "run": 1, "siad": "x"}, ("tape",), "siad"),
        ({"of": "t", "run": 1, "said": "a" * (MAX_RUN + 1)}, ("tape", "said"), "at most 1048576 bytes"),
        ("t", ("tape",), "object"),
    ],
)
def test_what_is_wrong_with_a_run_is_told(tape: object, at: tuple[object, ...], why: str) -> None:
    with pytest.raises(Invalid, match=why) as told:
        request(tape)
    assert told.value.at == at


@pytest.mark.parametrize(
    ("tape", "at"),
    [
        ({"then": "hang"}, ("tape",)),
        ({"after": -1}, ("tape", "after")),
        ({"said": 7}, ("tape", "said")),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(tape: object, at: tuple[object, ...]) -> None:
    with pytest.raises(Invalid) as told:
        reply(tape)
    assert told.value.at == at


def test_a_run_that_no_session_could_know_is_told() -> None:
    known = context(library(t=[(b"a", b"1")]))
    assert request({"of": "t", "run": 1, "said": "a"}, known).run == 1
    with pytest.raises(Invalid, match="not among the service's tapes"):
        request({"of": "other", "run": 1, "said": "a"}, known)


def test_a_key_is_what_the_library_says() -> None:
    known = context(library(t=[(b"a", b"1")], u=[(b"a", b"2")]))
    one, other = TapeRequest("t", 1, b"a"), TapeRequest("u", 1, b"a")
    assert tape_documents.key(one, known) == tape_documents.key(other, known)
    assert tape_documents.key(one, known).startswith(tape_documents.address(one) + b"\0")
    assert tape_documents.key(one, CONTEXT) != tape_documents.key(other, CONTEXT)


def test_what_predicates_see() -> None:
    seen = tape_documents.fields(TapeRequest("t", 2, b"GET a\r\n"), CONTEXT)
    assert seen == {"tape": "t", "run": 2, "said": "GET a\r\n", "size": 7, "ends": False}
    assert {*seen} <= {*NAMES, "size"}
    assert tape_documents.fields(TapeRequest("t", 2, b"\0\xff"), CONTEXT)["said"] == "00ff"
    assert tape_documents.fields(TapeRequest("t", 2, b"a" * MAX_RUN), CONTEXT)["said"] == "a" * 4096 + "\u2026"


def test_what_explanations_compare() -> None:
    assert tape_documents.decisive(TapeRequest("t", 2, b"a"), CONTEXT) == {"run": 2, "said": "a"}
    assert tape_documents.decisive(TapeRequest("t", 2, b"a", ends=True), CONTEXT)["ends"] is True
    assert tape_documents.decisive(TapeRequest("t", 2, b"a", cut=True), CONTEXT)["said"] == "a\u2026"


def test_what_was_not_heard_to_its_end_makes_no_route() -> None:
    """An edit that puts half a run into a route would make a tape that nobody is on."""
    made = tape_documents.dump(TapeRequest("t", 1, b"GET a", cut=True), TapeReply(), CONTEXT)
    with pytest.raises(Invalid, match="cut"):
        request(made.request["tape"])


def test_a_document_without_a_tape_is_told() -> None:
    for wrong in (None, {}):
        with pytest.raises(Invalid):
            request(wrong)
    with pytest.raises(Invalid, match="without `framing`"):
        tape_documents.request(Doc({"of": "t", "run": 1}, text="a"), NO_FILES, CONTEXT)
    with pytest.raises(Invalid, match=r"respond: \{tape:"):
        reply(None)


def test_credentials_become_tokens() -> None:
    asks = context(redact=(r"PASS (\S+)",))
    run = TapeRequest("t", 1, b"PASS a1\r\nPASS b2\r\n")
    masked = tape_documents.redact(run, asks)
    assert masked.said == b"PASS " + token(b"a1") + b"\r\nPASS " + token(b"b2") + b"\r\n"
    assert tape_documents.redact(masked, asks) == masked
    assert tape_documents.redact(run, CONTEXT) is run


@pytest.mark.parametrize(
    ("on_miss", "answer"),
    [
        ("close", TapeReply(b"", "close", lost=True)),
        ("reset", TapeReply(b"", "reset", lost=True)),
        ("hang", TapeReply(b"", "", lost=True, hang=True)),
        (MissReply("-ERR\r\n"), TapeReply(b"-ERR\r\n", "close", lost=True)),
        (MissReply("-ERR\r\n", "hang"), TapeReply(b"-ERR\r\n", "", lost=True, hang=True)),
    ],
)
def test_a_miss_is_what_the_options_say(on_miss: object, answer: TapeReply) -> None:
    told = Explanation("m-1", "s", "tcp", "r")
    assert tape_documents.miss(TapeRequest("t", 1), told, context(on_miss=on_miss)) == answer


def test_a_line_of_a_log() -> None:
    assert tape_documents.summary(TapeRequest("t", 2, b"secret")) == "tape t, run 2: 6 bytes"
    assert tape_documents.summary(TapeRequest("t", 1)) == "tape t, run 1: the server's turn"
    assert tape_documents.summary(TapeRequest("", 0, b"x", ends=True)) == "tape -, run 0: 1 bytes, end"
    assert tape_documents.outcome(TapeReply(b"abc", "close")) == "3 bytes, close"
    assert tape_documents.outcome(TapeReply(lost=True)) == "miss"


def test_no_option_names_files() -> None:
    assert tape_documents.sources(None) == ()
