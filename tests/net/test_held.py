"""Addresses that are held: for one process and for several, and against everybody else."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from svcmock.model import Service, Tcp, Unix
from svcmock.net.held import Held, place_of
from svcmock.net.listener import ListenError

spreads = pytest.mark.skipif(sys.platform != "linux", reason="SO_REUSEPORT spreads clients on Linux only")


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def port_of(held: Held) -> int:
    return int(held.address.rpartition(":")[2])


def accepted(listener: socket.socket) -> bool:
    """Whether a client waits here."""
    listener.settimeout(0)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@spreads
def test_each_of_several_processes_has_a_queue_of_its_own(closing: ExitStack) -> None:
    held = Held(Tcp("127.0.0.1", 0), 2)
    closing.callback(held.close)
    first, second = (closing.enter_context(held.socket()) for _ in range(2))
    clients = [closing.enter_context(socket.create_connection(("127.0.0.1", port_of(held)))) for _ in range(64)]
    taken = [sum(accepted(listener) for _ in clients) for listener in (first, second)]
    assert sum(taken) == len(clients)
    assert min(taken) > 0


@spreads
def test_a_process_that_ends_gets_no_more_clients(closing: ExitStack) -> None:
    held = Held(Tcp("127.0.0.1", 0), 2)
    closing.callback(held.close)
    first, second = held.socket(), closing.enter_context(held.socket())
    first.close()
    for _ in range(16):
        closing.enter_context(socket.create_connection(("127.0.0.1", port_of(held))))
    assert all(accepted(second) for _ in range(16))


@spreads
def test_no_client_waits_where_nobody_will_accept(closing: ExitStack) -> None:
    held = Held(Tcp("127.0.0.1", 0), 2)
    closing.callback(held.close)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(held)))


@spreads
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_another_server_has_is_refused(*, processes: int, shares: bool) -> None:
    """Even where that one would share it with a server of the same user."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ListenError, match="in use by another process"):
            Held(Tcp("127.0.0.1", other.getsockname()[1]), processes)


@spreads
def test_nobody_else_gets_a_port_that_is_served(closing: ExitStack) -> None:
    held = Held(Tcp("127.0.0.1", 0), 2)
    closing.callback(held.close)
    closing.enter_context(held.socket())
    for processes in (1, 2):
        with pytest.raises(ListenError, match="in use by another process"):
            Held(Tcp("127.0.0.1", port_of(held)), processes)


def test_clients_of_one_process_wait_through_a_change_of_listeners(closing: ExitStack) -> None:
    held = Held(Tcp("127.0.0.1", 0))
    closing.callback(held.close)
    old = held.socket()
    closing.enter_context(socket.create_connection(("127.0.0.1", port_of(held))))
    old.close()
    assert accepted(closing.enter_context(held.socket()))


@pytest.mark.parametrize("processes", [1, 3])
def test_a_unix_path_is_one_queue_and_goes_with_its_holder(
    short_folder: Path, closing: ExitStack, processes: int
) -> None:
    path = short_folder / "s"
    held = Held(Unix(str(path)), processes)
    listeners = [closing.enter_context(held.socket()) for _ in range(processes)]
    assert held.address == f"unix:{path}"
    closing.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
    assert accepted(listeners[-1])
    held.close()
    assert not path.exists()
    held.close()


def test_only_port_0_is_a_place_for_each_service() -> None:
    def place(name: str, port: int) -> tuple[str, str]:
        return place_of(Service(name, Tcp("127.0.0.1", port)))

    assert place("a", 80) == place("b", 80)
    assert place("a", 0) != place("b", 0)
    assert place("a", 80) != place("a", 81)
    assert place_of(Service("a", Unix("/x"))) == place_of(Service("b", Unix("/x")))
