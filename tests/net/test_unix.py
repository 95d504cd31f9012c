import socket
from pathlib import Path

import pytest

from svcmock.net.unix import MAX_PATH, short_path


def test_a_short_path_is_itself() -> None:
    with short_path(Path("/run/x.sock")) as short:
        assert short == "/run/x.sock"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_socket_deep_in_the_tree_is_bound_and_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        with short_path(path) as short:
            assert len(short) <= MAX_PATH
            listener.bind(short)
        listener.listen()
        assert path.is_socket()
        with short_path(path) as short:
            client.connect(short)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_name_that_is_too_long_by_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="at most 103 bytes"), short_path(tmp_path / ("n" * 120)):
        pass


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), short_path(tmp_path / ("d" * 100) / "x.sock"):
        pass
