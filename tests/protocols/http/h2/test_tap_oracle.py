"""Two ends of the h2 library that talk through the tap hear what they hear without it, and that is recorded."""

import contextlib
import random
from collections.abc import Callable
from typing import Any

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from msgspec import Struct

from svcmock.protocol import Exchange, Opaque, Seen, Side
from tests.protocols.http.h2.taps import (
    GET,
    C,
    Pairs,
    Relayed,
    S,
    connection,
    exchanges,
    lost,
    make,
    passed,
    unsettled,
)

Codes = h2.settings.SettingCodes


class Impossible(Exception):
    """An end of the h2 library does not take what the other one says, whoever is between them."""


class Said(Struct):
    """What was said on one stream, by both sides."""

    asked: list[tuple[bytes, bytes]]
    body: bytes = b""
    asked_trailers: list[tuple[bytes, bytes]] = []
    heard: bool = False
    told: list[tuple[bytes, bytes]] | None = None
    interim: int = 0
    reply: bytes = b""
    told_trailers: list[tuple[bytes, bytes]] = []
    done: bool = False
    reset: bool = False


class Talk:
    """A random dialogue. `carry` takes a side's bytes to the other side."""

    def __init__(self, seed: int, carry: Callable[[Side, bytes], bytes]) -> None:
        self.dice = random.Random(seed)
        self.carry = carry
        self.client = self._end(client=True)
        self.server = self._end(client=False)
        self.heard: dict[Side, list[str]] = {C: [], S: []}
        self.said: dict[int, Said] = {}
        self.arrived: set[int] = set()
        self.next = 1

    def _end(self, *, client: bool) -> h2.connection.H2Connection:
        end = connection(client=client)
        values = {Codes.MAX_CONCURRENT_STREAMS: 100, Codes.ENABLE_PUSH: 0}
        values[Codes.INITIAL_WINDOW_SIZE] = self.dice.choice([100, 65535, 10**6])
        end.local_settings = h2.settings.Settings(client=client, initial_values=values)
        end.initiate_connection()
        end.update_settings({Codes.HEADER_TABLE_SIZE: self.dice.choice([0, 100, 4096])})
        return end

    def run(self, steps: int) -> None:
        acts = [self.ask, self.ask, self.say, self.say, self.answer, self.answer, self.tell, self.tell]
        acts += [self.end, self.end, self.finish, self.finish, self.other, self.flush_client, self.flush_server]
        self.flush_client()
        self.flush_server()
        for _ in range(steps):
            with contextlib.suppress(h2.exceptions.ProtocolError):  # a rule of theirs: then it is not said
                self.dice.choice(acts)()
        for _ in range(4):
            self.flush_client()
            self.flush_server()

    def flush_client(self) -> None:
        self._deliver(C, self.client, self.server)

    def flush_server(self) -> None:
        self._deliver(S, self.server, self.client)

    def _deliver(self, side: Side, one: h2.connection.H2Connection, other: h2.connection.H2Connection) -> None:
        said = one.data_to_send()
        if not said:
            return
        carried = self.carry(side, said)
        try:
            events = other.receive_data(carried)
        except h2.exceptions.ProtocolError as error:
            raise Impossible from error
        for event in events:
            self.heard[side].append(_shown(event))
            if isinstance(event, h2.events.RequestReceived):
                self.arrived.add(event.stream_id)
            if isinstance(event, h2.events.StreamReset):
                self.said[event.stream_id].reset = True
            if isinstance(event, h2.events.DataReceived) and self.dice.random() < 0.7:
                other.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _fields(self) -> list[tuple[bytes, bytes]]:
        names = [b"x-a", b"x-b", b"accept", b"x-long-name-that-fills-tables", b"user-agent"]
        made = []
        for _ in range(self.dice.randint(0, 4)):
            size = self.dice.choice([1, 10, 100, 3000])
            made.append((self.dice.choice(names), bytes(self.dice.choices(b"abc:;=%1234", k=size))))
        return made

    def _pick(self, wanted: Callable[[int, Said], bool]) -> int | None:
        found = [number for number, said in self.said.items() if not said.reset and wanted(number, said)]
        return self.dice.choice(found) if found else None

    # --- the client ---

    def ask(self) -> None:
        number, self.next = self.next, self.next + 2
        method, path = self.dice.choice([b"GET", b"POST"]), b"/%d" % number
        head = [(b":method", method), (b":scheme", b"http"), (b":authority", b"me"), (b":path", path)]
        head += self._fields()
        ends = self.dice.random() < 0.3
        self.client.send_headers(number, head, end_stream=ends)
        self.said[number] = Said(head, heard=ends)

    def say(self) -> None:
        number = self._pick(lambda _, said: not said.heard)
        if number is not None:
            data, padding = self._piece(self.client, number)
            self.client.send_data(number, data, pad_length=padding)
            self.said[number].body += data

    def end(self) -> None:
        number = self._pick(lambda _, said: not said.heard)
        if number is None:
            return
        trailers: list[tuple[bytes, bytes]] = []
        if self.dice.random() < 0.3:
            trailers = [(b"x-end", b"1"), *self._fields()]
            self.client.send_headers(number, trailers, end_stream=True)
        else:
            self.client.end_stream(number)
        self.said[number].asked_trailers, self.said[number].heard = trailers, True

    # --- the server ---

    def answer(self) -> None:
        number = self._pick(lambda number, said: number in self.arrived and said.told is None)
        if number is None:
            return
        said = self.said[number]
        if self.dice.random() < 0.2:
            self.server.send_headers(number, [(b":status", b"103"), (b"link", b"</a>")])
            said.interim += 1
            return
        told = [(b":status", self.dice.choice([b"200", b"404", b"500"])), *self._fields()]
        done = self.dice.random() < 0.2
        self.server.send_headers(number, told, end_stream=done)
        said.told, said.done = told, done

    def tell(self) -> None:
        number = self._pick(lambda _, said: said.told is not None and not said.done)
        if number is not None:
            data, padding = self._piece(self.server, number)
            self.server.send_data(number, data, pad_length=padding)
            self.said[number].reply += data

    def finish(self) -> None:
        number = self._pick(lambda _, said: said.told is not None and not said.done)
        if number is None:
            return
        trailers: list[tuple[bytes, bytes]] = []
        if self.dice.random() < 0.4:
            trailers = [(b"x-end", b"1"), *self._fields()]
            self.server.send_headers(number, trailers, end_stream=True)
        else:
            self.server.end_stream(number)
        self.said[number].told_trailers, self.said[number].done = trailers, True

    # --- both ---

    def other(self) -> None:
        end = self.dice.choice([self.client, self.server])
        match self.dice.randrange(4):
            case 0:
                end.ping(self.dice.randbytes(8))
            case 1:
                end.update_settings({Codes.MAX_CONCURRENT_STREAMS: 100 + self.dice.randrange(9)})
            case 2:
                end.increment_flow_control_window(self.dice.randint(1, 1000))
            case _:
                number = self._pick(
                    lambda number, said: number in self.arrived and not (said.heard and said.done)
                )
                if number is not None:
                    end.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
                    self.said[number].reset = True

    def _piece(self, end: h2.connection.H2Connection, number: int) -> tuple[bytes, int | None]:
        room = min(end.local_flow_control_window(number), end.max_outbound_frame_size)
        padding = self.dice.choice([None, None, 0, 5])
        size = min(self.dice.choice([0, 1, 50, 16000, 100_000]), max(room - 1 - (padding or 0), 0))
        if room < 1 + (padding or 0):
            padding = None
        return self.dice.randbytes(size), padding


def _shown(event: h2.events.Event) -> str:
    return repr({"event": type(event).__name__, **{k: _plain(v) for k, v in vars(event).items()}})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [tuple(one) if isinstance(one, tuple) else one for one in value]
    if isinstance(value, h2.events.Event):
        return _shown(value)
    return repr(value)


def through(relayed: Relayed, seed: int, seen: list[Seen]) -> Callable[[Side, bytes], bytes]:
    dice = random.Random(seed)

    def carry(side: Side, said: bytes) -> bytes:
        out: list[Seen] = []
        feed = relayed.from_client if side is C else relayed.from_server
        at = 0
        while at < len(said):
            size = dice.choice([1, 9, 100, 10_000, 1_000_000])
            out += feed(said[at : at + size], 1.0)
            at += size
        seen.extend(out)
        assert not passed(out, side)
        return passed(out, S if side is C else C)

    return carry


def _block(pairs: Pairs) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**48), st.integers(5, 120))
def test_the_ends_hear_what_they_would_hear_without_us(seed: int, steps: int) -> None:
    alone = Talk(seed, lambda _, said: said)
    try:
        alone.run(steps)
    except Impossible:
        reject()  # h2 takes no interim reply on a stream that it has just reset
    seen: list[Seen] = []
    tap = make(preserve_host=True)
    relayed = Talk(seed, through(tap, seed, seen))
    relayed.run(steps)
    assert relayed.heard == alone.heard
    assert relayed.said == alone.said
    for side in Side:
        seen += tap.eof(side, 2.0)
    assert not [one for one in seen if isinstance(one, Opaque)]
    assert not unsettled(seen)
    _check({one.request.target: one for one in exchanges(seen)}, relayed)


def _check(recorded: dict[bytes, Exchange], talk: Talk) -> None:
    for number, said in talk.said.items():
        one = recorded.pop(b"/%d" % number, None)
        if not (said.done and (said.heard or not said.reset)):
            assert one is None or said.reset
            continue
        if one is None:
            assert said.reset or number not in talk.arrived
            continue
        request, reply = one.request, one.reply
        assert request.method == dict(said.asked)[b":method"]
        assert request.block == b"host: me\r\n" + _block(said.asked[4:])
        assert said.body.startswith(request.body) if not said.heard else request.body == said.body
        assert request.trailers == _block(said.asked_trailers)
        assert said.told is not None
        assert b"%d" % reply.status == said.told[0][1]
        assert (reply.block, reply.body) == (_block(said.told[1:]), said.reply)
        assert (reply.trailers, len(reply.interim)) == (_block(said.told_trailers), said.interim)
    assert not recorded


@pytest.mark.parametrize("window", [0, 1, 1000])
def test_flow_control_is_between_the_ends(window: int) -> None:
    """What one side may not send is not sent, and what it may is not kept."""
    seen: list[Seen] = []
    tap = make()
    carry = through(tap, 1, seen)
    client, server = connection(client=True), connection(client=False)
    values = {Codes.INITIAL_WINDOW_SIZE: window}
    client.local_settings = h2.settings.Settings(client=True, initial_values=values)
    client.initiate_connection()
    server.initiate_connection()
    client.send_headers(1, GET, end_stream=True)
    server.receive_data(carry(C, client.data_to_send()))
    client.receive_data(carry(S, server.data_to_send()))
    server.receive_data(carry(C, client.data_to_send()))
    server.send_headers(1, [(b":status", b"200")])
    assert server.local_flow_control_window(1) == window
    with pytest.raises(h2.exceptions.FlowControlError):
        server.send_data(1, bytes(window + 1))
    server.send_data(1, bytes(window))
    client.receive_data(carry(S, server.data_to_send()))
    client.increment_flow_control_window(7, 1)
    server.receive_data(carry(C, client.data_to_send()))
    assert server.local_flow_control_window(1) == 7
    server.send_data(1, bytes(7), end_stream=True)
    client.receive_data(carry(S, server.data_to_send()))
    assert [len(one.reply.body) for one in exchanges(seen)] == [window + 7]
    assert not lost(seen)
