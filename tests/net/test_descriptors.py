"""How many descriptors clients may have: told from the limit and from the number given out last."""

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from svcmock.net.descriptors import RESERVE, any_for_clients, for_clients, open_body


@pytest.fixture
def limit() -> Iterator[int]:
    """The limit of this process, which is set back afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_reserve_is_kept_and_it_is_smaller_where_there_are_few(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limit))
    assert for_clients() == 1000 - RESERVE
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, limit))
    assert for_clients() == 30


def test_there_are_none_when_the_reserve_is_reached_and_again_when_some_are_closed(limit: int) -> None:
    known, other = os.pipe()
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (known + 200, limit))
        while any_for_clients(known):
            taken.append(os.dup(known))
        assert taken[-1] == for_clients() - 1
        assert any_for_clients(known) is False
        os.close(taken.pop())
        assert any_for_clients(known)
        resource.setrlimit(resource.RLIMIT_NOFILE, (known + 1, limit))
        assert any_for_clients(known) is False
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for one in (known, other, *taken):
            os.close(one)


def test_files_for_clients_leave_half_of_the_reserve(limit: int, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"body")
    taken = [open_body(str(body))]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 200, limit))
        with pytest.raises(OSError) as caught:
            taken.extend(open_body(str(body)) for _ in range(200))
        assert caught.value.errno == errno.EMFILE
        assert os.pread(taken[-1], 10, 0) == b"body"
        free = [os.dup(taken[0]) for _ in range(RESERVE // 2)]
        taken += free
        assert max(taken) == resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        for one in taken:
            os.close(one)
