"""The commands that read a project: serve it, check it, tell its variables, run a command against it."""

import asyncio
import contextlib
import os
import resource
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from svcmock import log
from svcmock.commands import CANNOT_START, NOT_RUNNING, OK, PROBLEMS
from svcmock.commands.ask import client, find, here, stop
from svcmock.commands.output import complain, counted, print_json, table
from svcmock.config import load_graph
from svcmock.daemon import Daemon, StartError
from svcmock.model import FILE, Graph, Tcp
from svcmock.process import LogTo
from svcmock.project import load
from svcmock.protocol import Plugin
from svcmock.registry import installed
from svcmock.running import PRIVATE, AlreadyRunning, Lock, NotRunning, private_folder, running

MAX_FILES = 65536
"""Open files that a daemon asks for."""


def known_protocols() -> Mapping[str, Plugin]:
    """The installed protocols; what keeps one from loading is said."""
    return installed(complain)


# --- up -----------------------------------------------------------------------------------------------


def up(root: Path, *, background: bool, workers: int, as_json: bool, style: str, level: str) -> int:
    """Serve in the foreground, or start a daemon and return when every port listens."""
    if not (root / FILE).exists():
        complain(f"there is no {FILE} in {root}; to make one: svcmock record --out DIR NAME:PORT=URL")
        return PROBLEMS
    try:
        lock = Lock(root)
    except AlreadyRunning as error:
        complain(str(error))
        return NOT_RUNNING
    if not background:
        log_to = LogTo(cast("log.Format", style), cast("log.Level", level))
        return _serve(root, lock, log_to, workers, lambda result: _tell_start(result, as_json=as_json))
    return _start_daemon(root, lock, workers, style, level, as_json=as_json)


def _start_daemon(root: Path, lock: Lock, workers: int, style: str, level: str, *, as_json: bool) -> int:
    """Fork, so that the daemon inherits the lock and the modules that are loaded already."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        os.close(reader)
        code = CANNOT_START
        try:
            code = _become_daemon(root, lock, workers, writer, style, level)
        except BaseException:  # noqa: BLE001  nothing else would tell of it; standard error is the log now
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        text = told.read()
    if not text:
        complain(f"the daemon ended before it was ready; see {root / PRIVATE / 'daemon.log'}")
        return CANNOT_START
    return _tell_start(msgspec.json.decode(text), as_json=as_json)


def _become_daemon(root: Path, lock: Lock, workers: int, writer: int, style: str, level: str) -> int:
    os.setsid()
    path = private_folder(root) / "daemon.log"
    null = os.open(os.devnull, os.O_RDWR)
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for handle, onto in ((null, 0), (output, 1), (output, 2)):
        os.dup2(handle, onto)
    style = "text" if style == "auto" else style
    log_to = LogTo(cast("log.Format", style), cast("log.Level", level), path)

    def tell(result: dict[str, object]) -> int:
        os.write(writer, msgspec.json.encode(result))
        os.close(writer)
        return OK if "services" in result else CANNOT_START

    return _serve(root, lock, log_to, workers, tell)


def _serve(
    root: Path, lock: Lock, log_to: LogTo, workers: int, tell: Callable[[dict[str, object]], int]
) -> int:
    sink = log.configure(log_to.style, log_to.level, log_to.file)
    plugins = known_protocols()

    lock.claim()
    _allow_many_connections()

    async def serve() -> int:
        daemon = Daemon(root, plugins, lock, sink, workers=workers, log_to=log_to)
        try:
            addresses = await daemon.start()
        except StartError as error:
            return tell({"reasons": error.reasons, "files": error.files})
        warnings = [str(problem) for problem in daemon.problems]
        tell({"services": addresses, "pid": os.getpid(), "project": str(root), "problems": warnings})
        await daemon.run()
        return OK

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve())
    finally:
        lock.release()


def _allow_many_connections() -> None:
    """As many files as this user may have: the usual 1024 are fewer than a service's limit of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell_start(result: Mapping[str, object], *, as_json: bool) -> int:
    if as_json:
        print_json(result)
    services = result.get("services")
    if not isinstance(services, dict):
        reasons = result.get("reasons")
        if not as_json:
            complain(*(str(reason) for reason in (reasons if isinstance(reasons, list) else [])))
        return PROBLEMS if result.get("files") else CANNOT_START
    if not as_json:
        problems = result.get("problems")
        complain(*(problems if isinstance(problems, list) else []))
        table(("service", "address"), services.items())
        print(f"serving {result['project']} (pid {result['pid']})", flush=True)
    return OK


# --- run and env --------------------------------------------------------------------------------------


def variables(graph: Graph, addresses: Mapping[str, str], plugins: Mapping[str, Plugin]) -> dict[str, str]:
    """What points an application at the mock: NAME_URL, NAME_HOST and NAME_PORT of every service."""
    found: dict[str, str] = {}
    trust = False
    for name, address in addresses.items():
        service = graph.services[name]
        prefix = "".join(char if char.isalnum() else "_" for char in name).upper()
        if address.startswith("unix:"):
            found[f"{prefix}_SOCKET"] = address.removeprefix("unix:")
            continue
        plugin = plugins[service.protocol]
        secure = service.tls is not None
        trust = trust or (service.tls is not None and service.tls.auto)
        # one without a scheme of its own for TLS starts it in the connection
        suits = [s for s in plugin.schemes if (s in plugin.tls_schemes) is secure] or list(plugin.schemes)
        host, _, port = address.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  what to connect to
        found |= {
            f"{prefix}_URL": f"{suits[0]}://{host}:{port}",
            f"{prefix}_HOST": host.strip("[]"),
            f"{prefix}_PORT": port,
        }
    if trust:
        from svcmock.net.ca import load_or_create_ca
        from svcmock.net.trust import trust_environment

        found |= trust_environment(load_or_create_ca(Path(graph.root) / PRIVATE / "ca"))
    return found


def env(project: Path | None, *, as_json: bool) -> int:
    """Print the variables, with the real ports where a daemon runs."""
    plugins = known_protocols()
    try:
        daemon = find(project)
    except NotRunning:
        root = (project or Path()).resolve()
        addresses = None
        if project is None and not (root / FILE).exists():
            raise
    else:
        root = Path(daemon.root)
        services = client(daemon).call("GET", "/status")["services"]
        addresses = {name: service["address"] for name, service in services.items()}
    loaded = load(root, plugins)
    if loaded.graph is None:
        complain(*(str(problem) for problem in loaded.problems))
        return PROBLEMS
    if addresses is None:
        open_ports = [
            s.name for s in loaded.graph.services.values() if isinstance(s.listen, Tcp) and not s.listen.port
        ]
        if open_ports:
            complain(f"the ports of {', '.join(open_ports)} are known only while they are served")
            return NOT_RUNNING
        addresses = {name: str(service.listen) for name, service in loaded.graph.services.items()}
    found = variables(loaded.graph, addresses, plugins)
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            print(f"export {name}={shlex.quote(value)}")
    return OK


def run(root: Path, argv: list[str], style: str, level: str) -> int:
    """Serve while a command runs; gives the command's exit code, 128 + n where signal n ended it."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # not to leave the daemon behind
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    daemon = running(root)
    ours = daemon is None
    try:
        if daemon is None:
            options = ["--log-format", style, "--log-level", level]
            command = [sys.executable, "-m", "svcmock", "up", str(root), "-d", *options]
            code = subprocess.run(command, stdout=sys.stderr, check=False).returncode  # noqa: S603  ourselves
            if code:
                ours = False
                return code
            daemon = running(root)
        if daemon is None:
            complain(f"the daemon has ended already; see {root / PRIVATE / 'daemon.log'}")
            return CANNOT_START
        plugins = known_protocols()
        services = client(daemon).call("GET", "/status")["services"]
        graph, problems = load_graph(root, plugins)
        if graph is None:
            complain(*map(str, problems))
            return PROBLEMS
        addresses = {name: service["address"] for name, service in services.items() if name in graph.services}
        return _child(argv, {**os.environ, **variables(graph, addresses, plugins)})
    finally:
        daemon = daemon or running(root)
        if ours and daemon is not None:
            stop(daemon)


def _child(argv: list[str], environment: Mapping[str, str]) -> int:
    try:
        child = subprocess.Popen(argv, env=environment)  # noqa: S603  what the user asked to run
    except OSError as error:
        complain(f"cannot run {argv[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    # Ctrl-C reaches the command by itself; it decides what it means, and we stop when it has
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, lambda number, _: child.send_signal(number))
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


# --- check and ca -------------------------------------------------------------------------------------


def check(project: Path | None, *, as_json: bool) -> int:
    """Report everything that is wrong with a project."""
    from svcmock.checks import cross_check

    root = here(project)
    loaded = load(root, known_protocols())
    problems = [*loaded.problems]
    if not loaded.errors:
        for responder in loaded.responders.values():
            problems += cross_check(root, responder)
    problems = list(dict.fromkeys(problems))  # services may share a route file
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        print_json({"ok": not errors, "problems": msgspec.to_builtins(problems)})
    else:
        for problem in problems:
            print(problem)
        routes = sum(responder.index.size for responder in loaded.responders.values())
        warnings = len(problems) - errors
        where = f"{counted(routes, 'route')} in {counted(len(loaded.responders), 'service')}"
        print(f"{where}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    return PROBLEMS if errors else OK


def ca(project: Path | None) -> int:
    """Print how to trust the project's certificate authority; makes it if it is not there."""
    from svcmock.net.ca import load_or_create_ca
    from svcmock.net.trust import trust_text

    root = here(project)
    if not (root / FILE).exists():
        complain(f"there is no {FILE} in {root}")
        return PROBLEMS
    print(trust_text(load_or_create_ca(private_folder(root) / "ca")))
    return OK
