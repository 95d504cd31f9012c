"""An upstream that is asked what its messages mean, while its exchanges wait for the answer."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import structlog.testing

from svcmock.capabilities import Inquiry, Learned
from svcmock.model import Tcp
from svcmock.net import inquiry
from svcmock.net.listener import Listener, bind
from svcmock.net.recorder import Recorder
from svcmock.net.relay import Client
from svcmock.net.spool import Spools
from svcmock.net.upstream import Connector, UpstreamError
from svcmock.protocol import (
    Began,
    Close,
    Context,
    Exchange,
    Forward,
    Inquire,
    Invalid,
    ProtocolError,
    Seen,
    Send,
    Shut,
    Side,
    Sight,
    Tap,
    Timing,
    Upstream,
)
from svcmock_protocols.http import HttpPlugin
from svcmock_protocols.http.messages import Reply, Request
from tests.routes import CONTEXT, SERVICE

QUESTION, ANSWER = b"what?\n", b"that.\n"


class Asking:
    """Asks once, and learns what it is told."""

    def __init__(self, name: str = "schema.bin", *, silent: bool = False) -> None:
        self._name = name
        self._silent = silent

    def opened(self) -> Sequence[Send | Learned | Close]:
        return (Send(QUESTION),)

    def received(self, data: bytes) -> Sequence[Send | Learned | Close]:
        if data.startswith(b"broken"):
            raise ProtocolError("it is broken")
        if data.startswith(b"mistake"):
            raise KeyError("mistake")
        return () if self._silent else (Learned(self._name, data), Close())


class WaitingTap:
    """Holds every exchange until it is informed. Each line is a request, and its reply."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._count = 0
        self._informed = False
        self._ended = 0

    def from_client(self, data: bytes, at: float) -> Sight:
        seen: list[Seen] = [Forward(data, Side.SERVER)]
        if not self._count:
            seen.append(Inquire())
        self._count += 1
        self._held.append(self._count)
        return [*seen, Began(self._count), *(self._release() if self._informed else ())]

    def from_server(self, data: bytes, at: float) -> Sight:
        return (Forward(data, Side.CLIENT),)

    def eof(self, side: Side, at: float) -> Sight:
        self._ended += 1
        release = self._release() if self._ended == 2 else []
        return [*release, Shut(Side.SERVER if side is Side.CLIENT else Side.CLIENT)]

    def unreachable(self, why: str, at: float) -> Sight:
        return ()

    def informed(self, context: Context) -> Sight:
        self._informed = True
        return self._release()

    def _release(self) -> list[Seen]:
        held, self._held = self._held, []
        return [Exchange(i, Request(b"GET", b"/%d" % i), Reply(200), Timing(1.0, 0.0)) for i in held]


class AskingPlugin(HttpPlugin):
    def __init__(self, make: Callable[[], Inquiry] = Asking) -> None:
        self._make = make
        self.made = 0

    def tap(self, context: Context, upstream: Upstream) -> Tap:
        return WaitingTap()

    def inquiry(self, upstream: Upstream) -> Inquiry:
        self.made += 1
        return self._make()

    def dump(self, request: Any, reply: Any, context: Context) -> Any:
        shown = super().dump(request, reply, CONTEXT)
        return msgspec.structs.replace(shown, request={**shown.request, "body": str(context.schema)})


class Stage:
    """A recorder between clients and an upstream that echoes lines, and answers inquiries as it is told to."""

    def __init__(
        self, root: Path, plugin: HttpPlugin, answer: Callable[[asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self.root = root
        self.plugin = plugin
        self.answer = answer
        self.inquiries = 0
        self.fresh = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.recorder = Recorder(
            "shop",
            self.plugin,
            self._context,
            Connector(msgspec.structs.replace(SERVICE, upstream=url), self.plugin),
            self.root / "rec",
            "r.yaml",
            lambda: Spools(self.root / "sp"),
        )
        self.listener = Listener(bind(Tcp("127.0.0.1", 0)), lambda: Client(self.recorder))
        await self.listener.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in tuple(self.recorder.connections):
            client.close()
        await until(lambda: not self.recorder.connections)
        await self.listener.stop()
        self.recorder.close()
        self.server.close()
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _context(self) -> Context:
        self.fresh += 1
        return msgspec.structs.replace(CONTEXT, schema=f"schema {self.fresh}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while line := await reader.readline():
                if line == QUESTION:
                    self.inquiries += 1
                    await self.answer(writer)
                else:
                    writer.write(line)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def say(self, line: bytes, *, stay: bool = False) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(self.listener.address.rpartition(":")[2])
        )
        self._writers.append(writer)
        writer.write(line)
        assert await reader.readline() == line
        if not stay:
            writer.close()

    @property
    def text(self) -> str:
        path = self.root / "rec" / "r.yaml"
        return path.read_text() if path.exists() else ""


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110  bounded above
            await asyncio.sleep(0.002)


async def say(writer: asyncio.StreamWriter) -> None:
    writer.write(ANSWER)


def test_the_upstream_is_asked_once_and_all_connections_are_told(tmp_path: Path) -> None:
    plugin = AskingPlugin()

    async def work() -> None:
        async with Stage(tmp_path, plugin, say) as stage:
            for i in range(3):
                await stage.say(b"%d\n" % i, stay=True)
            await until(lambda: stage.recorder.counters.recorded == 3)
            await stage.say(b"later\n", stay=True)
            await until(lambda: stage.recorder.counters.recorded == 4)
            assert (stage.inquiries, plugin.made, stage.fresh) == (1, 1, 2)
            assert stage.text.count("schema 2") == 4

    asyncio.run(asyncio.wait_for(work(), 20))
    kept = tmp_path / "rec" / "schema.bin"
    assert kept.read_bytes() == ANSWER
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_client_that_has_gone_is_recorded_with_what_is_learned(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def later(writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(ANSWER)

    async def work() -> None:
        async with Stage(tmp_path, AskingPlugin(), later) as stage:
            await stage.say(b"a\n")
            await until(lambda: stage.inquiries)
            await asyncio.sleep(0.1)
            assert stage.recorder.counters.in_flight == 1
            assert len(stage.recorder.connections) == 1
            gate.set()
            await until(lambda: not stage.recorder.connections)
            assert "schema 2" in stage.text

    asyncio.run(asyncio.wait_for(work(), 20))


def test_a_run_that_ends_writes_what_still_waits(tmp_path: Path) -> None:
    async def never(_writer: asyncio.StreamWriter) -> None:
        return

    async def work() -> Stage:
        async with Stage(tmp_path, AskingPlugin(), never) as stage:
            await stage.say(b"gone\n")
            await stage.say(b"here\n", stay=True)
            await until(lambda: stage.inquiries)
        return stage

    stage = asyncio.run(asyncio.wait_for(work(), 20))
    assert (stage.recorder.counters.accepted, stage.recorder.counters.recorded) == (2, 2)
    assert stage.text.count("schema 1") == 2


@pytest.mark.parametrize(
    ("make", "told", "why"),
    [
        (Asking, b"broken", "the answer cannot be read: it is broken"),
        (Asking, b"mistake", "a mistake in the protocol's code: KeyError('mistake')"),
        (Asking, b"", "the connection ended"),
        (lambda: Asking("../evil"), ANSWER, "'../evil' is no name of a file"),
        (lambda: Asking(".hidden"), ANSWER, "'.hidden' is no name of a file"),
        (lambda: Asking(silent=True), b"x" * 2000, "more than 1000 bytes were answered"),
        (lambda: Asking(silent=True), b"x", "not answered in 0 s"),
    ],
)
def test_an_inquiry_that_fails_is_told_and_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Inquiry], told: bytes, why: str
) -> None:
    monkeypatch.setattr(inquiry, "MAX_ANSWERS", 1000)
    monkeypatch.setattr(inquiry, "INQUIRY_SECONDS", 0.3 if "0 s" in why else 5.0)

    async def answer(writer: asyncio.StreamWriter) -> None:
        if told:
            writer.write(told)
        else:
            writer.close()

    async def work() -> list[Any]:
        with structlog.testing.capture_logs() as logs:
            async with Stage(tmp_path, AskingPlugin(make), answer) as stage:
                await stage.say(b"a\n", stay=True)
                await until(lambda: stage.recorder.counters.recorded == 1)
        assert "schema 1" in stage.text
        return [one for one in logs if one.get("why") == why and one["log_level"] == "info"]

    assert len(asyncio.run(asyncio.wait_for(work(), 20))) == 1
    assert [path.name for path in (tmp_path / "rec").iterdir()] == ["r.yaml"]
    assert not (tmp_path / "evil").exists()


def test_a_schema_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def context(_stage: Stage) -> Context:
        made.append(1)
        if len(made) > 1:
            raise Invalid((), "it is no schema")
        return msgspec.structs.replace(CONTEXT, schema="schema 1")

    monkeypatch.setattr(Stage, "_context", context)

    async def work() -> None:
        async with Stage(tmp_path, AskingPlugin(), say) as stage:
            await stage.say(b"a\n", stay=True)
            await until(lambda: stage.recorder.counters.recorded == 1)
            assert "schema 1" in stage.text

    asyncio.run(asyncio.wait_for(work(), 20))


def test_a_protocol_that_cannot_ask_is_informed_at_once(tmp_path: Path) -> None:
    class Mute(HttpPlugin):
        def tap(self, context: Context, upstream: Upstream) -> Tap:
            return WaitingTap()

    mute: HttpPlugin = Mute()
    if hasattr(HttpPlugin, "inquiry"):
        monkey = pytest.MonkeyPatch()
        monkey.delattr(HttpPlugin, "inquiry")
    else:
        monkey = None

    async def work() -> None:
        async with Stage(tmp_path, mute, say) as stage:
            await stage.say(b"a\n", stay=True)
            await until(lambda: stage.recorder.counters.recorded == 1)
            assert (stage.inquiries, stage.fresh) == (0, 1)

    try:
        asyncio.run(asyncio.wait_for(work(), 20))
    finally:
        if monkey is not None:
            monkey.undo()


def test_what_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    kept = tmp_path / "rec" / "schema.bin"
    kept.write_bytes(ANSWER)
    before = kept.stat()

    async def work() -> None:
        async with Stage(tmp_path, AskingPlugin(), say) as stage:
            await stage.say(b"a\n", stay=True)
            await until(lambda: stage.recorder.counters.recorded == 1)

    asyncio.run(asyncio.wait_for(work(), 20))
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_upstream_that_is_not_there(tmp_path: Path, free_port: Callable[[], int]) -> None:
    plugin = AskingPlugin()
    service = msgspec.structs.replace(SERVICE, upstream=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UpstreamError):
        asyncio.run(_ask(Connector(service, plugin)))


async def _ask(connector: Connector, asking: Inquiry | None = None) -> list[Learned]:
    return await inquiry.ask(asking or Asking(), connector, ())


# --- one inquiry by itself ----------------------------------------------------------------------------


class Pieces:
    """Learns the words that it is told, once `last` has come. `fails`: before it has said anything."""

    def __init__(self, last: bytes = b"!", *, fails: Exception | None = None) -> None:
        self._last = last
        self._fails = fails
        self._heard = b""

    def opened(self) -> Sequence[Send | Learned | Close]:
        if self._fails is not None:
            raise self._fails
        return (Send(QUESTION),)

    def received(self, data: bytes) -> Sequence[Send | Learned | Close]:
        self._heard += data
        if not self._heard.endswith(self._last):
            return ()
        words = [Learned(f"{i}.bin", word) for i, word in enumerate(self._heard.split())]
        return (*words, Close(), Close(), Send(b"late"))


def asked(asking: Inquiry, said: bytes, *, stays: bool = True) -> list[Learned]:
    """What is learned from an upstream that answers with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readline()
            writer.write(said)
            if stays:
                await reader.read()
        writer.close()

    async def work() -> list[Learned]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            connector = Connector(msgspec.structs.replace(SERVICE, upstream=url), HttpPlugin())
            return await _ask(connector, asking)

    return asyncio.run(asyncio.wait_for(work(), 20))


def test_all_that_was_learned_is_given_in_order(caplog: pytest.LogCaptureFixture) -> None:
    assert asked(Pieces(), b"one two!") == [Learned("0.bin", b"one"), Learned("1.bin", b"two!")]
    assert caplog.records == []  # where asyncio tells what went wrong in a protocol


def test_an_upstream_that_has_nothing_to_say() -> None:
    with pytest.raises(inquiry.InquiryError, match="it has no answer"):
        asked(Pieces(b"\n"), b" \n")


def test_what_is_half_said_is_not_learned() -> None:
    with pytest.raises(inquiry.InquiryError, match="the connection ended"):
        asked(Pieces(), b"one two", stays=False)


@pytest.mark.parametrize("more", [0, 1])
def test_an_answer_of_the_limit_is_taken_and_one_byte_more_is_not(
    monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    monkeypatch.setattr(inquiry, "MAX_ANSWERS", 100_000)
    said = b"x" * (99_999 + more) + b"!"
    if not more:
        assert asked(Pieces(), said) == [Learned("0.bin", said)]
        return
    with pytest.raises(inquiry.InquiryError, match="more than 100000 bytes were answered"):
        asked(Pieces(), said)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (KeyError("first"), r"a mistake in the protocol's code: KeyError\('first'\)"),
        (ProtocolError("no"), "the answer cannot be read: no"),
    ],
)
def test_an_inquiry_that_fails_before_it_has_asked(error: Exception, why: str) -> None:
    with pytest.raises(inquiry.InquiryError, match=why):
        asked(Pieces(fails=error), b"")
