"""What Node needs to speak gRPC, PostgreSQL and Redis in the tests: `make test` installs it by
`python -m tests.e2e.packages`.

Where that cannot be, the tests that need it are skipped and say why; with CI set, they fail.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import npm

HERE = Path(__file__).parent
PACKAGES = npm.Packages(HERE / "package.json", HERE / ".node")


def install() -> None:
    """Install what is missing, or say why it stays missing."""
    absent = PACKAGES.missing()
    if not absent:
        return
    why = "" if npm.is_here() else "npm is not here"
    if not why:
        try:
            code = PACKAGES.install()
            why = f"npm gave {code}" if code else ""
        except subprocess.TimeoutExpired:
            why = "npm took too long"
    if why:
        sys.stderr.write(f"{why}: the tests that need {', '.join(absent)} will be skipped\n")


def node() -> str:
    """The program; the test is skipped where it, or a package that it needs, is not here."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    return program


def node_with_packages() -> tuple[str, dict[str, str]]:
    """The program and the environment in which scripts find the packages; skips like `node`."""
    program = node()
    if absent := PACKAGES.missing():
        pytest.skip(
            f"{', '.join(absent)}: not installed, which `make test` does, or python -m tests.e2e.packages"
        )
    return program, {"NODE_PATH": str(PACKAGES.folder / "node_modules")}


if __name__ == "__main__":
    install()
