"""What the command line takes, and that it loads nothing it does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from svcmock import __version__
from svcmock.cli import main


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["no-such-command"],
        ["record"],
        ["up", "a", "b"],
        ["up", "--log-level", "loud"],
        ["why", "m-1", "m-2"],
        ["logs", "--json"],
    ],
)
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: svcmock" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["record", "a:1=http://x"],
        ["record", "shop/", "a:1=http://x"],
        ["record", "--out", "shop/", "shop/"],
        ["record", "one/", "two/"],
    ],
)
def test_record_shows_how_it_is_called(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "svcmock record --out shop/ catalog:8081=http://127.0.0.1:8000" in capsys.readouterr().err


def test_a_service_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made of it."""
    assert main(["record", "--out", str(tmp_path / "shop"), "catalog=http://x"]) == 2
    assert "'catalog=http://x' is not NAME:PORT=URL" in capsys.readouterr().err
    assert not (tmp_path / "shop").exists()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"svcmock {__version__}\n"


@pytest.mark.parametrize(
    "command", ["record", "up", "status", "logs", "reload", "down", "check", "why", "env", "run", "ca"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: svcmock {command} " in capsys.readouterr().out


def test_asking_a_daemon_is_light() -> None:
    """`svcmock status` in a prompt or a loop must not pay for what only serving needs."""
    code = (
        "import sys; from svcmock.cli import main; main(['status']);"
        "print(*{'asyncio', 'uvloop', 'cryptography', 'yaml', 'structlog', 'watchfiles'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd="/")
    assert done.stdout == "\n", done.stderr
