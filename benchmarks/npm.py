"""Packages of the npm registry that are used beside svcmock: by benchmarks, and by tests.

A `package.json` pins them; they go into a folder that git ignores. Nothing but their files is taken: no install
script is run.
"""

import json
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

INSTALL_SECONDS = 600.0


class Packages(Struct, frozen=True):
    """What the file `wanted` pins, installed below `folder`."""

    wanted: Path
    folder: Path

    def at(self, name: str) -> Path | None:
        """Where a package is installed; None where it is not."""
        found = self.folder / "node_modules" / name
        return found if (found / "package.json").is_file() else None

    def version(self, name: str) -> str:
        """Of an installed package."""
        found = self.at(name)
        return str(json.loads((found / "package.json").read_text())["version"]) if found else ""

    def missing(self) -> list[str]:
        """The packages that are not installed in the version that is wanted."""
        pins: dict[str, str] = json.loads(self.wanted.read_text())["dependencies"]
        return [name for name, pinned in pins.items() if self.version(name) != pinned]

    def install(self) -> int:
        """Install what is missing; the exit code of npm. Needs npm."""
        if not self.missing():
            return 0
        self.folder.mkdir(exist_ok=True)
        shutil.copyfile(self.wanted, self.folder / "package.json")
        command = [
            "npm",
            "install",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
        ]
        return subprocess.run(command, cwd=self.folder, timeout=INSTALL_SECONDS, check=False).returncode


def is_here() -> bool:
    """Whether there is an npm."""
    return shutil.which("npm") is not None
