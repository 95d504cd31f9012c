"""gRPC calls of all four kinds by grpcio, with both of its APIs, and all that a client is told by them."""

import asyncio
import itertools
import queue
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message
from msgspec import Struct

from tests.e2e import store

TIMEOUT = 30.0
OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)
"""Channels that share no connection, and bear large messages."""

Metadata = tuple[tuple[str, str | bytes], ...]


class Call(Struct, frozen=True):
    """What a client does.

    `turns`: of a call that streams both ways, how many answers are awaited before each message is sent; without
    it all are sent at once.
    """

    method: str
    requests: tuple[Message, ...]
    metadata: Metadata = ()
    turns: tuple[int, ...] = ()
    compression: grpc.Compression | None = None
    timeout: float = TIMEOUT
    service: str = store.SERVICE

    @property
    def how(self) -> store.Method:
        return store.methods(self.service)[self.method]


class Told(Struct, frozen=True):
    """What the client saw. `messages` are the bytes that came."""

    messages: tuple[bytes, ...]
    code: str
    details: str
    initial: Metadata
    trailing: Metadata

    def read(self, call: Call) -> list[Any]:
        """The messages."""
        return [call.how.output.FromString(data) for data in self.messages]


class Seen(Struct, frozen=True):
    """What the client saw, and the seconds from before it asked until it knew the status."""

    told: Told
    took: float


# --- the API of threads -------------------------------------------------------------------------------


@contextmanager
def channel(target: int | str, credentials: grpc.ChannelCredentials | None = None) -> Iterator[grpc.Channel]:
    """To a port of the loopback, or anywhere."""
    address = f"127.0.0.1:{target}" if isinstance(target, int) else target
    if credentials is None:
        made = grpc.insecure_channel(address, options=OPTIONS)
    else:
        made = grpc.secure_channel(address, credentials, options=OPTIONS)
    with made:
        yield made


def call(to: grpc.Channel, one: Call) -> Seen:
    """Make a call, to its end."""
    how = one.how
    invoke = getattr(to, how.kind)(how.path, request_serializer=how.input.SerializeToString)
    more = {"timeout": one.timeout, "metadata": one.metadata, "compression": one.compression}
    outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    messages: list[bytes] = []
    began = time.monotonic()
    if how.kind.startswith("unary"):
        sent: Any = one.requests[0]
    elif one.turns:
        sent = iter(outbox.get, None)
    else:
        sent = iter(one.requests)
    if how.kind.endswith("unary"):
        rpc = invoke.future(sent, **more)
        error = rpc.exception()
        if error is None:
            messages.append(rpc.result())
    else:
        rpc = invoke(sent, **more)
        try:
            _converse(rpc, one, outbox, messages)
        except grpc.RpcError:
            pass  # the status is asked for below
        finally:
            outbox.put(None)
    told = Told(
        tuple(messages),
        rpc.code().name,
        rpc.details() or "",
        _plain(rpc.initial_metadata()),
        _plain(rpc.trailing_metadata()),
    )
    return Seen(told, time.monotonic() - began)


def _converse(rpc: Any, one: Call, outbox: "queue.SimpleQueue[Message | None]", messages: list[bytes]) -> None:
    for count, request in zip(one.turns, one.requests if one.turns else (), strict=True):
        messages.extend(itertools.islice(rpc, count))
        outbox.put(request)
    outbox.put(None)
    for data in rpc:  # one by one: those before an error count
        messages.append(data)  # noqa: PERF402


# --- the API of asyncio -------------------------------------------------------------------------------


async def acall(to: grpc.aio.Channel, one: Call) -> Seen:
    """The same by grpc.aio."""
    how = one.how
    invoke = getattr(to, how.kind)(how.path, request_serializer=how.input.SerializeToString)
    more = {"timeout": one.timeout, "metadata": one.metadata, "compression": one.compression}
    messages: list[bytes] = []
    began = time.monotonic()

    async def requests() -> AsyncIterator[Message]:
        for request in one.requests:
            yield request

    match how.kind:
        case "unary_unary" | "unary_stream":
            rpc = invoke(one.requests[0], **more)
        case "stream_unary":
            rpc = invoke(requests(), **more)
        case _ if one.turns:
            rpc = invoke(**more)
        case _:
            rpc = invoke(requests(), **more)
    try:
        if how.kind.endswith("unary"):
            messages.append(await rpc)
        elif one.turns:
            for count, request in zip(one.turns, one.requests, strict=True):
                for _ in range(count):
                    messages.append(await rpc.read())  # noqa: PERF401  those before an error count
                await rpc.write(request)
            await rpc.done_writing()
            while (data := await rpc.read()) is not grpc.aio.EOF:
                messages.append(data)
        else:
            async for data in rpc:
                messages.append(data)  # noqa: PERF401
    except (grpc.RpcError, asyncio.InvalidStateError):
        pass  # the status is asked for below; a write to a call that has ended is an invalid state
    told = Told(
        tuple(messages),
        (await rpc.code()).name,
        await rpc.details() or "",
        _plain(await rpc.initial_metadata()),
        _plain(await rpc.trailing_metadata()),
    )
    return Seen(told, time.monotonic() - began)


# --- workloads ----------------------------------------------------------------------------------------


def run(port: int, calls: Mapping[str, Call]) -> dict[str, Seen]:
    """One after the other, on one channel."""
    with channel(port) as to:
        return {name: call(to, one) for name, one in calls.items()}


def arun(port: int, calls: Mapping[str, Call]) -> dict[str, Seen]:
    """All at once by grpc.aio, on one channel."""

    async def main() -> list[Seen]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as to:
            return await asyncio.gather(*(acall(to, one) for one in calls.values()))

    return dict(zip(calls, asyncio.run(main()), strict=True))


def told(seen: Mapping[str, Seen]) -> dict[str, Told]:
    """Without the times."""
    return {name: one.told for name, one in seen.items()}


def _plain(metadata: Iterable[Sequence[Any]] | None) -> Metadata:
    return tuple((name, value) for name, value in metadata or ())
