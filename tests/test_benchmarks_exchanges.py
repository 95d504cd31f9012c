"""The load generator for protocols without HTTP: what it counts, and what it calls wrong."""

import base64
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from benchmarks import exchanges
from benchmarks.exchanges import Exchanges

pytestmark = pytest.mark.timeout(30)


@contextlib.contextmanager
def serving(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A server that answers each read; None closes the connection."""
    threads: list[threading.Thread] = []

    def serve(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                told = answer(data)
                if told is None:
                    return
                peer.sendall(told)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listening.accept()[0],))
                thread.start()
                threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(10)
                assert not thread.is_alive()


def given(port: int, sent: bytes, expected: bytes, **more: object) -> Exchanges:
    both = [base64.b64encode(data).decode() for data in (sent, expected)]
    return Exchanges(port, 0.2, 3, *both, **more)  # type: ignore[arg-type]


def test_it_counts_requests_and_not_what_is_sent_at_once() -> None:
    with serving(lambda data: data.upper()) as port:
        rate = exchanges.run(given(port, b"ab" * 4, b"AB" * 4, units=4))
    assert rate.total > 0
    assert rate.total % 4 == 0
    assert (rate.wrong, rate.per_second > 0) == (0, True)


def test_an_answer_of_the_right_length_may_be_wrong() -> None:
    with serving(lambda data: data) as port:
        rate = exchanges.run(given(port, b"abc", b"ABC"))
    assert rate.total == rate.wrong > 0


def test_a_server_that_closes_is_no_rate() -> None:
    with serving(lambda _: None) as port, pytest.raises(ConnectionError):
        exchanges.run(given(port, b"abc", b"ABC"))


def test_a_server_that_says_nothing_is_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "PATIENCE", 0.2)
    with serving(lambda _: b"") as port, pytest.raises(TimeoutError):
        exchanges.run(given(port, b"abc", b"ABC"))
