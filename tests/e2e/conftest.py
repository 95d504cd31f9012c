"""What end-to-end tests share: the command line of svcmock, with everything it starts ended after the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Svcmock


@pytest.fixture
def svcmock(tmp_path: Path) -> Iterator[Svcmock]:
    """Runs svcmock commands below `tmp_path`; a project of the name you like may be made there."""
    cli = Svcmock(tmp_path)
    yield cli
    cli.close()
