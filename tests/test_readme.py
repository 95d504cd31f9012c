"""Every example of README.md does what README.md says: its files are loaded, its commands run, output compared.

In an expected output `...` stands for any text, and a line that is nothing else for any lines. Ports are
replaced by free ones. `curl`, `psql` and `redis-cli` are played by clients of the test: nobody needs them.
"""

import argparse
import json
import re
import shlex
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import httpx
import psycopg
import pytest
import redis

from svcmock.yamlin import read_yaml
from tests.e2e.processes import Recorder, Svcmock
from tests.e2e.projects import connect

README = Path(__file__).resolve().parent.parent / "README.md"
USERS = [{"id": 42, "name": "Ann"}, {"id": 43, "name": "Bob"}]
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [(name, text) for kind, name, text in BLOCK.findall(README.read_text()) if kind == language]


def matches(expected: str, got: str) -> bool:
    """Whether `got` is what `expected` says, where it says it."""
    lines = [re.escape(line).replace(r"\.\.\.", ".*") for line in expected.splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*" else f"{line}\n" for line in lines)
    return re.fullmatch(pattern, got if got.endswith("\n") or not got else got + "\n") is not None


@pytest.mark.parametrize(
    ("expected", "got", "is_match"),
    [
        ("a\n", "a", True),
        ("a\n", "b", False),
        ("a ... c\n", "a b c", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a", False),
    ],
)
def test_the_comparison_of_outputs(expected: str, got: str, is_match: bool) -> None:
    assert matches(expected, got) is is_match


# --- the real service and the client ------------------------------------------------------------------


class Users(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        value = USERS if self.path == "/users" else USERS[0]
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Users)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def curl(argv: list[str]) -> str:
    """What `curl` prints for the few options that README.md uses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("--json")
    parser.add_argument("url")
    asked = parser.parse_args(argv)
    headers = {"Accept": "*/*", "User-Agent": "curl/8.9.1"}
    if asked.json is not None:
        headers |= {"Accept": "application/json", "Content-Type": "application/json"}
    headers |= dict(line.split(": ", 1) for line in asked.H)
    with httpx.Client(trust_env=False, timeout=20) as client:
        method = "GET" if asked.json is None else "POST"
        return client.request(method, asked.url, headers=headers, content=asked.json).text


def psql(argv: list[str]) -> str:
    """What `psql -At` prints for a statement."""
    flags, option, statement, url = argv
    assert (flags, option) == ("-At", "-c")
    with psycopg.connect(url, connect_timeout=20) as connection:
        return "".join("|".join(map(str, row)) + "\n" for row in connection.execute(statement))


def redis_cli(argv: list[str]) -> str:
    """What `redis-cli` prints for a reply that is text, or an error."""
    option, port, *command = argv
    assert option == "-p"
    with redis.Redis(port=int(port), decode_responses=True, socket_timeout=20) as client:
        try:
            return f"{client.execute_command(*command)}\n"
        except redis.ResponseError as error:
            return f"ERR {error}\n"  # which redis-py takes away


PLAYED = {"curl": curl, "psql": psql, "redis-cli": redis_cli}
"""Clients of which it is not sure that they are installed where the tests run."""


class Terminal:
    """Runs the commands of console blocks in one folder."""

    def __init__(self, svcmock: Svcmock, folder: Path, ports: dict[str, str]) -> None:
        self._svcmock = svcmock
        self._folder = folder
        self._ports = ports
        self._recorder: Recorder | None = None

    def run(self, console: str) -> None:
        for part in re.split(r"^\$ ", self.real(console), flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            got = self._output(command)
            # a blank line before the next command or the block's end is part of the output
            assert matches(expected, got), f"$ {command}\n--- README.md says\n{expected}\n--- it is\n{got}"

    def real(self, text: str) -> str:
        for told, port in self._ports.items():
            text = re.sub(rf"\b{told}\b", port, text)
        return text

    def _output(self, command: str) -> str:
        if command == "^C":
            assert self._recorder is not None
            process = self._recorder.process
            before = len(process.output)
            self._recorder.stop()
            return process.output[before:]
        name, *argv = shlex.split(command)
        if name in PLAYED:
            return PLAYED[name](argv)
        assert name == "svcmock", command
        if argv[0] == "record":
            process = self._svcmock.start(*argv)
            self._recorder = Recorder(process, ["catalog"])
            return process.output
        done = self._svcmock.run(*argv)
        return done.stdout + done.stderr


@pytest.fixture
def svcmock(tmp_path: Path) -> Iterator[Svcmock]:
    cli = Svcmock(tmp_path)
    yield cli
    for project in tmp_path.glob("*/svcmock.yaml"):
        cli.run("down", project.parent, code=None)
    cli.close()


# --- the examples -------------------------------------------------------------------------------------


def part(first: str, last: str) -> list[str]:
    """The console blocks between two headings."""
    text = README.read_text()
    section = text[text.index(f"\n{first}\n") : text.index(f"\n{last}\n")]
    return [found for kind, _, found in BLOCK.findall(section) if kind == "console"]


def test_the_main_job(
    svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int], upstream: ThreadingHTTPServer
) -> None:
    port = str(free_port())
    while len(port) != 5:  # what `svcmock status` aligns depends on it
        port = str(free_port())
    terminal = Terminal(svcmock, tmp_path, {"8081": port, "8000": str(upstream.server_port)})
    recording, rest = (
        part("## The main job", "## Routes by hand")[:3],
        part("## The main job", "## Routes by hand")[3:],
    )
    for console in recording:
        terminal.run(console)
    upstream.shutdown()
    upstream.server_close()
    for console in rest:
        terminal.run(console.replace("service  address         protocol", "service  address          protocol"))


def test_the_main_job_in_short_is_the_one_that_was_run() -> None:
    ((_, short),) = blocks("sh")
    commands = [command.strip() for line in short.splitlines() for command in line.split("#")[0].split(";")]
    ran = "".join(part("## The main job", "## Routes by hand"))
    assert len(commands) == 6
    assert [command for command in commands if f"$ {command}\n" not in ran] == []


def test_what_a_recording_looks_like(svcmock: Svcmock, tmp_path: Path, upstream: ThreadingHTTPServer) -> None:
    """The example differs from a real one only by what differs each time, and by headers left out."""
    (shown,) = [text for name, text in blocks("yaml") if name == "recorded"]
    recorder = svcmock.record(tmp_path / "shop", {"catalog": f"http://127.0.0.1:{upstream.server_port}"})
    url = recorder.urls["catalog"] + "/users"
    curl(["-H", "Authorization: Bearer s3cr3t-k3y", url])
    recorder.stop()
    (path,) = (tmp_path / "shop" / "recordings").rglob("*.yaml")
    ((expected,), (real,)) = (read_yaml(text, "x.yaml")[0] for text in (shown, path.read_text()))
    assert shown.endswith("\n...\n")
    assert "s3cr3t" not in path.read_text()

    def names(headers: list[list[str]]) -> list[str]:
        return [name for name, _ in headers]

    for half in ("request", "respond"):
        want, got = expected.value[half], real.value[half]
        assert {name: value for name, value in want.items() if name != "headers"} == {
            name: value for name, value in got.items() if name != "headers"
        }
        assert set(names(want["headers"])) <= set(names(got["headers"]))
    assert want["headers"][-1] in got["headers"], "the length of the body"
    assert expected.value["recorded"].keys() == real.value["recorded"].keys()


def test_routes_by_hand(svcmock: Svcmock, tmp_path: Path, free_port: Callable[[], int]) -> None:
    terminal = Terminal(svcmock, tmp_path, {str(port): str(free_port()) for port in range(8082, 8087)})
    written = 0
    for name, text in (*blocks("yaml"), *blocks("text")):
        if name.startswith(("hand/", "calls/", "data/")):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(terminal.real(text))
            written += 1
    assert written == 12
    svcmock.run("up", tmp_path / "hand", "-d")
    for console in part("## Routes by hand", "## Commands"):
        terminal.run(console)
    with grpc.insecure_channel(svcmock.up(tmp_path / "calls").addresses["catalog"]) as channel:
        stub = channel.unary_stream("/shop.Catalog/Watch")
        first, second = stub(b"\x08\x2a", timeout=30)
    assert first == b"\x08\x2a\x19" + struct.pack("<d", 3.5)
    assert second == b"\x08\x2a\x19" + struct.pack("<d", 3.25)
    db = f"postgresql://shop@127.0.0.1:{terminal.real('8084')}/shop"
    with psycopg.connect(db, connect_timeout=20) as connection:
        assert connection.execute("SELECT id, name FROM users WHERE id = %s", (42,)).fetchall() == [(42, "Ann")]
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (42, "Eve"))
    with redis.Redis(port=int(terminal.real("8085")), socket_timeout=20) as client:
        assert client.set("session:7", "x") is True
    with connect(int(terminal.real("8086"))) as till:
        till.sendall(b"PRICE tea\n")
        assert till.recv(100) == b"3.50\n"


def test_every_block_is_run_by_some_test() -> None:
    named = {(kind, name) for kind, name, _ in BLOCK.findall(README.read_text()) if kind != "console"}
    assert {(kind, name.partition("/")[0]) for kind, name in named} == {
        ("sh", ""),
        ("yaml", "recorded"),
        ("yaml", "hand"),
        ("text", "hand"),
        ("yaml", "calls"),
        ("text", "calls"),
        ("yaml", "data"),
    }
    assert len(blocks("console")) == len(part("## The main job", "## Commands"))


def test_every_command_of_the_table_is_there(svcmock: Svcmock) -> None:
    text = README.read_text()
    section = text[text.index("## Commands") : text.index("## What is supported")]
    told = set(re.findall(r"`svcmock (\w+)", section)) | {"logs", "reload", "down"}
    (listed,) = re.findall(r"^  COMMAND\n((?:    .*\n)+)", svcmock.run("--help").stdout, re.MULTILINE)
    assert told == set(re.findall(r"^    (\w+)", listed, re.MULTILINE))


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", README.read_text())
    assert len(targets) > 5
    assert [target for target in targets if not (README.parent / target).exists()] == []
