"""The store as a real service of grpcio, which says on which port it listens.

Run as `python -m tests.e2e.store_server [reflection] [gzip] [CERTIFICATE.pem KEY.pem]`.

What it answers depends on what it is asked alone, so it can be asked twice.
"""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from tests.e2e import store
from tests.e2e.store import Item, Line, Total

SINCE = 1_700_000_000
LARGE = 1 << 60


def item(name: str, number: int = 0) -> Any:
    """The same each time."""
    made = Item(
        id=name,
        stock=LARGE + number,
        price=1234.5 + number / 8,
        weight=0.1,
        picture=bytes(range(256)) if name == "picture" else b"\x00\xff",
        colour="GREEN",
        tags=["new", "", "größe ☃"],
        offsets=[-1, 0, 300],
        serial=2**64 - 1,
    )
    made.shelves["b"] = 2
    made.shelves["a"] = -1
    made.since.seconds = SINCE
    made.since.nanos = 123_456_789
    if number % 2:
        made.percent = 10
    else:
        made.coupon = "SPRING"
    if name == "part":
        made.part_of.CopyFrom(Item(id="whole", fragile=False))
    return made


def details(code: int, text: str) -> Any:
    """A status with details: one of a kind that everybody knows, one of the store's own."""
    packed = []
    for one in (
        error_details_pb2.ErrorInfo(reason="GONE", domain="store.example", metadata={"id": "x"}),
        error_details_pb2.BadRequest(
            field_violations=[error_details_pb2.BadRequest.FieldViolation(field="id", description="no such")]
        ),
        Line(text="of the store's own kind", number=7),
    ):
        packed.append(any_pb2.Any())
        packed[-1].Pack(one)
    return rpc_status.to_status(status_pb2.Status(code=code, message=text, details=packed))


class Store:
    """The behaviour of its methods."""

    def get(self, asked: Any, context: Any) -> Any:
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata(
            (("x-shop", "one"), ("x-shop", "two"), ("x-raw-bin", b"\x00\x01\xfe\xff"))
        )
        context.set_trailing_metadata((("x-cost", "3"), ("x-sum-bin", b"\xff" * 5)))
        match asked.id:
            case "nothing":
                context.abort_with_status(details(code_pb2.NOT_FOUND, "no item “nothing” 100% sure\n"))
            case "quiet":
                context.abort(grpc.StatusCode.UNAVAILABLE, "")
            case "broken":
                context.abort(grpc.StatusCode.DATA_LOSS, "the disk is gone")
            case "empty":
                return Item()
            case "tenant":
                return Item(id="tenant", coupon=sent.get("x-tenant", "nobody"))
            case "large":
                return Item(id="large", picture=bytes(range(256)) * 12_000)
        return item(asked.id)

    def watch(self, asked: Any, context: Any) -> Iterator[Any]:
        context.set_trailing_metadata((("x-watched", asked.id),))
        gone = threading.Event()
        context.add_callback(gone.set)
        for number in range(asked.count):
            if asked.fail_after and number == asked.fail_after:
                context.abort_with_status(details(code_pb2.RESOURCE_EXHAUSTED, "enough"))
            if number and gone.wait(asked.gap / 1000):
                return
            yield item(asked.id, number)

    def sum(self, asked: Iterator[Any], context: Any) -> Any:
        total = Total()
        for one in asked:
            if one.stock < 0:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"item {one.id} has a stock of {one.stock}")
            total.items += 1
            total.stock += one.stock
            total.price += one.price
        return total

    def talk(self, asked: Iterator[Any], context: Any) -> Iterator[Any]:
        """Greets before it is asked, answers each line, twice where that is "twice"; counts them at the end."""
        yield Line(text="hello")
        count = 0
        for line in asked:
            count += 1
            if line.text == "stop":
                context.abort(grpc.StatusCode.ABORTED, f"stopped after {count}")
            yield Line(text=line.text.upper(), number=count)
            if line.text == "twice":
                yield Line(text="again", number=count)
        yield Line(text="bye", number=count)


def serve(*how: str) -> None:
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    compression = grpc.Compression.Gzip if "gzip" in how else None
    server = grpc.server(ThreadPoolExecutor(32), options=options, compression=compression)
    store.serve(server, store.SERVICE, Store())
    checks = health.HealthServicer()
    checks.set(store.SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if "reflection" in how:
        reflection.enable_server_reflection([store.SERVICE, reflection.SERVICE_NAME], server)
    files = [Path(name).read_bytes() for name in how if name.endswith(".pem")]
    if files:
        certificate, key = files
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    store.listening(port)
    server.wait_for_termination()


if __name__ == "__main__":
    serve(*sys.argv[1:])
