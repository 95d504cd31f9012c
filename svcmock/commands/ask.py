"""The commands that ask a running daemon."""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from svcmock.commands import NOT_RUNNING, OK, PROBLEMS
from svcmock.commands.output import complain, counted, print_json, table
from svcmock.control import AdminClient, AdminError, read_token
from svcmock.model import FILE, Address, Tcp, Unix
from svcmock.protocol import Doc
from svcmock.running import PRIVATE, NotRunning, Running, all_running, running

STOP_SECONDS = 30.0
"""How long `svcmock down` waits for a daemon to drain."""
FOLLOW_SECONDS = 0.2
"""How often `svcmock logs -f` looks for more."""


def find(project: Path | None) -> Running:
    """The daemon of `project`; without one, of the project here, or the only one that runs."""
    root = (project or Path()).resolve()
    if project is not None or (root / FILE).exists():
        known = running(root)
        if known is None:
            raise NotRunning(f"no daemon serves {root}; `svcmock up {root} -d` starts one")
        return known
    every = all_running()
    if not every:
        raise NotRunning("no daemon is running; `svcmock up PROJECT -d` starts one")
    if len(every) > 1:
        roots = "\n  ".join(one.root for one in every)
        raise NotRunning(f"{len(every)} daemons are running, name the project of one:\n  {roots}")
    return every[0]


def here(project: Path | None) -> Path:
    """The folder of `project`; without one, this folder if it is a project, or that of the only daemon."""
    root = (project or Path()).resolve()
    if project is not None or (root / FILE).exists():
        return root
    every = all_running()
    return Path(every[0].root) if len(every) == 1 else root


def client(daemon: Running, timeout: float = 60.0) -> AdminClient:
    """A client for its control API."""
    token = None
    if daemon.token_file is not None:
        token = read_token(Path(daemon.root) / daemon.token_file)
    address: Address
    if daemon.admin.startswith("unix:"):
        address = Unix(daemon.admin.removeprefix("unix:"))
    else:
        host, _, port = daemon.admin.rpartition(":")
        address = Tcp(host.strip("[]"), int(port))
    return AdminClient(address, token, timeout)


def status(project: Path | None, *, as_json: bool) -> int:
    if project is None and not Path(FILE).exists():
        daemons = all_running()
        if not daemons:
            complain("no daemon is running")
            return NOT_RUNNING
    else:
        daemons = [find(project)]
    told = []
    for daemon in daemons:
        try:
            told.append({"pid": daemon.pid, **client(daemon).call("GET", "/status")})
        except AdminError as error:
            complain(f"{daemon.root} (pid {daemon.pid}): {error}")
    if not told:
        return NOT_RUNNING
    if as_json:
        print_json(told if len(told) > 1 else told[0])
        return OK
    for index, one in enumerate(told):
        print("\n" * bool(index), end="")
        _print_status(one)
    return OK


def _print_status(told: Mapping[str, Doc]) -> None:
    workers = [worker["pid"] for worker in told["workers"]]
    absent = told["absent"]
    of = f" of {len(workers) + absent}" if absent else ""
    several = f", {len(workers)}{of} workers" if workers != [told["pid"]] else ""
    print(
        f"{told['project']}  pid {told['pid']}{several}, up since {told['started']}, {told['resident_mib']} MiB"
    )
    rows = [
        (
            name,
            f"{service['address']}{' tls' if service['tls'] else ''}",
            service["protocol"],
            service["routes"],
            service["connections"],
            service["hits"],
            service["misses"],
        )
        for name, service in told["services"].items()
    ]
    table(("service", "address", "protocol", "routes", "connections", "hits", "misses"), rows)
    if absent:
        print("Some workers have ended and are not replaced yet, or do not answer. See `svcmock logs`.")
    if told["restarts"]:
        print(f"Workers that ended and were replaced: {told['restarts']}. See `svcmock logs`.")
    if told["refused"]:
        print("The files have errors; what was read before them is served:")
    for problem in told["problems"]:
        print(f"  {problem}")


def logs(project: Path | None, *, follow: bool) -> int:
    """Print the log file; it is there after the daemon's end too."""
    root = (project or Path()).resolve()
    if project is None and not (root / PRIVATE).exists():
        root = Path(find(None).root)
    path = root / PRIVATE / "daemon.log"
    if not path.exists():
        complain(f"there is no log yet: {path}")
        return NOT_RUNNING
    with contextlib.ExitStack() as files:
        file = files.enter_context(path.open(errors="replace"))
        while True:
            text = file.read(65536)
            if text:
                print(text, end="", flush=True)
            elif not follow:
                return OK
            elif _rotated(file, path):
                files.close()
                file = files.enter_context(path.open(errors="replace"))
            else:
                time.sleep(FOLLOW_SECONDS)


def _rotated(file: IO[str], path: Path) -> bool:
    """Whether another file has the log's name now, or this one was cut short."""
    try:
        there, here = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return False
    return not os.path.samestat(there, here) or here.st_size < file.tell()


def reload(project: Path | None, *, as_json: bool) -> int:
    told = client(find(project), 600.0).call("POST", "/reload")
    if as_json:
        print_json(told)
    else:
        for problem in told["problems"]:
            print(problem)
        print("reloaded" if told["ok"] else "not reloaded: the old routes go on serving")
    return OK if told["ok"] else PROBLEMS


def down(project: Path | None, *, as_json: bool) -> int:
    daemon = find(project)
    if not stop(daemon):
        complain(
            f"the daemon (pid {daemon.pid}) was told to stop and still runs; `kill -9 {daemon.pid}` ends it"
        )
        return PROBLEMS
    if as_json:
        print_json({"ok": True, "pid": daemon.pid, "project": daemon.root})
    else:
        print(f"stopped {daemon.root} (pid {daemon.pid})")
    return OK


def stop(daemon: Running) -> bool:
    """Tell a daemon to end, and wait until it has; whether it did. One that ends meanwhile is as good."""
    with contextlib.suppress(AdminError):
        client(daemon).call("POST", "/stop")
    deadline = time.monotonic() + STOP_SECONDS
    while running(Path(daemon.root)) == daemon:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def why(project: Path | None, ident: str | None, *, as_json: bool) -> int:
    told = client(find(project)).call("GET", "/why", {"id": ident} if ident else None)
    if as_json:
        print_json(told)
    else:
        _print_why(told)
    return OK


def _print_why(told: Mapping[str, Doc]) -> None:
    print(f"{told['miss']}  {told['service']}  {told['request']}  at {told['at']}")
    if told.get("answered_now"):
        print("It is answered now: the routes have changed since.")
    funnel = told.get("funnel", [])
    if funnel:
        steps = [counted(funnel[0]["in"], "route"), *(f"{step['stage']}: {step['out']}" for step in funnel)]
        print("  " + " > ".join(steps))
    for hint in told.get("hints", []):
        print(f"  hint: {hint}")
    for near in told.get("nearest", []):
        would = f", would answer {near['would_answer']}" if near.get("would_answer") else ""
        print(f"\n{near['route']}  ({near['passed']} of {near['of']} fields match{would})")
        for failed in near["failed"]:
            note = f"   ({failed['hint']})" if failed.get("hint") else ""
            print(f"  {failed['at']}: {failed['op']}{note}")
            print(f"    want  {_shown(failed.get('want'))}")
            print(f"    got   {_shown(failed.get('got'))}")
        if near.get("edit"):
            print("  to make it match:")
            from svcmock.yamlout import emit

            for line in emit(near["edit"]).splitlines():
                print(f"    {line}")


def _shown(value: Doc) -> str:
    return "nothing" if value is None else repr(value)
