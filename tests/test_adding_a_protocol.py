"""The protocol of docs/adding-a-protocol.md, taken from the page and installed: it keeps the contract."""

import importlib.util
import os
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from svcmock.noise import Noise
from svcmock.project import load
from svcmock.protocol import Ask, Began, Close, Context, Exchange, Invalid, Lost, Opaque, Send, Side, Upstream
from svcmock.registry import GROUP, discover
from tests.e2e.processes import Svcmock
from tests.protocols.conformance import (
    check_session_splits,
    check_session_survives,
    check_tap_splits,
    serve,
    watch,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adding-a-protocol.md"
QUOTES = {b"sea/ships": b"OK A ship in harbour is safe.", b"latin": b"OK caf\xe9 au lait"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module and its metadata, as an installation would leave it."""
    packages = tmp_path / "packages"
    info = packages / "svcmock_quote-1.0.dist-info"
    info.mkdir(parents=True)
    (packages / "svcmock_quote.py").write_text("\n\n".join(blocks("python")))
    (toml,) = blocks("toml")
    found = re.fullmatch(r'\[project\.entry-points\."(.+)"\]\n(.+) = "(.+)"\n', toml)
    assert found is not None
    assert found[1] == GROUP
    (info / "entry_points.txt").write_text(f"[{found[1]}]\n{found[2]} = {found[3]}\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: svcmock-quote\nVersion: 1.0\n")
    return packages


@pytest.fixture
def quote(folder: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("svcmock_quote_of_the_page", folder / "svcmock_quote.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def context(quote: ModuleType) -> Context:
    return Context(quote.Options(), Noise(()), lambda credential: credential)


def session(quote: ModuleType) -> Any:
    return quote.plugin.session(context(quote))


def tap(quote: ModuleType) -> Any:
    return quote.plugin.tap(context(quote), Upstream("quote://h:1717", "h"))


# --- the contract -------------------------------------------------------------------------------------


def test_it_is_found_by_its_entry_point(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    found = discover()
    assert found.problems == ()
    assert found.plugins["quote"].schemes == {"quote": 1717}
    monkeypatch.delitem(sys.modules, "svcmock_quote")


def test_session(quote: ModuleType) -> None:
    def answer(request: Any) -> Any:
        return quote.Reply(request.topic != b"bad", request.topic.upper())

    outs = check_session_splits(lambda: session(quote), b"sea\nbad\n\xff\n", answer)
    assert outs[:2] == [Ask(1, quote.Request(b"sea"), 3), Send(b"OK SEA\n")]
    assert b"".join(out.data for out in outs if isinstance(out, Send)) == b"OK SEA\nERR BAD\nOK \xff\n"
    assert outs[-1] == Close()
    for seed in range(30):
        check_session_survives(lambda: session(quote), b"sea\nbad\n" * 5, answer, seed)


def test_session_keeps_the_order_of_the_wire(quote: ModuleType) -> None:
    one = session(quote)
    assert one.at_rest is not None
    first, second = one.received(b"a\nb\n")
    assert isinstance(first, Ask)
    assert one.at_rest is None
    assert list(one.answered(second, quote.Reply(True, b"2"))) == []
    assert list(one.eof()) == []
    assert list(one.answered(first, quote.Reply(True, b"1"))) == [Send(b"OK 1\n"), Send(b"OK 2\n"), Close()]


def test_session_limits_a_line(quote: ModuleType) -> None:
    longest = b"x" * quote.MAX_LINE
    outs = serve(session(quote), [longest + b"\n"], lambda _: quote.Reply(True, b""))
    assert outs[-1] == Send(b"OK \n")
    check_session_splits(
        lambda: session(quote), b"a\n" + longest + b"xyz\nb\n", lambda _: quote.Reply(True, b"")
    )
    outs = serve(session(quote), [b"a\n" + longest + b"x"], lambda _: quote.Reply(True, b""))
    assert outs[-2:] == [Send(b"OK \nERR the line is too long\n"), Close()]


def test_tap(quote: ModuleType) -> None:
    seen = check_tap_splits(lambda: tap(quote), b"sea\nbad\n", b"OK Ships.\nERR no\n")
    exchanges = [(one.request.topic, one.reply) for one in seen if isinstance(one, Exchange)]
    assert exchanges == [(b"sea", quote.Reply(True, b"Ships.")), (b"bad", quote.Reply(False, b"no"))]


@pytest.mark.parametrize("answer", [b"", b"OK", b"HELLO there\n", b"OK 1\nOK 2\n", b"y" * 2000])
def test_tap_settles_what_it_began(quote: ModuleType, answer: bytes) -> None:
    seen = watch(tap(quote), [(Side.CLIENT, b"sea\n"), (Side.SERVER, answer), (Side.CLIENT, b"more\n")])
    began = [one.id for one in seen if isinstance(one, Began)]
    assert began
    assert sorted(one.id for one in seen if isinstance(one, Exchange | Lost)) == began
    assert any(isinstance(one, Opaque) for one in seen) is (answer not in (b"", b"OK"))


@pytest.mark.parametrize("text", [b"plain", b"", b" ", b"\xff\x00", b"no", b"x" * 1020, b"\r"])
@pytest.mark.parametrize("ok", [True, False])
def test_documents_are_lossless(quote: ModuleType, text: bytes, ok: bool) -> None:
    request, reply = quote.Request(text), quote.Reply(ok, text)
    written = quote.plugin.dump(request, reply, context(quote))
    assert written.files == {}

    class NoFiles:
        def __call__(self, name: str) -> Any:
            raise Invalid((), name)

    assert quote.plugin.request(quote.RequestDoc(**written.request), NoFiles(), context(quote)) == request
    assert quote.plugin.reply(quote.ReplyDoc(**written.respond), NoFiles(), context(quote), request) == reply


# --- the route file, and the whole way ----------------------------------------------------------------


def test_route_file(quote: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "svcmock.yaml").write_text(
        "version: 1\nservices: {q: {listen: 0, protocol: quote, routes: q.yaml, options: {shout: true}}}\n"
    )
    (route_file,) = blocks("yaml")
    (tmp_path / "q.yaml").write_text(route_file)
    loaded = load(tmp_path, {"quote": quote.plugin})
    assert loaded.problems == []
    responder = loaded.responders["q"]

    def ask(topic: bytes) -> bytes:
        decision = responder.decide(quote.Request(topic))
        return bytes(quote.encode(decision.reply)) if decision else b""

    assert ask(b"sea/ships") == b"OK A ship in harbour is safe.\n"
    assert ask(b"weather/bern") == b"OK It rains in BERN.\n"
    assert ask(b"nonsense") == b"ERR no such topic\n"
    assert ask(b"weather") == b""
    miss = responder.miss(quote.Request(b"sea/shops"), 3, explained=True)
    assert quote.encode(miss.reply) == b"ERR NOTHING IS RECORDED FOR THIS: SVCMOCK WHY M-3\n"

    (tmp_path / "q.yaml").write_text("request: {topic: [1]}\nrespond: {txt: a}\n")
    assert {str(problem) for problem in load(tmp_path, {"quote": quote.plugin}).problems} == {
        "q.yaml:2:11: unknown key `txt`; did you mean `text`?",
        "q.yaml:2:1: the key `text` is missing",
        "q.yaml:1:11: expected a string, or one of {hex: }, {base64: }, {file: }",
    }


class Quotes(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(QUOTES.get(line.rstrip(b"\n"), b"ERR no such topic") + b"\n")


def talk(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            return answer.read()


def test_it_records_a_real_service_and_then_is_that_service(folder: Path, tmp_path: Path) -> None:
    svcmock = Svcmock(tmp_path)
    svcmock.env["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Quotes)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    conversation = b"sea/ships\nlatin\nnothing\nsea/ships\n"
    try:
        recorder = svcmock.record(
            tmp_path / "library", {"quotes": f"quote://127.0.0.1:{server.server_address[1]}"}
        )
        real = talk(recorder.ports["quotes"], conversation)
        summary = recorder.stop()["quotes"]
        assert (summary["accepted"], summary["recorded"]) == (4, 4)
        assert real.count(b"\n") == 4
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    try:
        mock = svcmock.up(tmp_path / "library")
        assert talk(mock.ports["quotes"], conversation) == real
        assert talk(mock.ports["quotes"], b"sea/shops\n").startswith(
            b"ERR nothing is recorded for this: svcmock why m-"
        )
        assert "sea/ships" in svcmock.run("why", "--project", mock.project).stdout
        assert mock.status()["services"]["quotes"]["misses"] == 1
    finally:
        svcmock.close()
