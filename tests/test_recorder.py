"""A recording run: starts whole or not at all, ends when told, and says what it wrote."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from svcmock.config import load_graph
from svcmock.recorder import Recorded, RecordError, record
from tests.routes import PLUGINS


def graph_of(root: Path, services: str) -> None:
    (root / "svcmock.yaml").write_text(f"version: 1\nservices:\n  {services}\n")


def run(
    root: Path, started: Callable[[Mapping[str, tuple[str, str]]], object], *names: str
) -> dict[str, Recorded]:
    graph, problems = load_graph(root, PLUGINS)
    assert graph is not None, problems
    return asyncio.run(asyncio.wait_for(record(graph, PLUGINS, frozenset(names), started), 30))


def stop(_where: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_args: object) -> None:
        return


def test_what_was_asked_until_the_stop_is_written(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    graph_of(tmp_path, f"shop: {{listen: 0, upstream: 'http://127.0.0.1:{server.server_port}'}}")
    bodies: list[bytes] = []

    def ask(where: str) -> None:
        try:
            for number in range(3):
                with urlopen(f"http://{where}/{number}", timeout=10) as reply:
                    bodies.append(reply.read())
        finally:
            stop(None)

    def started(where: Mapping[str, tuple[str, str]]) -> None:
        address, url = where["shop"]
        assert url == f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=ask, args=(address,)).start()

    try:
        told = run(tmp_path, started)["shop"]
    finally:
        server.shutdown()
        server.server_close()
    assert bodies == [b"hi"] * 3
    assert (told.counters.accepted, told.counters.recorded, told.opaque) == (3, 3, 0)
    assert told.file is not None
    assert (tmp_path / told.file).read_text().count("method: GET") == 3
    assert (tmp_path / ".svcmock" / "redaction.key").stat().st_mode & 0o77 == 0


def test_a_run_in_which_nothing_was_asked_writes_nothing(tmp_path: Path) -> None:
    graph_of(tmp_path, "shop: {listen: 0, upstream: 'http://127.0.0.1:9'}")
    told = run(tmp_path, stop)["shop"]
    assert (told.file, told.counters.accepted) == (None, 0)


def test_every_reason_not_to_start_is_told_and_nothing_stays_open(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    graph_of(
        tmp_path,
        f"a: {{listen: {port}, upstream: 'http://127.0.0.1:9'}}\n  b: {{listen: 0}}\n"
        "  c: {listen: '192.0.2.1:1', upstream: 'http://127.0.0.1:9'}",
    )
    with pytest.raises(RecordError) as caught:
        run(tmp_path, stop, "a", "b", "c", "zzz")
    told = "\n".join(caught.value.reasons)
    assert "there is no service zzz" in told
    assert "service b has no `upstream:`" in told
    assert "this machine has no such address" in told
    assert len(caught.value.reasons) == 3
    graph_of(tmp_path, f"a: {{listen: {port}, upstream: 'http://127.0.0.1:9'}}")
    assert set(run(tmp_path, stop)) == {"a"}


def test_a_project_without_upstreams_has_nothing_to_record(tmp_path: Path) -> None:
    graph_of(tmp_path, "b: {listen: 0}")
    with pytest.raises(RecordError, match="no service has an `upstream:`"):
        run(tmp_path, stop)
