"""A graph of services that call each other, recorded in one run and taken apart: any of them may be the mock.

client -> front (Python) -> store (Python)
                         -> shipping (Node) -> store
                                            -> tariffs (HTTP/1.1 and JSON)
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import calls, nodes, packages, store
from tests.e2e.calls import Call, Told, told
from tests.e2e.front_server import SERVICE, Order
from tests.e2e.processes import Process, Svcmock
from tests.e2e.services import documents, program, store_server

pytestmark = pytest.mark.timeout(120)  # several processes, one after the other, on a machine that may be busy


def quote(item: str, country: str) -> Call:
    return Call("Quote", (Order(item=item, country=country),), service=SERVICE)


def track(item: str, country: str, count: int) -> Call:
    return Call("Track", (Order(item=item, country=country, count=count),), service=SERVICE)


WORK = {
    "quote": quote("tea", "de"),
    "quote abroad": quote("tea", "fr"),
    "quote of what the store does not have": quote("nothing", "de"),
    "quote to where nothing is sent": quote("tea", "nowhere"),
    "quote again": quote("tea", "de"),
    "track": track("tea", "fr", 4),
    "track what cannot be sent": track("tea", "nowhere", 2),
    "track nothing": track("tea", "de", 0),
}


def shipping(svcmock: Svcmock, port: int, items: int, tariffs: int) -> Process:
    node, env = packages.node_with_packages()
    script = nodes.SCRIPTS / "shipping.cjs"
    process = svcmock.spawn([node, str(script), str(store.PROTOS), *map(str, (port, items, tariffs))], env)
    process.said("listening")
    return process


def front(svcmock: Svcmock, port: int, items: int, parcels: int) -> Process:
    process = program(svcmock, "front_server", *map(str, (port, items, parcels)))
    process.said("listening")
    return process


def test_any_service_of_a_recorded_graph_can_be_the_mock(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    project = tmp_path / "shop"
    packages.node_with_packages()  # before anything is started
    real = {name: free_port() for name in ("front", "shipping", "tariffs")}
    items, real["store"] = store_server(svcmock, "reflection")
    recorder = svcmock.record(project, {name: f"http://127.0.0.1:{port}" for name, port in real.items()})
    ports = recorder.ports
    tariffs = program(svcmock, "tariffs", str(real["tariffs"]))
    tariffs.said("listening")
    running = [
        items,
        tariffs,
        shipping(svcmock, real["shipping"], ports["store"], ports["tariffs"]),
        front(svcmock, real["front"], ports["store"], ports["shipping"]),
    ]
    before = told(calls.run(ports["front"], WORK))
    for process in running:
        process.stop()
    table = recorder.stop()
    assert {name: row["failed"] + row["skipped"] + row["passed on unread"] for name, row in table.items()} == (
        dict.fromkeys(real, 0)
    ), recorder.process.output
    assert all(row["recorded"] == row["accepted"] > 0 for row in table.values())
    assert table["front"]["recorded"] == len(WORK)
    as_it_should_be(before)
    assert all(
        "grpc" in one["request"] for name in ("front", "shipping", "store") for one in documents(project, name)
    )
    assert all(one["request"]["path"].startswith("/tariffs/") for one in documents(project, "tariffs"))

    mock = svcmock.up(project)
    assert svcmock.run("check", project).stdout.endswith(" in 4 services: 0 errors, 0 warnings\n")
    # nothing is left but the mock
    assert told(calls.run(mock.ports["front"], WORK)) == before
    # the front is the real one again
    only = front(svcmock, real["front"], mock.ports["store"], mock.ports["shipping"])
    assert told(calls.run(real["front"], WORK)) == before
    only.stop()
    # and so is the shipping
    shipping(svcmock, real["shipping"], mock.ports["store"], mock.ports["tariffs"])
    front(svcmock, real["front"], mock.ports["store"], real["shipping"])
    assert told(calls.run(real["front"], WORK)) == before
    services = mock.status()["services"]
    assert {name: one["misses"] for name, one in services.items()} == dict.fromkeys(real, 0)
    assert all(one["hits"] > 0 for one in services.values())


def as_it_should_be(seen: dict[str, Told]) -> None:
    """So that the comparisons compare something."""
    (quoted,) = seen["quote"].read(WORK["quote"])
    assert (quoted.item, quoted.stock, quoted.price) == ("tea", 1 << 60, 1234.5)
    assert (quoted.shipping.cents, quoted.shipping.zone, quoted.shipping.colour) == (440, "home", "GREEN")
    assert seen["quote"].trailing == (("x-tariff", "home"),)
    assert seen["quote again"] == seen["quote"]
    lost = seen["quote of what the store does not have"]
    assert (lost.code, lost.details.partition(":")[0]) == ("FAILED_PRECONDITION", "NOT_FOUND")
    nowhere = seen["quote to where nothing is sent"]
    assert nowhere.details == "OUT_OF_RANGE: 404: no tariff for nowhere"
    tracked = seen["track"].read(WORK["track"])
    assert [(one.stock - (1 << 60), one.shipping.zone) for one in tracked] == [(n, "near") for n in range(4)]
    assert seen["track what cannot be sent"].code == "FAILED_PRECONDITION"
    assert (seen["track nothing"].code, seen["track nothing"].messages) == ("OK", ())
