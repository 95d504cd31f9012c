"""A reset is seen as one, and not as the end of what was said."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from svcmock.net.reset import reset


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_peer_sees_an_error_and_not_an_end(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    class Abrupt(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(b"part")  # type: ignore[attr-defined]
            reset(transport)  # type: ignore[arg-type]

    async def work() -> None:
        server = await asyncio.get_running_loop().create_server(Abrupt, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        finally:
            writer.close()
            server.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(asyncio.wait_for(work(), 20))
