"""What svcmock's gRPC is compared with: grpc.aio, answering any call with the same message.

Run as `python -m benchmarks.grpc_server PORT`. Handlers take and give bytes, so no message is decoded.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

UNARY = "/shop.Catalog/GetItem"
STREAM = "/shop.Catalog/Watch"
MESSAGE = b"\n\x07tea-100\x12\x0fTea from Assam.\x18\xd2\x09"
"""What every call is answered."""
MESSAGES = 1000
"""Of a stream."""


async def _unary(_request: bytes, _context: Any) -> bytes:
    return MESSAGE


async def _stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
    for _ in range(MESSAGES):
        yield MESSAGE


class _Handlers(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method == UNARY:
            return grpc.unary_unary_rpc_method_handler(_unary)
        return grpc.unary_stream_rpc_method_handler(_stream) if details.method == STREAM else None


async def serve(port: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handlers(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
