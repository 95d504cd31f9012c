"""What route files refer to is found beside them, read in slices, and never outside of the project."""

from pathlib import Path

import pytest

from svcmock.files import ProjectFiles
from svcmock.protocol import Blob, Invalid


def test_files_are_found_beside_the_route_file_and_read_in_slices(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "b.bin").write_bytes(b"0123456789")
    files = ProjectFiles(tmp_path, "routes/shop.yaml")
    blob = files("b.bin")
    assert (blob.size, blob.sha256[:8]) == (10, "84d89877")
    assert files.read(Blob(blob.path, 3, 4)) == b"456"
    with pytest.raises(Invalid, match="shorter than it was"):
        files.read(Blob(blob.path, 30, 0))
    with pytest.raises(Invalid, match="cannot be read"):
        files.read(Blob(str(tmp_path / "none"), 1))


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "link"])
def test_files_outside_of_the_project_are_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "shop"
    (root / "routes").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (root / "routes" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match="outside of the project"):
        ProjectFiles(root, "routes/shop.yaml")(name)


@pytest.mark.parametrize(
    "name", ["../.svcmock/redaction.key", "x/../../.svcmock/ca/ca.key", "keys/redaction.key"]
)
def test_the_daemons_own_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "routes" / "x").mkdir(parents=True)
    (tmp_path / ".svcmock" / "ca").mkdir(parents=True)
    for key in ("redaction.key", "ca/ca.key"):
        (tmp_path / ".svcmock" / key).write_text("secret")
    (tmp_path / "routes" / "keys").symlink_to(tmp_path / ".svcmock")
    with pytest.raises(Invalid, match="daemon's own"):
        ProjectFiles(tmp_path, "routes/shop.yaml")(name)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be the name of a file"):
        ProjectFiles(tmp_path, "routes/shop.yaml")("\ud800")


def test_a_content_addressed_name_is_its_hash(tmp_path: Path) -> None:
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / ("a" * 64)).write_bytes(b"x")
    assert ProjectFiles(tmp_path, "shop.yaml")(f"bodies/{'a' * 64}").sha256 == ""
