"""The files that a route file refers to: found inside the project, and nowhere else."""

import hashlib
import re
from pathlib import Path

from svcmock.config import confined
from svcmock.protocol import Blob, Invalid

_BODY = re.compile(r"bodies/[0-9a-f]{64}")


class ProjectFiles:
    """Resolves what the route file `file` refers to: relative to its folder, inside the project."""

    def __init__(self, root: Path, file: str) -> None:
        self._root = root
        self._folder = Path(file).parent

    def __call__(self, name: str) -> Blob:
        path = confined(self._root, str(self._folder / name))
        try:
            if not path.is_file():
                raise Invalid((), f"there is no file `{self._folder / name}`")
            size = path.stat().st_size
            return Blob(str(path), size, 0, "" if _BODY.fullmatch(name) else _sha256(path))
        except OSError as error:
            raise Invalid((), f"`{self._folder / name}` cannot be read: {error.strerror}") from None

    def read(self, blob: Blob) -> bytes:
        try:
            with Path(blob.path).open("rb") as file:
                file.seek(blob.offset)
                data = file.read(blob.size)
        except OSError as error:
            raise Invalid((), f"`{blob.path}` cannot be read: {error.strerror}") from None
        if len(data) != blob.size:
            raise Invalid((), f"`{blob.path}` is shorter than it was")
        return data


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
