"""The front of a shop: a service of grpcio that calls two others for each call, by unary calls and by streams.

Run as `python -m tests.e2e.front_server PORT STORE SHIPPING`, the last two being ports of the loopback.
"""

import queue
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from tests.e2e import store
from tests.e2e.calls import OPTIONS, TIMEOUT

SERVICE = "front.v1.Front"
SHIPPING = "front.v1.Shipping"
Order: Any = store.message("front.v1.Order")
Quoted: Any = store.message("front.v1.Quoted")
Parcel: Any = store.message("front.v1.Parcel")


class Front:
    """The behaviour of its methods."""

    def __init__(self, items: grpc.Channel, shipping: grpc.Channel) -> None:
        self._items = {name: one.callable(items) for name, one in store.methods(store.SERVICE).items()}
        self._shipping = {name: one.callable(shipping) for name, one in store.methods(SHIPPING).items()}

    def quote(self, order: Any, context: Any) -> Any:
        tenant = [("x-tenant", order.country)]
        try:
            item = self._items["Get"](store.ItemRef(id=order.item), metadata=tenant, timeout=TIMEOUT)
            parcel = Parcel(item=order.item, country=order.country)
            costs, rpc = self._shipping["Cost"].with_call(parcel, timeout=TIMEOUT)
        except grpc.RpcError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.code().name}: {error.details()}")
        context.set_trailing_metadata([pair for pair in rpc.trailing_metadata() if pair[0] == "x-tariff"])
        return Quoted(item=item.id, price=item.price, stock=item.stock, shipping=costs)

    def track(self, order: Any, context: Any) -> Iterator[Any]:
        """For each item that the store tells of, a question of one conversation with the shipping."""
        questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            answers = self._shipping["Follow"](iter(questions.get, None), timeout=TIMEOUT)
            watching = store.Watching(id=order.item, count=order.count)
            for item in self._items["Watch"](watching, timeout=TIMEOUT):
                questions.put(Parcel(item=item.id, country=order.country))
                yield Quoted(item=item.id, price=item.price, stock=item.stock, shipping=next(answers))
            questions.put(None)
            assert not list(answers), "an answer for each question"
        except grpc.RpcError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error.code().name}: {error.details()}")
        finally:
            questions.put(None)


def serve(port: int, items: int, shipping: int) -> None:
    channels = [grpc.insecure_channel(f"127.0.0.1:{one}", options=OPTIONS) for one in (items, shipping)]
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    store.serve(server, SERVICE, Front(*channels))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    store.listening(port)
    server.wait_for_termination()


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
