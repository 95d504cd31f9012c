"""Asking an upstream what its messages mean, over a connection of its own: runs what `Inquiring.inquiry` made.

The upstream is not trusted: it gets some seconds, and may say so many bytes.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from svcmock.capabilities import Inquiry, Learned
from svcmock.net.upstream import Connector
from svcmock.protocol import Close, ProtocolError, Send, SvcmockError

INQUIRY_SECONDS = 5.0
"""From the connection to the last answer."""
MAX_ANSWERS = 64 * 1024 * 1024
"""Bytes that an upstream may say."""


class InquiryError(SvcmockError):
    """Nothing was learned; the message says why."""


async def ask(inquiry: Inquiry, connector: Connector, alpn: tuple[str, ...]) -> list[Learned]:
    """What the upstream has to say. Raises InquiryError, and UpstreamError where it cannot be reached."""
    asking = _Asking(inquiry)
    try:
        async with asyncio.timeout(INQUIRY_SECONDS):
            await connector.connect(lambda: asking, alpn)
            return await asking.over
    except TimeoutError:
        raise InquiryError(f"not answered in {INQUIRY_SECONDS:.0f} s") from None
    finally:
        asking.close()


class _Asking(asyncio.Protocol):
    """The connection. `over` gets what was learned."""

    def __init__(self, inquiry: Inquiry) -> None:
        self.over: asyncio.Future[list[Learned]] = asyncio.get_running_loop().create_future()
        self._inquiry = inquiry
        self._transport: asyncio.Transport | None = None
        self._learned: list[Learned] = []
        self._heard = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._step(self._inquiry.opened)

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        if self.over.done():
            return
        if self._heard > MAX_ANSWERS:
            self._fail(f"more than {MAX_ANSWERS} bytes were answered")
            return
        self._step(lambda: self._inquiry.received(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.over.done():
            self._fail(f"the connection ended: {exc}" if exc else "the connection ended")

    def close(self) -> None:
        if self.over.done():
            self.over.cancelled() or self.over.exception()  # it may come when nobody waits any more
        else:
            self.over.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _step(self, ask: Callable[[], Sequence[Send | Learned | Close]]) -> None:
        try:
            self._do(ask())
        except ProtocolError as error:
            self._fail(f"the answer cannot be read: {error}")
        except Exception as error:  # noqa: BLE001  a mistake in a protocol's code is no reason not to record
            self._fail(f"a mistake in the protocol's code: {error!r}")

    def _do(self, outs: Sequence[Send | Learned | Close]) -> None:
        for out in outs:
            match out:
                case Send(data):
                    if self._transport is not None:
                        self._transport.write(data)
                case Learned():
                    self._learned.append(out)
                case Close() if not self.over.done():
                    self._end()

    def _end(self) -> None:
        if self._learned:
            self.over.set_result(self._learned)
        else:
            self._fail("it has no answer")

    def _fail(self, why: str) -> None:
        self.over.set_exception(InquiryError(why))
