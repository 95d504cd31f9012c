"""Unix sockets whose path is longer than the kernel takes.

Decides how a path beyond `sun_path` (108 bytes on Linux, 104 on macOS and the BSDs) is still reached: by way
of its folder's descriptor, `/proc/self/fd/N/name`. Projects lie deep in home and build folders; where there
is no /proc, the error says what is too long.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_PATH = 103
"""What every supported system takes, in bytes, without the closing NUL."""


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for `path` that `bind` and `connect` take, good inside the `with`. Raises OSError."""
    if len(os.fsencode(path)) <= MAX_PATH:
        yield str(path)
        return
    if not Path("/proc/self/fd").is_dir() or len(os.fsencode(path.name)) > MAX_PATH - 30:
        raise OSError(
            f"a unix socket's path has at most {MAX_PATH} bytes, this has {len(os.fsencode(path))}: {path}"
        )
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
