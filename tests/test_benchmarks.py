"""The harness of the benchmarks: that it measures and reports. What it measures is nobody's promise here."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import load, packages, peers, projects, run, servers, stages
from benchmarks.harness import Bench, Side, Size
from benchmarks.load import Load
from benchmarks.peers import Stub
from benchmarks.report import BEGIN, END, Against, Result, Row
from benchmarks.servers import Server

pytestmark = pytest.mark.timeout(180)  # servers are started one after the other, on a machine that may be busy

ROOT = Path(__file__).parents[1]
TINY = Size(seconds=0.1, rounds=1, positions=(2, 30), routes=30, scale=30, warm_up=0.0, reloads=2, requests=10)


def measured(*cases: str) -> Result:
    """Without the servers that take seconds to start: they have a test of their own."""
    return run.measure(list(cases), load.OWN, TINY, (peers.WIREMOCK, peers.MOUNTEBANK))


# --- runs ---------------------------------------------------------------------------------------------


def test_rates_are_measured_against_whoever_is_installed() -> None:
    result = measured("rates")
    assert [row.case for row in result.rows] == [
        "the same GET each time",
        "a GET with a header that differs",
        "a header that differs, 3 recorded",
        "the same, and a credential recorded",
        "a route with `match`, a header that differs",
        "the same GET, each on a new connection",
        "a POST of JSON, a header that differs",
        "a miss among 300 routes, a header that differs",
    ]
    assert all(len(row.ours) == 1 and row.value > 0 for row in result.rows)
    nginx = ["nginx"] if servers.nginx_binary() else []
    first, *_, miss = result.rows
    noted = [note.partition(":")[0] for note in result.notes]
    assert [other.server for other in first.against] == nginx
    assert noted == [*({"nginx"} - set(nginx)), peers.WIREMOCK, peers.MOUNTEBANK]
    assert miss.against[0].server == "its own hit"
    assert "generator.py" in result.load


@pytest.mark.parametrize(
    ("case", "units"),
    [
        ("start", ["s", "s", "MB", "MB", "MB"]),
        ("bodies", ["requests/s"] * 3),
        ("services", ["requests/s"] * 3 + ["", "requests/s"]),
        ("latency", ["ms", "ms", "requests/s"]),
        ("position", ["requests/s"] * 2),
        ("loading", ["s", "s", "MB", "MB"] * 2),
        ("scale", ["s", "s", "MB", "MB", "KB", "KB"] + ["requests/s", "ms"] * 3 + ["KB"]),
    ],
)
def test_every_case_gives_its_rows(case: str, units: list[str]) -> None:
    result = measured(case)
    assert [row.unit for row in result.rows] == units
    assert all(row.ours for row in result.rows)
    assert not [note for note in result.notes if "svcmock" in note or "the rest" in note]


def test_reloads_lose_no_request_and_leave_no_old_answer() -> None:
    failed, stale, took = measured("reloads").rows
    assert (failed.ours, stale.ours) == ((0,), (0,))
    assert len(took.ours) == TINY.reloads


def test_what_cannot_be_measured_is_noted_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_bench: Bench) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setitem(run.CASES, "rates", broken)
    result = measured("rates", "latency")
    assert "the rest of `rates`: it is broken" in result.notes, "nginx may not be installed, too"
    assert {row.unit for row in result.rows} == {"ms", "requests/s"}


def test_a_run_is_written_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    against = (Against("nginx", (2.0, 3.0), 0.5),)
    rows = tuple(Row(f"case {one}", "requests/s", (1.5, 2.5), against, routes=one) for one in range(4))
    results = [
        Result("2026-01-02", "a machine", "a load", "servers", rows[at:][:2], (f"note {at}",)) for at in (0, 2)
    ]
    given = []
    for result in results:
        given.append(str(tmp_path / f"{len(given)}.json"))
        run.write(result, Path(given[-1]), None, None)
    document = tmp_path / "a.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    told = [
        "--json",
        str(tmp_path / "x" / "all.json"),
        "--svg",
        str(tmp_path / "a.svg"),
        "--markdown",
        str(document),
    ]
    assert run.main(["--from", *given, *told]) == 0
    assert msgspec.json.decode((tmp_path / "x" / "all.json").read_bytes(), type=Result) == Result(
        "2026-01-02", "a machine", "a load", "servers", rows[:4], ("note 0", "note 2")
    )
    printed = capsys.readouterr().out
    section = document.read_text()
    assert section.startswith(f"before\n{BEGIN}\n")
    assert section.endswith(f"{END}\nafter\n")
    assert printed.strip() in section
    assert "old" not in section
    assert (tmp_path / "a.svg").read_text().startswith("<svg ")


def test_the_document_has_a_place_for_results_and_names_every_case() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert text.index(BEGIN) < text.index(END)
    assert [name for name in run.CASES if f"`{name}`" not in text] == []


# --- sides --------------------------------------------------------------------------------------------


@contextmanager
def answering(body: str, status: int = 200) -> Iterator[tuple[int, list[tuple[str, str, Any]]]]:
    """A server that says this to everybody; gives its port and what it was sent."""
    seen: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers["Content-Length"] or 0)
            sent = self.rfile.read(length)
            seen.append((self.command, self.path, json.loads(sent) if sent else None))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def side(name: str, port: int) -> Side:
    return Side(Server(name, 0.0, os.getpid(), port), Load(("/a",), connections=2), "right")


def test_a_server_with_wrong_answers_is_left_out_and_ours_ends_the_case(tmp_path: Path) -> None:
    with ExitStack() as stack:
        right = stack.enter_context(answering("right"))[0]
        others = [stack.enter_context(answering("wrong"))[0], stack.enter_context(answering("right", 500))[0]]
        gone = servers.free_port()
        bench = Bench(tmp_path, load.OWN, TINY, stack)
        sides = [side("svcmock", right), *(side(f"{port}", port) for port in (*others, gone))]
        assert bench.alternate("a case", sides) == sides[:1]
        assert [note.partition(",")[0] for note in bench.notes] == [*map(str, others), str(gone)]
        assert "answered 200 'wrong'" in bench.notes[0]
        with pytest.raises(RuntimeError, match="answered 500"):
            bench.alternate("a case", [side("svcmock", others[1]), sides[0]])


def test_memory_and_processor_time_are_those_of_all_descendants() -> None:
    own = "x = bytearray(64 << 20)\nfor _ in range(3_000_000): pass\nprint('up', flush=True)\ninput()\n"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {own!r}])\n"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert len(servers.family(process.pid)) == 2
        taken = servers.memory(process.pid)
        assert taken.anonymous > 64
        assert taken.resident >= taken.anonymous + taken.mapped
        assert servers.processor_seconds(process.pid) > 0
    finally:
        process.communicate(b"\n", timeout=20)
    assert servers.memory(process.pid) == servers.Memory(0, 0, 0)
    assert servers.processor_seconds(process.pid) == 0


# --- the other mock servers ---------------------------------------------------------------------------

STUBS = [
    Stub("GET", "/a", "an a"),
    Stub("POST", "/b", "a b", '{"x": [1, null]}'),
    Stub("GET", "/c", "a c", keep=False),
]


def test_what_wiremock_is_taught() -> None:
    with answering("{}") as (port, seen):
        peers._WireMock(Server("w", 0.0, 1, port)).teach(STUBS)
    (forgets, _, _), (_, path, sent) = seen
    assert (forgets, path) == ("DELETE", "/__admin/mappings/import")
    assert [one["request"] for one in sent["mappings"]] == [
        {"method": "GET", "url": "/a"},
        {"method": "POST", "url": "/b", "bodyPatterns": [{"equalToJson": '{"x": [1, null]}'}]},
        {"method": "GET", "url": "/c"},
    ]
    assert [one["response"]["body"] for one in sent["mappings"]] == ["an a", "a b", "a c"]


def test_what_mountebank_is_taught() -> None:
    with answering("{}") as (port, seen):
        peers._Mountebank(Server("m", 0.0, 1, 9), port).teach(STUBS)
    ((method, path, sent),) = seen
    (imposter,) = sent["imposters"]
    assert (method, path, imposter["port"]) == ("PUT", "/imposters", 9)
    assert [one["predicates"] for one in imposter["stubs"]] == [
        [{"equals": {"method": "GET", "path": "/a"}}],
        [{"equals": {"method": "POST", "path": "/b"}}, {"deepEquals": {"body": {"x": [1, None]}}}],
        [{"equals": {"method": "GET", "path": "/c"}}],
    ]
    kept = [one["responses"][0]["is"]["headers"].get("Connection") for one in imposter["stubs"]]
    assert kept == ["keep-alive", "keep-alive", None]


def test_a_peer_that_refuses_what_it_is_taught_is_told() -> None:
    with answering("no", 500) as (port, _), pytest.raises(RuntimeError, match="HTTP Error 500"):
        peers._WireMock(Server("w", 0.0, 1, port)).teach(STUBS)


@pytest.mark.parametrize(("name", "start"), [("WireMock", peers.wiremock), ("mountebank", peers.mountebank)])
def test_a_peer_that_is_installed_answers_what_it_was_taught(name: str, start: Any, tmp_path: Path) -> None:
    if peers.lacking(name):
        with pytest.raises((RuntimeError, OSError)), start(tmp_path):
            pass
        return
    with start(tmp_path) as peer:
        peer.teach(STUBS)
        with closing(http.client.HTTPConnection("127.0.0.1", peer.server.port, timeout=20)) as client:
            for stub in STUBS:
                client.request(stub.method, stub.path, stub.sent or None)
                assert client.getresponse().read().decode() == stub.reply
            client.request("POST", "/b", '{"x": [1, 2]}', {"Content-Type": "application/json"})
            assert client.getresponse().read().decode() != "a b"


def test_the_packages_are_pinned_and_their_list_names_no_place() -> None:
    wanted = json.loads(packages.WANTED.read_text())
    assert set(wanted["dependencies"]) == {"autocannon", "mountebank", "wiremock"}
    assert all(part.isdigit() for pin in wanted["dependencies"].values() for part in pin.split("."))
    assert "://" not in packages.WANTED.read_text()


def test_without_npm_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "FOLDER", tmp_path / "none")
    monkeypatch.setenv("PATH", "")
    assert len(packages.missing()) == 3
    assert packages.install() == 0
    assert not (tmp_path / "none").exists()
    assert (packages.folder("wiremock"), packages.version("wiremock")) == (None, "")


# --- ends ---------------------------------------------------------------------------------------------


def beneath(folder: Path) -> set[int]:
    """Processes that were started with something in this folder."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{folder}/".encode() in (each / "cmdline").read_bytes():
                found.add(int(each.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_run_that_is_told_to_end_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--only", "rates", "--quick", "--seconds", "30"]
    command += ["--without", peers.WIREMOCK, peers.MOUNTEBANK]  # which take seconds to start
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as run_:
        try:
            deadline = time.monotonic() + 120
            while not served(tmp_path):
                assert run_.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            run_.terminate()
            assert run_.wait(60) == 128 + signal.SIGTERM
            assert beneath(tmp_path) == set()
            assert list(tmp_path.iterdir()) == []
        finally:
            run_.kill()
            for left in beneath(tmp_path):
                os.kill(left, signal.SIGKILL)


def served(folder: Path) -> list[Path]:
    """Daemons' control sockets: those are ready."""
    return list(folder.glob("*/*/.svcmock/control.sock"))


# --- stages -------------------------------------------------------------------------------------------


def test_stages_are_measured_and_compared(clean_logging: None) -> None:
    found = stages.measure(1)
    assert all(stage.least > 0 for stage in found.values())
    assert {"hit, the same bytes again", "miss, beyond those explained", "  of a hit: key"} <= set(found)
    header, *lines = stages.compared(found, None).splitlines()
    assert "ratio" not in header
    assert len(lines) == len(found)


def test_the_fastest_of_several_runs_counts_and_ratios_are_of_now_to_before() -> None:
    now = stages.merged([{"a": stages.Measured(100, 0.5)}, {"a": stages.Measured(150, 0.1)}])
    assert now == {"a": stages.Measured(100, 0.25)}
    told = stages.compared(now, {"a": stages.Measured(80, 0.0)}).splitlines()[1]
    assert told.split() == ["a", "100", "25.0%", "80", "0.0%", "1.25"]


def test_another_checkout_is_measured_in_its_own_process(tmp_path: Path) -> None:
    """Its own svcmock, not this one: a checkout that has none of its own code fails."""
    for name in ("svcmock", "protocols"):
        (tmp_path / name).mkdir()
    (tmp_path / "svcmock" / "__init__.py").write_text("raise ImportError('the other checkout')\n")
    with pytest.raises(RuntimeError, match="the other checkout"):
        stages.in_tree(tmp_path, 1)


def test_projects_are_what_the_daemon_can_read(tmp_path: Path) -> None:
    project = projects.write_routes(tmp_path / "p", [projects.answering("/a", projects.SHORT)])
    done = servers.svcmock("check", str(project), folder=tmp_path)
    assert (done.returncode, "1 route in 1 service: 0 errors" in done.stdout) == (0, True)
