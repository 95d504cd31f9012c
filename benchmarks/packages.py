"""What `make bench` installs from the npm registry: the peers, and a load generator.

`package.json` pins them; they go into a folder that git ignores. Nothing but their files is taken: no install
script is run. Without npm there is nothing to do, and the benchmark says who it left out.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.report import warn

WANTED = Path(__file__).with_name("package.json")
FOLDER = Path(__file__).with_name(".peers")
INSTALL_SECONDS = 600.0


def folder(name: str) -> Path | None:
    """Where a package is installed; None where it is not."""
    found = FOLDER / "node_modules" / name
    return found if (found / "package.json").is_file() else None


def version(name: str) -> str:
    """Of an installed package."""
    found = folder(name)
    return str(json.loads((found / "package.json").read_text())["version"]) if found else ""


def missing() -> list[str]:
    """The packages that are not installed in the version that is wanted."""
    wanted: dict[str, str] = json.loads(WANTED.read_text())["dependencies"]
    return [name for name, pinned in wanted.items() if version(name) != pinned]


def install() -> int:
    """Install what is missing; the exit code of npm, 0 where there is none."""
    if not missing():
        return 0
    if shutil.which("npm") is None:
        warn(f"npm is not here: the benchmark runs without {', '.join(missing())}")
        return 0
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(WANTED, FOLDER / "package.json")
    command = ["npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    return subprocess.run(command, cwd=FOLDER, timeout=INSTALL_SECONDS, check=False).returncode


if __name__ == "__main__":
    sys.exit(install())
