"""Calls over a channel: side by side, with sockets beside them, and what becomes of them at an end."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from svcmock.net.channel import SOCKETS_AT_ONCE, Caller, Gone, Handler, answer
from svcmock.protocol import Invalid, SvcmockError


def talk(
    handlers: dict[str, Handler], work: Callable[[Caller], Awaitable[Any]], *, hang_up: bool = True
) -> Any:
    """What `work` gives with a caller of these handlers; then the answering side must end by itself."""

    async def run() -> Any:
        ours, theirs = socket.socketpair()
        passing, receiving = socket.socketpair()
        answering = asyncio.create_task(answer(theirs, receiving, handlers))
        caller = Caller(ours, passing)
        await caller.open()
        try:
            return await work(caller)
        finally:
            if not hang_up:
                answering.cancel()
            caller.close()
            await asyncio.wait((answering,), timeout=10)
            assert answering.done()

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_arguments_and_values_are_whole() -> None:
    async def twice(value: Any, more: int) -> Any:
        return [value, value, more]

    big = "x" * 3_000_000
    assert talk({"twice": twice}, lambda caller: caller.call("twice", big, 7)) == [big, big, 7]


def test_a_slow_call_does_not_hold_up_another() -> None:
    done = asyncio.Event()

    async def slow() -> str:
        await done.wait()
        return "slow"

    async def quick() -> str:
        done.set()
        return "quick"

    async def work(caller: Caller) -> list[str]:
        return list(await asyncio.gather(caller.call("slow"), caller.call("quick")))

    assert talk({"slow": slow, "quick": quick}, work) == ["slow", "quick"]


def test_errors_come_back_in_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    async def refuse() -> None:
        raise Invalid(("a", 1), "is no colour")

    async def mistake() -> None:
        raise ZeroDivisionError("by zero")

    async def work(caller: Caller) -> list[str]:
        told = []
        for name in ("refuse", "mistake", "refuse"):
            with pytest.raises(SvcmockError) as caught:
                await caller.call(name)
            told.append(str(caught.value))
        return told

    said = talk({"refuse": refuse, "mistake": mistake}, work)
    assert said == [
        str(Invalid(("a", 1), "is no colour")),
        "internal error: ZeroDivisionError: by zero",
        said[0],
    ]


@pytest.mark.parametrize("count", [1, SOCKETS_AT_ONCE, 2 * SOCKETS_AT_ONCE + 3])
def test_sockets_arrive_in_their_order_and_alive(count: int) -> None:
    async def ports(sockets: list[socket.socket]) -> list[int]:
        found = [sock.getsockname()[1] for sock in sockets]
        for sock in sockets:
            sock.close()
        return found

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    expected = [sock.getsockname()[1] for sock in listeners]
    try:
        assert talk({"ports": ports}, lambda caller: caller.call("ports", sockets=listeners)) == expected
    finally:
        for sock in listeners:
            sock.close()


def test_sockets_that_there_is_no_room_for_are_an_error_and_leave_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system leaves out what the process may not open."""
    received = socket.recv_fds

    def fewer(*where: Any) -> Any:
        data, handles, flags, address = received(*where)
        for handle in handles[1:]:
            os.close(handle)
        return data, handles[:1], flags, address

    async def take(sockets: list[socket.socket]) -> int:
        for sock in sockets:
            sock.close()
        return len(sockets)

    async def work(caller: Caller) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "recv_fds", fewer)
            with pytest.raises(SvcmockError, match="ulimit -n"):
                await caller.call("take", sockets=listeners)
        return int(await caller.call("take", sockets=listeners))

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(SOCKETS_AT_ONCE + 5)]
    try:
        assert talk({"take": take}, work) == len(listeners)
    finally:
        for sock in listeners:
            sock.close()


def test_who_takes_no_sockets_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have got some: what came after them would be taken for the others."""

    def full(*_: object) -> int:
        raise BlockingIOError

    async def never() -> None:
        await asyncio.Event().wait()

    async def work(caller: Caller) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, monkeypatch.context() as patch:
            patch.setattr(socket, "send_fds", full)
            with pytest.raises(Gone):
                await caller.call("never", sockets=[listener])
        assert caller._passing.fileno() == -1

    talk({"never": never}, work)


def test_what_cannot_be_sent_back_is_told() -> None:
    async def give() -> object:
        return lambda: None

    async def work(caller: Caller) -> None:
        with pytest.raises(SvcmockError, match="internal error"):
            await caller.call("give")

    talk({"give": give}, work)


def test_who_calls_one_that_has_ended_is_told() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def work(caller: Caller) -> None:
        waiting = asyncio.create_task(caller.call("never"))
        await asyncio.sleep(0)
        caller._sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(Gone):
            await waiting
        with pytest.raises(Gone):
            await caller.call("never")

    talk({"never": never}, work)


def test_a_call_that_nobody_waits_for_any_more_disturbs_no_other() -> None:
    done = asyncio.Event()

    async def slow() -> str:
        await done.wait()
        return "slow"

    async def quick() -> str:
        done.set()
        return "quick"

    async def work(caller: Caller) -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.call("slow"), 0.01)
        await caller.call("quick")
        return str(await caller.call("quick"))

    assert talk({"slow": slow, "quick": quick}, work) == "quick"
