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


def test_a_content_addressed_name_is_its_hash(tmp_path: Path) -> None:
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / ("a" * 64)).write_bytes(b"x")
    assert ProjectFiles(tmp_path, "shop.yaml")(f"bodies/{'a' * 64}").sha256 == ""
