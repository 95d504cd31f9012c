"""pip downloads real wheels from pypiserver through the recorder, and again from the mock: the same files."""

import base64
import hashlib
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.processes import Svcmock

LARGE = 3 * 1024 * 1024
"""More than a body that is held in memory; random, so that the wheel is as large."""


def make_wheel(folder: Path, name: str, version: str, data: bytes) -> Path:
    """A wheel as PEP 427 has it, of one module and one data file."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": b"VALUE = 1\n",
        f"{name}/data.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}\n")
    record = f"{info}/RECORD"
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    make_wheel(folder, "smalla", "1.0", b"one")
    make_wheel(folder, "smalla", "1.1", b"two")
    make_wheel(folder, "smallb", "0.3", os.urandom(9000))
    make_wheel(folder, "large", "2.0", os.urandom(LARGE))
    return folder


def download(svcmock: Svcmock, url: str, into: Path) -> dict[str, str]:
    """What pip downloads from this index into an empty folder, with nothing in any cache."""
    done = svcmock.spawn(
        [
            *(sys.executable, "-m", "pip", "--isolated", "download", "--no-cache-dir", "--no-deps"),
            *("--disable-pip-version-check", "--index-url", f"{url}/simple/", "--dest", str(into)),
            *("smalla==1.0", "smallb", "large"),
        ]
    )
    assert done.wait() == 0, done.output
    return digests(into)


def test_a_recorded_index_serves_the_same_files(
    svcmock: Svcmock, tmp_path: Path, wheels: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    index = svcmock.spawn(
        [
            sys.executable,
            "-m",
            "pypiserver",
            "run",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
            "--disable-fallback",
            str(wheels),
        ]
    )
    index.listens(port)
    project = tmp_path / "project"
    recorder = svcmock.record(project, {"pypi": f"http://127.0.0.1:{port}"})
    recorded = download(svcmock, recorder.urls["pypi"], tmp_path / "first")
    index.stop()
    told = recorder.stop()["pypi"]
    assert recorded == {name: digest for name, digest in digests(wheels).items() if "1.1" not in name}
    assert told["accepted"] == told["recorded"] == 6, recorder.process.output

    mock = svcmock.up(project)
    assert download(svcmock, mock.urls["pypi"], tmp_path / "second") == recorded
    assert mock.status()["services"]["pypi"]["misses"] == 0
