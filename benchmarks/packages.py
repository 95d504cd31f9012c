"""What `make bench` installs from the npm registry: the peers, and a load generator.

Without npm there is nothing to do, and the benchmark says who it left out.
"""

import sys
from pathlib import Path

from benchmarks import npm
from benchmarks.report import warn

WANTED = Path(__file__).with_name("package.json")
FOLDER = Path(__file__).with_name(".peers")


def folder(name: str) -> Path | None:
    """Where a package is installed; None where it is not."""
    return _packages().at(name)


def version(name: str) -> str:
    """Of an installed package."""
    return _packages().version(name)


def missing() -> list[str]:
    """The packages that are not installed in the version that is wanted."""
    return _packages().missing()


def install() -> int:
    """Install what is missing; the exit code of npm, 0 where there is none."""
    absent = missing()
    if absent and not npm.is_here():
        warn(f"npm is not here: the benchmark runs without {', '.join(absent)}")
        return 0
    return _packages().install()


def _packages() -> npm.Packages:
    return npm.Packages(WANTED, FOLDER)


if __name__ == "__main__":
    sys.exit(install())
