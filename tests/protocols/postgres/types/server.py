"""A connection to a real PostgreSQL that is there for one test file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.postgres_server import postgres_server


@contextmanager
def running() -> Iterator[psycopg.Connection[Any]]:
    """The server is new, and ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="sm-") as folder,
        postgres_server(Path(folder)) as server,
        psycopg.connect(
            host="127.0.0.1", port=server.port, user=server.user, dbname="postgres", autocommit=True,
            options="-c TimeZone=UTC",
        ) as connection,
    ):  # fmt: skip
        yield connection
