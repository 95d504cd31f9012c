"""The example in configs/postgres does what its comments say."""

import shutil
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.e2e.processes import Svcmock

EXAMPLE = Path(__file__).parents[2] / "configs" / "postgres"


def test_the_shop_and_the_ledger(svcmock: Svcmock, tmp_path: Path) -> None:
    project = tmp_path / "postgres"
    shutil.copytree(EXAMPLE, project)
    graph = (project / "svcmock.yaml").read_text()
    for port in ("6501", "6502"):
        graph = graph.replace(port, "0")
    (project / "svcmock.yaml").write_text(graph)
    assert svcmock.run("check", project).returncode == 0
    ports = svcmock.up(project).ports
    shop = f"postgresql://app@127.0.0.1:{ports['shop']}/shop?sslmode=require"
    with psycopg.connect(shop, autocommit=True) as db:
        assert db.execute("SELECT name, age FROM users WHERE id = %s", [42]).fetchall() == [("Ann", 31)]
        tags = [row[3] for row in db.execute("SELECT id, name, born, tags FROM users ORDER BY id")]
        assert tags == [["admin", "night shift"], []]
        order = "INSERT INTO orders (item) VALUES (%s) RETURNING id"
        assert [db.execute(order, ["tea"]).fetchone() for _ in range(3)] == [(7,), (8,), (8,)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            db.execute("INSERT INTO users (name) VALUES (%s)", ["Ann"])
        assert db.execute("SELECT * FROM items WHERE id = 5").fetchone() == (5, "item 5")
        with db.cursor().copy("COPY orders (item) FROM STDIN") as copy:
            copy.write("pot\ncup\n")
        with db.cursor().copy("COPY (SELECT item FROM orders) TO STDOUT") as copy:
            assert [row[0] for row in copy.rows()] == ["tea", "pot", "cup"]
    ledger = f"postgresql://app:opensesame@127.0.0.1:{ports['ledger']}/ledger"
    with psycopg.connect(ledger) as db:
        book = "INSERT INTO bookings (amount, at) VALUES (%s, %s)"
        db.execute(book, [Decimal("12.50"), "2026-01-31"])
        db.commit()
        db.execute(book, [Decimal("12.50"), "2026-02-01"])
        with pytest.raises(psycopg.errors.SerializationFailure):
            db.commit()
