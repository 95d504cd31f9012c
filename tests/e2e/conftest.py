"""What end-to-end tests share: the command line of svcmock, with all that it starts, and PostgreSQL."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.postgres_server import Postgres, postgres_server
from tests.e2e.processes import Svcmock


@pytest.fixture
def svcmock(tmp_path: Path) -> Iterator[Svcmock]:
    """Runs svcmock commands below `tmp_path`; a project of the name you like may be made there."""
    cli = Svcmock(tmp_path)
    yield cli
    cli.close()


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[Path | None], Postgres]]:
    """Gives a server by the folder of its programs, made when it is first asked for."""
    with ExitStack() as ending:

        @cache
        def of(programs: Path | None) -> Postgres:
            folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="sm-"))
            return ending.enter_context(postgres_server(Path(folder), programs))

        yield of


@pytest.fixture
def postgres(
    postgres_servers: Callable[[Path | None], Postgres], request: pytest.FixtureRequest
) -> Iterator[Postgres]:
    """A PostgreSQL that runs, with an empty database; of all versions where a test has the mark `VERSIONS`."""
    server = postgres_servers(getattr(request, "param", None))
    server.start()
    server.empty()
    yield server
    server.stop()
