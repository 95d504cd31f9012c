"""The harness of the benchmarks: that it measures and reports. What it measures is nobody's promise here."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmarks import generator, servers
from benchmarks.generator import Given
from benchmarks.report import Row, spread, table

ROOT = Path(__file__).parents[1]
BRIEF = ["--json", "--load", "generator.py", "--seconds", "0.1", "--rounds", "1", "--routes", "30"]


def bench(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *BRIEF, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["machine"]
    assert told["load"] == "generator.py"
    return told


def test_rates_are_measured_against_nginx_where_it_is_installed() -> None:
    rows = bench("--only", "rates")["rows"]
    assert [row["case"] for row in rows] == [
        "the same GET each time",
        "a GET with a header that differs",
        "the same, 3 headers recorded",
        "the same, and a credential recorded",
        "a route with `match`, a header that differs",
        "a miss, with a header that differs",
    ]
    peer = servers.nginx_binary() is not None
    for row in rows:
        assert len(row["ours"]) == 1
        assert row["ours"][0] > 0
        assert len(row["theirs"]) == peer
        assert row["value"] == row["ours"][0] / (row["theirs"][0] if peer else 1)


def test_many_routes_are_measured_against_one() -> None:
    rows = bench("--only", "many")["rows"]
    assert [row["unit"] for row in rows] == ["s", "s", "MB"] * 2 + ["requests/s"] * 3
    assert all(row["value"] > 0 and len(row["theirs"]) == (row["unit"] == "requests/s") for row in rows)


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        (Row("a", "requests/s", (40.0, 70.0, 50.0), (90.0, 100.0, 110.0), goal=0.5), 0.5, "yes"),
        (Row("a", "requests/s", (49.0,), (100.0,), goal=0.5), 0.49, "NO"),
        (Row("a", "requests/s", (49.0,), (100.0,)), 0.49, ""),
        (Row("a", "s", (0.4, 0.5, 0.6), goal=0.5, most=True), 0.5, "yes"),
        (Row("a", "s", (0.6,), goal=0.5, most=True), 0.6, "NO"),
    ],
)
def test_a_row_is_the_ratio_of_medians(row: Row, value: float, verdict: str) -> None:
    assert (row.value, row.verdict) == (value, verdict)


def test_a_table() -> None:
    rows = [Row("one", "s", (1.0, 3.0, 2.0), goal=5, most=True), Row("two", "r/s", (1000.0,), (4000.0,), 0.5)]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()[2:]] == [
        ["one", "s", "2.00 (1.00-3.00)", "", "", "", "<= 5", "yes"],
        ["two", "r/s", "1,000", "4,000", "0.25", "", ">= 0.5", "NO"],
    ]
    assert spread(()) == ""


@pytest.mark.parametrize(("status", "wrong"), [(b"200 OK", False), (b"501 Not Implemented", True)])
def test_the_generator_counts_answers_in_pieces_and_wrong_ones(status: bytes, wrong: bool) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client, contextlib.suppress(ConnectionError):
                while data := client.recv(4096):
                    seen.append(data)
                    client.sendall(b"HTTP/1.1 " + status + b"\r\ncontent-LENGTH: 4\r\n\r\nab")
                    client.sendall(b"cd")

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        rate = generator.measure(Given(("/a", "/b"), "Host: x\r\n", True, port, 0.05, 1, 1))
        thread.join(10)
    assert rate.total > 0
    assert rate.wrong in ((rate.total, rate.total + 1) if wrong else (0,))
    assert seen[0] == b"GET /b HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n"
    assert seen[1] == b"GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: 2\r\n\r\n"
