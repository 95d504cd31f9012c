"""Whom a command asks, and how it reaches them."""

from pathlib import Path

import pytest

from svcmock.commands.ask import client, find, here, status
from svcmock.control import AdminError
from svcmock.running import Lock, NotRunning, Running


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.chdir(tmp_path)


def serving(root: Path) -> Lock:
    """A project with a daemon, as far as its files tell."""
    root.mkdir()
    (root / "svcmock.yaml").write_text("version: 1\nservices: {}\n")
    lock = Lock(root)
    lock.announce(Running(1, str(root), f"unix:{root}/.svcmock/none.sock"))
    return lock


def test_the_named_the_one_here_the_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with pytest.raises(NotRunning, match="no daemon is running; `svcmock up PROJECT -d` starts one"):
        find(None)
    first = serving(one)
    assert find(None).root == find(one).root == str(one)
    assert here(None) == one
    second = serving(two)
    with pytest.raises(
        NotRunning, match=rf"2 daemons are running, name the project of one:\n  {one}\n  {two}"
    ) as told:
        find(None)
    assert here(None) == tmp_path
    assert str(one) in str(told.value)
    monkeypatch.chdir(two)
    assert find(None).root == str(two)
    assert here(None) == two
    second.release()
    with pytest.raises(NotRunning, match=f"no daemon serves {two}; `svcmock up {two} -d` starts one"):
        find(None)
    first.release()


def test_a_daemon_that_does_not_answer_is_told_and_the_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = serving(tmp_path / "one")
    assert status(None, as_json=False) == 3
    assert f"{tmp_path}/one (pid 1): no daemon is running" in capsys.readouterr().err
    lock.release()


def test_a_token_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match="token: No such file or directory"):
        client(Running(1, str(tmp_path), "127.0.0.1:1", token_file="token"))
