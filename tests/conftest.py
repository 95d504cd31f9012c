"""What every test may rely on: free ports, short folders, clean logging; and in CI, no test that is skipped."""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

pytest_plugins = ["pytester"]

# Processes of svcmock that tests start do without what only tools for development bring: see there.
INSTALLED = str(Path(__file__).parent / "installed")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [INSTALLED, os.environ.get("PYTHONPATH")]))
sys.path.insert(0, INSTALLED)  # which workers get handed on

# In CI the same examples every time: a change is not held up by what was wrong before it. At a desk, new ones.
settings.register_profile(
    "svcmock",
    max_examples=60,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
)
settings.load_profile("svcmock")


def _failed(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Under CI a test that is skipped has failed: nobody reads the list of what was not run."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"skipped, and CI is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _failed(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _failed(report)
    return report


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives TCP ports of the loopback that nothing listens on, each one once."""
    given: set[int] = set()

    def pick() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    return pick


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a unix socket, however deep pytest's own folders lie."""
    with tempfile.TemporaryDirectory(prefix="sm-") as folder:
        yield Path(folder)


@pytest.fixture
def clean_logging() -> Iterator[None]:
    """Undoes what a test configures about logging."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.raiseExceptions, sys.unraisablehook)
    yield
    root.handlers[:], level, logging.raiseExceptions, sys.unraisablehook = before
    root.setLevel(level)
    structlog.reset_defaults()
