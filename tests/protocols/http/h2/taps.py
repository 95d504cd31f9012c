"""An HTTP/2 tap under test: literal frames made with hpack, and the h2 library on both of its sides."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import h2.config
import h2.connection
import h2.events
import hpack

from svcmock.noise import Noise
from svcmock.protocol import Become, Began, Context, Exchange, Forward, Lost, Seen, Side, Tap, Upstream
from svcmock_protocols.http.h2 import frames
from svcmock_protocols.http.messages import Options
from svcmock_protocols.http.tap import HttpTap

C, S = Side.CLIENT, Side.SERVER
Pairs = Sequence[tuple[bytes, bytes]]

GET: Pairs = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"me:8081"), (b":path", b"/a"))
POST: Pairs = ((b":method", b"POST"), *GET[1:])
CALL: Pairs = (*POST, (b"content-type", b"application/grpc"), (b"te", b"trailers"))
OK: Pairs = ((b":status", b"200"),)
CALL_OK: Pairs = (*OK, (b"content-type", b"application/grpc"))
STATUS_OK: Pairs = ((b"grpc-status", b"0"),)
KNOWN = SimpleNamespace(methods={"/a": None})
"""A schema that has the one method that is called."""
HELLO = frames.PREFACE + frames.settings({})
WELCOME = frames.settings({})


def token(secret: bytes) -> bytes:
    if re.fullmatch(rb"svcmock-[a-z2-7]{24}", secret):
        return secret
    return b"svcmock-" + base64.b32encode(hashlib.sha256(secret).digest()[:15]).lower()


def context(options: Options | None = None, schema: Any = None) -> Context:
    return Context(options=options or Options(), ignore=Noise(), token=token, schema=schema)


def make(
    url: str = "http://up:8000",
    options: Options | None = None,
    *,
    preserve_host: bool = False,
    schema: Any = None,
) -> "Relayed":
    upstream = Upstream(url, url.partition("://")[2], tls=url.startswith("https"), preserve_host=preserve_host)
    return Relayed(HttpTap(context(options, schema), upstream))


class Relayed:
    """A tap as the relay has it: the next one takes over where it says so."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap

    def from_client(self, data: bytes, at: float) -> list[Seen]:
        return self._follow(self.tap.from_client(data, at), at)

    def from_server(self, data: bytes, at: float) -> list[Seen]:
        return self._follow(self.tap.from_server(data, at), at)

    def eof(self, side: Side, at: float) -> list[Seen]:
        return self._follow(self.tap.eof(side, at), at)

    def unreachable(self, why: str, at: float) -> list[Seen]:
        return self._follow(self.tap.unreachable(why, at), at)

    def informed(self, given: Context) -> list[Seen]:
        return self._follow(self.tap.informed(given), 0.0)

    def _follow(self, sight: Iterable[Seen], at: float) -> list[Seen]:
        seen: list[Seen] = []
        for one in sight:
            if isinstance(one, Become):
                self.tap = one.to
                seen += self.from_client(one.rest, at)
            else:
                seen.append(one)
        return seen


class Speaker:
    """Writes one side's frames, with hpack as it comes: tables, indexes, Huffman code."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()

    def block(self, pairs: Pairs) -> bytes:
        return self._encoder.encode(pairs)

    def head(self, stream: int, pairs: Pairs, *, ends: bool = False) -> bytes:
        return frames.header_block(stream, self.block(pairs), ends=ends)


def data(stream: int, payload: bytes = b"", *, ends: bool = False) -> bytes:
    return frames.frame(frames.DATA, frames.END_STREAM if ends else 0, stream, payload)


def message(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4) + payload


ONE, TWO = message(b"one"), message(b"second")


def play(tap: Relayed, *steps: tuple[Side, bytes | None], at: float = 1.0, cut: int = 0) -> list[Seen]:
    """Feed what each side says in turn; None: it will say no more. `cut`: in pieces of so many bytes."""
    seen: list[Seen] = []
    for side, said in steps:
        if said is None:
            seen += tap.eof(side, at)
            continue
        feed = tap.from_client if side is C else tap.from_server
        for i in range(0, len(said), cut or len(said) or 1):
            seen += feed(said[i : i + (cut or len(said))], at)
    return seen


def passed(seen: Iterable[Seen], to: Side) -> bytes:
    return b"".join(one.data for one in seen if isinstance(one, Forward) and one.to is to)


def others(seen: Iterable[Seen]) -> list[Seen]:
    return [one for one in seen if not isinstance(one, Forward)]


def exchanges(seen: Iterable[Seen]) -> list[Exchange]:
    return [one for one in seen if isinstance(one, Exchange)]


def exchange(seen: Iterable[Seen]) -> Exchange:
    (found,) = exchanges(seen)
    return found


def lost(seen: Iterable[Seen]) -> list[Lost]:
    return [one for one in seen if isinstance(one, Lost)]


def unsettled(seen: Sequence[Seen]) -> set[int]:
    """Requests that were begun and have neither an exchange nor a loss."""
    ended = [one.id for one in seen if isinstance(one, Exchange | Lost)]
    assert len(ended) == len(set(ended))
    return {one.id for one in seen if isinstance(one, Began)} - set(ended)


class Heard:
    """What a side got, read by hyperframe and hpack: frames, with header blocks decoded."""

    def __init__(self, said: bytes) -> None:
        import hyperframe.frame

        self.frames: list[Any] = []
        self.heads: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        decoder = hpack.Decoder()
        if said.startswith(frames.PREFACE):
            said = said[len(frames.PREFACE) :]
        block = b""
        while said:
            frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(said[:9]))
            frame.parse_body(memoryview(said[9 : 9 + length]))
            said = said[9 + length :]
            self.frames.append(frame)
            if isinstance(frame, hyperframe.frame.HeadersFrame | hyperframe.frame.ContinuationFrame):
                block += frame.data
                if "END_HEADERS" in frame.flags:
                    self.heads.append((frame.stream_id, [tuple(f) for f in decoder.decode(block, raw=True)]))
                    block = b""


def connection(*, client: bool) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=client, header_encoding=None)
    return h2.connection.H2Connection(config)


def met(tap: Relayed | None = None) -> tuple[Relayed, Speaker, Speaker]:
    """A connection on which both sides have said their settings."""
    tap = tap or make()
    play(tap, (C, HELLO), (S, WELCOME + frames.SETTINGS_ACK), (C, frames.SETTINGS_ACK))
    return tap, Speaker(), Speaker()


def timed(tap: Relayed, *steps: tuple[float, Side, bytes]) -> list[Seen]:
    seen: list[Seen] = []
    for at, side, said in steps:
        seen += (tap.from_client if side is C else tap.from_server)(said, at)
    return seen
