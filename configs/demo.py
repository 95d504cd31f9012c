"""The main job, shown: record a real service, switch it off, serve the recording, explain a miss.

`make demo` runs it. It starts a small web shop, records what a client and the shop say to each other with the
real command line, stops the shop, and sends the same bytes again: the answers must be the recorded ones, byte
for byte. Everything happens in a temporary folder and on free ports of the loopback. Exits 1 as soon as
something is not as it is told here.
"""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PRODUCTS = [{"id": i, "name": name, "price": 3.5 * i} for i, name in enumerate(("Tea", "Cup", "Pot"), 1)]
SECRET = "sk-live-4f9b2c7d1e"  # noqa: S105  the demo shows that it is not written down
TIMEOUT = 20.0
"""Seconds that any one step may take."""


# --- the real service ---------------------------------------------------------------------------------


class Shop(BaseHTTPRequestHandler):
    """JSON, a compressed list, a stream, and an order that needs a key."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/products/2":
            self._reply(200, PRODUCTS[1])
        elif self.path == "/products":
            self._reply(200, PRODUCTS, compressed=True)
        elif self.path == "/events":
            self._stream()
        else:
            self._reply(404, {"error": "no such page"})

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {SECRET}":
            self._reply(401, {"error": "who are you?"})
        else:
            self._reply(201, {"order": 1001, **order})

    def _reply(self, status: int, value: object, *, compressed: bool = False) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if compressed:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(1, 4):
            data = f"data: event {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        """Say nothing: the demo tells its own story."""


@contextmanager
def real_shop() -> Iterator[int]:
    """The shop on a free port, until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- the client ---------------------------------------------------------------------------------------


def request(head: str, body: object = None) -> bytes:
    """A request's bytes. The same bytes go to the recorder and to the mock, whatever port they have."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{head} HTTP/1.1", "Host: shop.example", "Connection: close"]
    if data:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        lines.append(f"Authorization: Bearer {SECRET}")
    return "\r\n".join([*lines, "", ""]).encode() + data


CONVERSATION = {
    "GET /products/2": request("GET /products/2"),
    "GET /products  (gzip)": request("GET /products"),
    "GET /events  (a stream of three chunks)": request("GET /events"),
    "POST /orders  (with a secret key)": request("POST /orders", {"product": 2, "count": 6}),
}


def talk(port: int, data: bytes) -> bytes:
    """Send these bytes and give back every byte of the answer."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
        client.sendall(data)
        answer = []
        while piece := client.recv(65536):
            answer.append(piece)
    return b"".join(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


# --- the story ----------------------------------------------------------------------------------------


class Wrong(Exception):
    """Something is not as the demo tells it."""


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def show(text: str, most: int = 40) -> None:
    lines = text.rstrip().splitlines()
    for line in lines[:most]:
        print(f"    {line}")
    if len(lines) > most:
        print(f"    ... and {len(lines) - most} lines more")
    sys.stdout.flush()


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


class Commands:
    """Runs `svcmock` in `folder`, seeing only the daemons of this demo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        print(f"    $ svcmock {' '.join(arguments)}", flush=True)
        return subprocess.Popen(
            [sys.executable, "-m", "svcmock", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, most: int = 40) -> str:
        """Run one to its end and show what it says. Raises Wrong if it fails."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=TIMEOUT)
        show(output, most)
        check(process.returncode == 0, f"svcmock {arguments[0]} exited with {process.returncode}")
        return output


def record(commands: Commands, port: int) -> dict[str, bytes]:
    """Steps 1 to 3: the real answers, and a recording of them."""
    with real_shop() as real:
        say(f"1. A real service runs on port {real}. Between it and the application comes svcmock:")
        with commands.start("record", "--out", "shop", f"catalog:{port}=http://127.0.0.1:{real}") as recorder:
            try:
                wait_for_start(recorder)
                say("2. The application talks to svcmock's port, and gets the real answers:")
                answers = {}
                for name, data in CONVERSATION.items():
                    answers[name] = talk(port, data)
                    first = answers[name].splitlines()[0].decode()
                    show(f"{name}: {first}, {len(answers[name])} bytes")
                recorder.send_signal(signal.SIGINT)
                output, _ = recorder.communicate(timeout=TIMEOUT)
            finally:
                recorder.kill()
        show(output)
        check(recorder.returncode == 0, f"svcmock record exited with {recorder.returncode}")
    say("3. The real service is off now.")
    try:
        talk(real, CONVERSATION["GET /products/2"])
    except ConnectionRefusedError:
        show(f"port {real}: connection refused")
    else:
        raise Wrong("the real service still answers")
    return answers


def wait_for_start(recorder: subprocess.Popen[str]) -> None:
    """Show what it says until it listens."""
    assert recorder.stdout is not None
    for line in recorder.stdout:
        show(line)
        if line.startswith("Ctrl-C"):
            return
    raise Wrong("svcmock record ended before it listened")


def show_recording(folder: Path) -> None:
    say("4. What was recorded is a folder that a person can read and edit. The last exchange in it:")
    recordings = list((folder / "shop").rglob("recordings/**/*.yaml"))
    check(len(recordings) == 1, f"expected one recording, found {recordings}")
    text = recordings[0].read_text()
    last = text[text.rindex("recorded:") :]
    show(last)
    written = b"".join(path.read_bytes() for path in (folder / "shop").rglob("*") if path.is_file())
    check(SECRET.encode() not in written, "the secret key was written down")
    check("svcmock-" in last, "there is no token in place of the secret key")
    show("(The key that was sent is nowhere in the folder; a token stands in its place.)")


def serve(commands: Commands, port: int, answers: dict[str, bytes]) -> None:
    """Steps 5 to 7: the recording in the service's place."""
    say("5. The recording takes the service's place, in the background:")
    commands.run("up", "shop", "-d")
    try:
        for name, data in CONVERSATION.items():
            check(talk(port, data) == answers[name], f"{name} was not answered as recorded")
            show(f"{name}: the recorded answer, byte for byte")
        say("6. What was never recorded is not made up. The answer tells why, and so does `svcmock why`:")
        answer = talk(port, request("POST /orders", {"product": 2, "count": 7}))
        show(answer.decode(), most=3)
        check(answer.startswith(b"HTTP/1.1 501 "), "a request that was not recorded got an answer")
        why = commands.run("why", "--project", "shop", most=14)
        check("json.count" in why, "the miss was not explained")
        say("7. How it stands, and the end:")
        status = commands.run("status", "shop")
        check(status.split()[-2:] == ["4", "1"], "expected four hits and one miss")
    finally:
        commands.run("down", "shop")


def main() -> int:
    """Tell the story; 0 if all of it was true."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="svcmock-demo-") as name:
        folder = Path(name)
        commands = Commands(folder)
        port = free_port()
        try:
            answers = record(commands, port)
            show_recording(folder)
            serve(commands, port, answers)
        except (Wrong, OSError, subprocess.TimeoutExpired) as error:
            print(f"\nNOT AS TOLD: {error}", file=sys.stderr)
            return 1
    took = time.monotonic() - begun
    say(f"All of it was true, in {took:.1f} s. Next: README.md, and configs/ for projects to copy.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
