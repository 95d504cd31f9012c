"""Large objects by libpq: it calls functions of the server by their oids. Recorded and replayed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.e2e.postgres_server import Postgres
from tests.e2e.processes import Svcmock


def connected(port: int) -> Any:
    return psycopg2.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres")


def written(db: Any, oid: int, text: bytes) -> list[Any]:
    """Make one, and write it in pieces; read it in pieces, from several places."""
    large = db.lobject(0, "wb", oid)
    told: list[Any] = [large.oid, large.write(text), large.write(b"\0 and more"), large.tell()]
    large.close()
    large = db.lobject(oid, "rwb")
    told += [large.read(4), large.read(4), large.read(100), large.read(4)]
    told += [large.seek(2), large.read(3), large.seek(-3, 2), large.read(), large.seek(1), large.read(2)]
    large.truncate(5)
    told += [large.seek(0), large.read()]
    large.close()
    db.commit()
    return told


def two(db: Any, first: int, second: int) -> list[Any]:
    """Both are open at a time, and read by turns."""
    larges = [db.lobject(oid, "rb") for oid in (first, second)]
    told = [large.read(2) for _ in range(3) for large in larges]
    for large in larges:
        large.close()
    db.rollback()
    return told


def failing(db: Any) -> Any:
    with pytest.raises(psycopg2.Error) as failure:
        db.lobject(77777, "rb")
    db.rollback()
    return str(failure.value)


def gone(db: Any, oid: int) -> Any:
    db.lobject(oid, "n").unlink()
    db.commit()
    return oid


WORK: list[Callable[[Any], Any]] = [
    lambda db: written(db, 90001, b"first"),
    lambda db: written(db, 90002, b"the second one"),
    lambda db: two(db, 90001, 90002),
    failing,
    lambda db: gone(db, 90001),
    lambda db: gone(db, 90002),
]


def test_large_objects_are_recorded_and_replayed(svcmock: Svcmock, tmp_path: Path, postgres: Postgres) -> None:
    recorder = svcmock.record(tmp_path / "p", {"db": postgres.url})
    db = connected(recorder.ports["db"])
    told = [doing(db) for doing in WORK]
    db.close()
    counted = recorder.stop()["db"]
    assert counted["failed"] == counted["passed on unread"] == 0, recorder.process.output
    port = svcmock.up(tmp_path / "p").ports["db"]
    db = connected(port)
    assert [doing(db) for doing in WORK] == told
    db.close()
    elsewhere(port, told)


def elsewhere(port: int, told: list[Any]) -> None:
    """On other connections at a time, in another order and in one transaction; in other pieces it is a miss."""
    one, other = connected(port), connected(port)
    pieces = two(other, 90002, 90001)
    assert (pieces[1::2], pieces[::2]) == (told[2][::2], told[2][1::2])
    large, same = one.lobject(90001, "rb"), other.lobject(90001, "rb")
    assert [each.read(2) for each in (large, same, large)] == [told[2][0], told[2][0], told[2][2]]
    with pytest.raises(psycopg2.Error, match="no route of service db"):
        same.read(100)
    with pytest.raises(psycopg2.Error, match="transaction is aborted"):
        same.read(2)
    other.rollback()
    assert large.read(2) == told[2][4]
    one.close()
    other.close()
