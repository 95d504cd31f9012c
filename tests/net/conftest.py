"""What tests of connections share: both event loops."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from tests.net.wire import Run


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine function to its end on one of the two event loops."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        async def bounded(work: Callable[[], Awaitable[Any]]) -> Any:
            async with asyncio.timeout(20):
                return await work()

        yield lambda work: runner.run(bounded(work))
