"""The plugin object: what the daemon learns about TCP through the contract."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

import svcmock_protocols.tcp
from svcmock.noise import Noise
from svcmock.protocol import Context, Explanation, Invalid, Plugin, Upstream
from svcmock_protocols.tcp import canonical, plugin
from svcmock_protocols.tcp.checksums import CHECKSUMS
from svcmock_protocols.tcp.dialect import Dialect
from svcmock_protocols.tcp.documents import ReplyDoc, RequestDoc
from svcmock_protocols.tcp.fieldtypes import TEXTS
from svcmock_protocols.tcp.jsontext import JSON_FORMS
from svcmock_protocols.tcp.messages import (
    Delimiter,
    FramingDoc,
    Length,
    Options,
    Piece,
    Reply,
    ReplyRules,
    Request,
    StartTlsDoc,
)
from svcmock_protocols.tcp.session import FramedSession
from svcmock_protocols.tcp.tap import FramedTap
from svcmock_protocols.tcp.tape_session import TapeSession
from svcmock_protocols.tcp.tape_tap import TapeTap
from tests.protocols.tcp.framed import LINES, MODBUS, Stored, service

UP = Upstream("tcp://up:1", "up:1")


class NoFolder:
    """A project without files."""

    def find(self, pattern: str) -> Sequence[str]:
        return ()

    def routes(self) -> Sequence[str]:
        return ()

    def beside(self, suffix: str) -> Sequence[str]:
        return ()

    def read(self, name: str) -> bytes:
        raise Invalid((), name)


def test_it_has_every_member_of_the_contract() -> None:
    members = {*Plugin.__annotations__, *(name for name in vars(Plugin) if not name.startswith("_"))}
    assert [name for name in sorted(members) if not hasattr(plugin, name)] == []
    assert plugin.name == "tcp"
    assert plugin.tls_schemes <= set(plugin.schemes)
    assert plugin.sniff(b"\x00")


def test_frames_and_tapes_each_have_their_own() -> None:
    framed = service(LINES)
    taped = Context(Options(), Noise(), bytes, schema=plugin.schema(Options(), NoFolder()))  # type: ignore[attr-defined]
    assert isinstance(plugin.session(framed), FramedSession)
    assert isinstance(plugin.tap(framed, UP), FramedTap)
    assert isinstance(plugin.session(taped), TapeSession)
    assert isinstance(plugin.tap(taped, UP), TapeTap)
    for doc, context in ((RequestDoc(tape={}), framed), (RequestDoc(text="a"), taped)):
        with pytest.raises(Invalid):
            plugin.request(doc, Stored(), context)
    with pytest.raises(Invalid):
        plugin.reply(ReplyDoc(text="a"), Stored(), taped, None)


def test_a_frame_through_the_contract() -> None:
    context = service(LINES)
    asked = plugin.request(RequestDoc(text="PING"), Stored(), context)
    told = plugin.reply(ReplyDoc(text="PONG"), Stored(), context, asked)
    assert plugin.key(asked, context) == b"frame\0: PING"
    assert plugin.address(asked) == b"frame"
    assert plugin.conditions(asked, context) == {}
    assert plugin.present(asked, ("x",), context) == (None,)
    assert plugin.fields(asked, context)["text"] == "PING"
    assert plugin.decisive(asked, context) == {"kind": "frame", "text": "PING"}
    assert plugin.redact(asked, context) is asked
    assert plugin.miss(asked, Explanation("m-1", "s", "tcp", "PING"), context) == Reply(then="close")
    assert plugin.dump(asked, told, context).request == {"text": "PING"}
    assert not plugin.tied(ReplyDoc(text="a"))


def test_options_become_a_dialect() -> None:
    options = msgspec.convert(MODBUS, Options)
    assert isinstance(plugin.schema(options, NoFolder()), Dialect)  # type: ignore[attr-defined]
    assert plugin.sources(options) == ()  # type: ignore[attr-defined]
    for wrong in ({"framing": {}}, {**LINES, "on_miss": "x"}, {**LINES, "fields": "x"}):
        with pytest.raises(Invalid):
            plugin.schema(msgspec.convert(wrong, Options), NoFolder())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (Request(b"PING"), "PING"),
        (Request(b"PING\r\n"), "PING"),
        (Request(b"x" * 100), "x" * 60 + "..."),
        (Request(b"\x00\x01"), "00 01 (2 bytes)"),
        (Request(bytes(30)), " ".join(["00"] * 20) + "... (30 bytes)"),
        (Request(b""), " (0 bytes)"),
        (Request(kind="banner"), "banner"),
        (Request(b"SUB", b"", "push", 3), "push 3 after SUB"),
        (Request(b"8=FIX.4.4\x0135=A\x01"), r"8=FIX.4.4\x0135=A\x01"),
        (
            Request(b"\x16\x03", kind="unread", why="too long"),
            "no frame: too long; it begins with 16 03 (2 bytes)",
        ),
    ],
)
def test_a_line_of_a_log(request_: Request, told: str) -> None:
    assert plugin.summary(request_) == told


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(), "0 frames"),
        (Reply((Piece(b"a", b"a"),)), "1 frame"),
        (Reply((Piece(b"a", b"a"),) * 2, "reset"), "2 frames, reset"),
        (Reply(then="close"), "close"),
    ],
)
def test_a_word_of_a_log(reply: Reply, told: str) -> None:
    assert plugin.outcome(reply) == told


def test_the_readme_has_everything_that_a_person_may_write() -> None:
    readme = (Path(svcmock_protocols.tcp.__file__).parent / "README.md").read_text()
    names = [
        *Options.__struct_fields__,
        *ReplyRules.__struct_fields__,
        *FramingDoc.__struct_fields__,
        *Delimiter.__struct_fields__,
        *Length.__struct_fields__,
        *StartTlsDoc.__struct_fields__,
        *RequestDoc.__struct_fields__,
        *ReplyDoc.__struct_fields__,
        *canonical.NAMES,
        *CHECKSUMS,
        *TEXTS,
        *JSON_FORMS,
        *[
            "repeat",
            "count",
            "count_field",
            "const",
            "length_of",
            "checksum",
            "over",
            "format",
            "kv",
            "pair_sep",
            "kv_sep",
            "trailing",
            "computed",
        ],
        *[
            "split",
            "names",
            "each",
            "tlv",
            "tag",
            "length",
            "bcd",
            "hex",
            "bytes",
            "switch",
            "cases",
            "default",
            "bitmap",
            "bits",
            "extends_if",
        ],
        *["len_field", "until", "prefix", "llvar", "var", "pad", "align"],
    ]
    assert [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", readme)] == []
