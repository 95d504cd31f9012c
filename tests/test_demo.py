"""The demo that `make demo` shows is true, from its first line to its last."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).resolve().parent.parent / "configs" / "demo.py"


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DEMO],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_demo_shows_the_main_job(short_folder: Path) -> None:
    done = run(short_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert [step for step in range(1, 8) if f"\n{step}. " not in done.stdout] == []
    assert done.stdout.count("the recorded answer, byte for byte") == 4
    for told in (
        "connection refused",
        "Authorization, Bearer svcmock-",
        "json.count",
        "$ svcmock down shop\n    stopped",
    ):
        assert told in done.stdout
    assert list(short_folder.iterdir()) == []


@pytest.fixture
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("svcmock_demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_demo_that_is_not_true_says_so(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, short_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recorded answer of one request is edited behind its back."""
    monkeypatch.setenv("TMPDIR", str(short_folder))
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))
    show = demo.show_recording

    def edited(folder: Path) -> None:
        show(folder)
        (recording,) = (folder / "shop").rglob("recordings/**/*.yaml")
        recording.write_text(recording.read_text().replace("name: Cup", "name: Cap"))

    monkeypatch.setattr(demo, "show_recording", edited)
    assert demo.main() == 1
    assert "NOT AS TOLD: GET /products/2 was not answered as recorded" in capsys.readouterr().err
