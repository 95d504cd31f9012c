"""The command line. Parses and calls; the commands are in `svcmock.commands`, imported when they are run."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from svcmock import __version__
from svcmock.commands import NOT_RUNNING, OK, PROBLEMS, USAGE

MAX_WORKERS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit code."""
    arguments = _parser().parse_args(argv)
    from svcmock.protocol import SvcmockError
    from svcmock.running import NotRunning

    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except SvcmockError as error:
        print(f"svcmock: {error}", file=sys.stderr)
        return NOT_RUNNING if isinstance(error, NotRunning) else PROBLEMS
    except BrokenPipeError:
        # whoever read our output has enough; Python would complain once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="svcmock", description="Record the services an application talks to, then be them."
    )
    parser.add_argument("--version", action="version", version=f"svcmock {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(command=act)
        return made

    record = command("record", _record, "Relay to the real services and write down what is said.")
    record.add_argument(
        "what", nargs="+", metavar="PROJECT | NAME:PORT=URL", help="a project, or services to record into --out"
    )
    record.add_argument("--out", type=Path, metavar="DIR", help="the project to write, made if need be")
    record.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="record this service only (repeatable)"
    )
    _logging(record)

    up = command("up", _up, "Serve a project.")
    _project(up, "the project to serve")
    up.add_argument(
        "-d",
        "--daemon",
        action="store_true",
        help="return when every port listens, and serve on in the background",
    )
    up.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="serve with N processes that share the ports (default: 1; more than one on Linux only)",
    )
    _logging(up)
    _json(up)

    status = command("status", _status, "What is served, where, and how often it was asked.")
    _project(status)
    _json(status)

    logs = command("logs", _logs, "Print a daemon's log.")
    _project(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing")

    _project(reload := command("reload", _reload, "Read the project's files again."))
    _json(reload)
    _project(down := command("down", _down, "End a daemon."))
    _json(down)

    check = command("check", _check, "Report every problem in a project's files.")
    _project(check)
    _json(check)

    why = command(
        "why", _why, "Explain a miss: what came nearest, field by field, and the edit that would match."
    )
    why.add_argument("id", nargs="?", help="the miss, like m-8; without it, the last one")
    why.add_argument("-p", "--project", type=Path, help="the project (default: the one that runs)")
    _json(why)

    infer = command(
        "infer", _infer, "Propose options under which a service's recordings mean more, and tell them again."
    )
    infer.add_argument("service", help="its name in svcmock.yaml")
    infer.add_argument("-p", "--project", type=Path, help="the project (default: here)")
    infer.add_argument("--write", type=int, metavar="N", help="tell the recordings again by proposal N")
    _json(infer)

    env = command("env", _env, "Print the variables that point an application at the mock ports.")
    _project(env)
    _json(env)

    run = command("run", _run, "Serve a project while a command runs, with those variables set.")
    run.add_argument("project", type=Path, help="the project to serve")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command and its arguments")
    _logging(run)

    _project(command("ca", _ca, "Print how to trust the project's certificate authority."))
    return parser


def _project(
    parser: argparse.ArgumentParser, about: str = "the project (default: here, or the one that runs)"
) -> None:
    parser.add_argument("project", type=Path, nargs="?", help=about)


def _workers(text: str) -> int:
    """A number of processes. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_WORKERS}, got `{text[:40]}`")
    return int(text)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-format", choices=["auto", "text", "json"], default="auto")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")


# --- commands -----------------------------------------------------------------------------------------


def _record(arguments: argparse.Namespace) -> int:
    from svcmock.commands import record

    specs = [what for what in arguments.what if "=" in what]
    folders = [what for what in arguments.what if "=" not in what]
    if (specs and (folders or arguments.out is None)) or (not specs and (len(folders) != 1 or arguments.out)):
        print(
            "svcmock: record takes a project, or --out DIR with services:\n"
            "  svcmock record shop/\n"
            "  svcmock record --out shop/ catalog:8081=http://127.0.0.1:8000",
            file=sys.stderr,
        )
        return USAGE
    root = (arguments.out or Path(folders[0])).resolve()
    return record.record(root, specs, frozenset(arguments.only), arguments.log_format, arguments.log_level)


def _up(arguments: argparse.Namespace) -> int:
    from svcmock.commands import serve

    root = (arguments.project or Path()).resolve()
    return serve.up(
        root,
        background=arguments.daemon,
        workers=arguments.workers,
        as_json=arguments.json,
        style=arguments.log_format,
        level=arguments.log_level,
    )


def _run(arguments: argparse.Namespace) -> int:
    from svcmock.commands import serve

    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        print("svcmock: run needs a command: svcmock run shop/ -- pytest", file=sys.stderr)
        return USAGE
    return serve.run(arguments.project.resolve(), argv, arguments.log_format, arguments.log_level)


def _check(arguments: argparse.Namespace) -> int:
    from svcmock.commands import serve

    return serve.check(arguments.project, as_json=arguments.json)


def _infer(arguments: argparse.Namespace) -> int:
    from svcmock.commands import infer

    root = (arguments.project or Path()).resolve()
    return infer.infer(root, arguments.service, arguments.write, as_json=arguments.json)


def _env(arguments: argparse.Namespace) -> int:
    from svcmock.commands import serve

    return serve.env(arguments.project, as_json=arguments.json)


def _ca(arguments: argparse.Namespace) -> int:
    from svcmock.commands import serve

    return serve.ca(arguments.project)


def _status(arguments: argparse.Namespace) -> int:
    from svcmock.commands import ask

    return ask.status(arguments.project, as_json=arguments.json)


def _logs(arguments: argparse.Namespace) -> int:
    from svcmock.commands import ask

    return ask.logs(arguments.project, follow=arguments.follow)


def _reload(arguments: argparse.Namespace) -> int:
    from svcmock.commands import ask

    return ask.reload(arguments.project, as_json=arguments.json)


def _down(arguments: argparse.Namespace) -> int:
    from svcmock.commands import ask

    return ask.down(arguments.project, as_json=arguments.json)


def _why(arguments: argparse.Namespace) -> int:
    from svcmock.commands import ask

    return ask.why(arguments.project, arguments.id, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
