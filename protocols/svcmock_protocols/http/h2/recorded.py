"""The streams of a recorded HTTP/2 connection, as they become exchanges (RFC 9113 section 8).

Decides which streams are recorded, what of their heads is rewritten on the way, and when one has come to its
end.

    client   HEADERS ─▶ DATA* ─▶ HEADERS? END_STREAM    heard ┐
    server   HEADERS 1xx* ─▶ HEADERS ─▶ DATA* ─▶ ...    told  ┴▶ Exchange     reset, or cut off before: Lost

A reply that is complete is recorded with what the client had said by then, if the rest is given up: servers
answer early, and gRPC servers may end a call at any time. What breaks the rules is passed on and not recorded:
the ends know what to do about it.
"""

import re
from typing import Final

from msgspec import Struct

from svcmock.protocol import Seen, Side
from svcmock_protocols.http.codec import MAX_LENGTH_DIGITS, bodiless, values
from svcmock_protocols.http.exchanges import MAX_PENDING, Asked, Exchanges, Told
from svcmock_protocols.http.grpc.watched import WatchedCall
from svcmock_protocols.http.h2 import frames, heads
from svcmock_protocols.http.h2.hpack import Fields
from svcmock_protocols.http.messages import Framing, Reply
from svcmock_protocols.http.watched import Body, Cuts

_HOMEWARD: Final = frozenset({b"location", b"content-location"})
_ENOUGH: Final = frozenset({frames.NO_ERROR, frames.CANCEL})
"""With what a stream is reset that nobody needs any more."""
_CONNECT: Final = (b":method", b"CONNECT")
_STATUS = re.compile(rb"[1-9][0-9]{2}")
_LENGTH = re.compile(rb"[0-9]{1,%d}" % MAX_LENGTH_DIGITS)


class When(Struct, frozen=True):
    """`began`: when the first byte of what is being read came; `now`: when the last did."""

    began: float
    now: float


class Telling(Struct):
    """A reply whose body is passing. `length`: how long its head says it is, -1 where it does not."""

    body: Body
    cuts: Cuts
    length: int = -1
    size: int = 0


class Stream(Struct):
    """A stream that is recorded. `length` as in `Telling`, of the request."""

    asked: Asked
    length: int = -1
    size: int = 0
    call: WatchedCall | None = None
    telling: Telling | None = None
    heard: bool = False


class RecordedStreams:
    """Those of one connection. `last` is the highest number that the client has used."""

    def __init__(self, exchanges: Exchanges) -> None:
        self.last = 0
        self.recorded: dict[int, Stream] = {}
        self._exchanges = exchanges

    # --- the client's side ---

    def upgraded(self, asked: Asked) -> None:
        """A complete request of HTTP/1 has become the first stream."""
        self.last = 1
        self.recorded[1] = Stream(asked, heard=True)

    def asks(self, number: int, fields: Fields, when: When, out: list[Seen], *, ends: bool) -> Fields:
        """A header list of the client, as the upstream gets it."""
        if number > self.last:
            self.last = number
            self._open(number, fields, when, out)
            if ends and number in self.recorded:
                self._heard(number, self.recorded[number], b"", when, out)
            return self._outgoing(fields)
        stream = self.recorded.get(number)
        if stream is not None and not stream.heard:
            try:
                trailers = heads.trailer_block(fields)
            except heads.Malformed as error:
                self._lose(number, f"trailers that are none: {error.why}", out)
                return fields
            if ends:
                self._heard(number, stream, trailers, when, out)
            else:
                self._lose(number, "trailers that do not end the request", out)
        return fields

    def asks_more(self, number: int, data: bytes, when: When, out: list[Seen], *, ends: bool) -> None:
        """The next bytes of a request's body."""
        stream = self.recorded.get(number)
        if stream is None or stream.heard:
            return
        stream.size += len(data)
        if stream.size > self._exchanges.options.max_body:
            self._lose(number, "the body is larger than this service takes", out)
            return
        out += stream.asked.body.add(data)
        if stream.call is not None:
            stream.call.asks(data, when.now)
        if ends:
            self._heard(number, stream, b"", when, out)

    def _open(self, number: int, fields: Fields, when: When, out: list[Seen]) -> None:
        if _CONNECT in fields:  # which may have a :protocol (RFC 8441)
            self._exchanges.pass_over("CONNECT", out)
            return
        try:
            opening = heads.opening(fields)
        except heads.Malformed as error:
            self._exchanges.pass_over(f"a request that is none: {error.why}", out, skipped=False)
            return
        request = opening.head.request
        if self._exchanges.full:
            self._exchanges.pass_over(f"more than {MAX_PENDING} requests under way", out)
        else:
            hosts = values(request.block, b"host")
            asked = self._exchanges.begin(request, when.began, hosts[0] if hosts else b"", out)
            stream = self.recorded[number] = Stream(asked, opening.length)
            if opening.grpc:
                stream.call = WatchedCall(when.now, self._exchanges.options.max_body)
                self._exchanges.call(asked, out)

    def _outgoing(self, fields: Fields) -> Fields:
        """A request's head as the upstream gets it."""
        upstream = self._exchanges.upstream
        instead = {b":scheme": b"https" if upstream.tls else b"http"}
        if not upstream.preserve_host and _CONNECT not in fields:
            instead[b":authority"] = instead[b"host"] = upstream.authority.encode()
        return tuple([(name, instead.get(name, value)) for name, value in fields])

    def _heard(self, number: int, stream: Stream, trailers: bytes, when: When, out: list[Seen]) -> None:
        """A request is complete."""
        stream.heard = True
        if stream.length not in (-1, stream.size):
            self._lose(number, "a request that is not as long as its Content-Length says", out)
            return
        if stream.call is not None:
            stream.call.asked(when.now)
        if stream.asked.told:
            del self.recorded[number]
        self._exchanges.heard(stream.asked, trailers, out)

    # --- the server's side ---

    def answers(self, number: int, fields: Fields, when: When, out: list[Seen], *, ends: bool) -> Fields:
        """A header list of the server, as the client gets it."""
        stream = self.recorded.get(number)
        if stream is None or stream.asked.told:
            return fields
        trailers = b""
        try:
            if stream.telling is None:
                fields = tuple([self._homeward(field, stream.asked.host) for field in fields])
                self._answer(stream, fields, when, ends=ends)
            else:
                trailers = _trailers(fields, ends=ends)
        except heads.Malformed as error:
            self._lose(number, f"a reply that is none: {error.why}", out)
            return fields
        if ends:
            self._told(number, stream, trailers, out)
        return fields

    def answers_more(self, number: int, data: bytes, when: When, out: list[Seen], *, ends: bool) -> None:
        """The next bytes of a reply's body."""
        stream = self.recorded.get(number)
        if stream is None or stream.asked.told:
            return
        telling = stream.telling
        if telling is None:
            self._lose(number, "a reply that is none: a body before its head", out)
            return
        telling.size += len(data)
        if telling.size > self._exchanges.max_reply:
            self._lose(number, "the reply is larger than is recorded", out)
            return
        if data:
            telling.cuts.add(len(data), when.now, ends=False)
            out += telling.body.add(data)
        if stream.call is not None:
            stream.call.tells(data, when.now)
        if ends:
            self._told(number, stream, b"", out)

    def _homeward(self, field: tuple[bytes, bytes], host: bytes) -> tuple[bytes, bytes]:
        name, value = field
        if name not in _HOMEWARD:
            return field
        line = self._exchanges.homeward(b"%b: %b\r\n" % (name, value), host)
        return name, line[len(name) + 2 : -2]

    def _answer(self, stream: Stream, fields: Fields, when: When, *, ends: bool) -> None:
        """A head came: that of an interim reply, or the final one. Raises Malformed."""
        status, block = _reply_head(fields)
        asked = stream.asked
        if status < 200:
            if ends or status == 101:
                raise heads.Malformed(f"status {status}, which neither ends a stream nor takes it over")
            self._exchanges.interim(asked, status, b"", block)
            return
        length = _length(block)
        framing: Framing = "chunked" if length < 0 else "length"
        if bodiless(asked.request.method, status):
            framing, length = "none", 0
        reply = Reply(status, b"", block, framing=framing, version=b"2")
        body = self._exchanges.answering(asked, reply, when.began - asked.at)
        stream.telling = Telling(body, Cuts(when.now, chunked=False), length)
        if stream.call is not None:
            stream.call.answers(when.now)

    def _told(self, number: int, stream: Stream, trailers: bytes, out: list[Seen]) -> None:
        """A reply is complete."""
        telling, asked, call = stream.telling, stream.asked, stream.call
        assert telling is not None
        if telling.length not in (-1, telling.size):
            self._lose(number, "a reply that is not as long as its head says", out)
            return
        chunks, ends_on = telling.cuts.chunks(), -1
        if call is not None:
            call.told()
            asked.why = asked.why or call.why
            if call.readable:
                chunks, ends_on = call.chunks, call.ends_on
        if stream.heard:
            del self.recorded[number]
        self._exchanges.told(asked, telling.body, Told(chunks, telling.size, trailers, ends_on), out)

    # --- ends before the end ---

    def reset(self, number: int, side: Side, code: int, out: list[Seen]) -> None:
        """`side` gave the stream up."""
        stream = self.recorded.get(number)
        if stream is None:
            return
        if stream.asked.told and code in _ENOUGH:
            self._enough(number, stream, out)
        elif side is Side.CLIENT and code == frames.CANCEL:
            self._lose(number, "the client cancelled", out)
        else:
            who = "client" if side is Side.CLIENT else "upstream"
            self._lose(number, f"the {who} reset the stream: {frames.error_name(code)}", out)

    def refused(self, last: int, out: list[Seen]) -> None:
        """The server takes no streams after this one."""
        for number in [number for number in self.recorded if number > last]:
            self._lose(number, "the upstream went away before it took the request", out)

    def client_left(self, out: list[Seen]) -> None:
        for number, stream in tuple(self.recorded.items()):
            if stream.asked.told:
                self._enough(number, stream, out)
            elif not stream.heard:
                self._lose(number, "the client left in the middle of its request", out)

    def server_left(self, out: list[Seen]) -> None:
        for number, stream in tuple(self.recorded.items()):
            if stream.asked.told:
                self._enough(number, stream, out)
            else:
                where = "before it had answered" if stream.telling is None else "in the middle of a reply"
                self._lose(number, f"the upstream left {where}", out)

    def lose_all(self, why: str, out: list[Seen]) -> None:
        for number in tuple(self.recorded):
            self._lose(number, why, out)

    def _enough(self, number: int, stream: Stream, out: list[Seen]) -> None:
        """The reply is complete, and no more of the request will come."""
        del self.recorded[number]
        leave = 0 if stream.call is None else stream.call.pending
        self._exchanges.heard(stream.asked, b"", out, leave=leave)

    def _lose(self, number: int, why: str, out: list[Seen]) -> None:
        self._exchanges.lose(self.recorded.pop(number).asked, why, out)


def _reply_head(fields: Fields) -> tuple[int, bytes]:
    """The status and the block of a reply. Raises Malformed."""
    name, value = fields[0] if fields else (b"", b"")
    if name != b":status" or _STATUS.fullmatch(value) is None:
        raise heads.Malformed("there is no :status at its beginning")
    return int(value), heads.field_block(fields[1:])


def _length(block: bytes) -> int:
    """The Content-Length of a reply, -1 without one. Raises Malformed."""
    said = set(values(block, b"content-length"))
    if not said:
        return -1
    length = said.pop()
    if said or _LENGTH.fullmatch(length) is None:
        raise heads.Malformed("the Content-Length is not a decimal number")
    return int(length)


def _trailers(fields: Fields, *, ends: bool) -> bytes:
    """The trailers of a reply. Raises Malformed."""
    if not ends:
        raise heads.Malformed("trailers that do not end it")
    return heads.field_block(fields)
