"""Statements about the session, and those that only look like some."""

import pytest

from svcmock_protocols.postgres.commands import (
    Command,
    command,
    copy_binary,
    copy_width,
    identifier,
    is_copy_in,
    literal,
    notified,
)

SERIALIZABLE = ("transaction_isolation", "serializable")


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        ("", Command("empty", "")),
        (" ; -- nothing", Command("empty", "")),
        ("begin", Command("begin", "BEGIN")),
        ("BEGIN;", Command("begin", "BEGIN")),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", Command("begin", "BEGIN", modes=(SERIALIZABLE,))),
        ("BEGIN WORK READ WRITE", Command("begin", "BEGIN", modes=(("transaction_read_only", "off"),))),
        ("BEGIN ISOLATION LEVEL NONSENSE", Command("begin", "BEGIN")),
        (
            "start  transaction read only , isolation level serializable not deferrable",
            Command(
                "begin",
                "START TRANSACTION",
                modes=(("transaction_read_only", "on"), SERIALIZABLE, ("transaction_deferrable", "off")),
            ),
        ),
        ("START TRANSACTION", Command("begin", "START TRANSACTION")),
        ("/* app */ COMMIT;", Command("commit", "COMMIT")),
        ("END", Command("commit", "COMMIT")),
        ("COMMIT AND CHAIN", Command("commit", "COMMIT", value="chain")),
        ("COMMIT AND NO CHAIN", Command("commit", "COMMIT")),
        ("ROLLBACK", Command("rollback", "ROLLBACK")),
        ("ABORT", Command("rollback", "ROLLBACK")),
        ('rollback to savepoint "Sp 1"', Command("rollback to", "ROLLBACK", "Sp 1")),
        ("ROLLBACK TRANSACTION TO a", Command("rollback to", "ROLLBACK", "a")),
        ("SAVEPOINT A", Command("savepoint", "SAVEPOINT", "a")),
        ("RELEASE a", Command("release", "RELEASE", "a")),
        ("RELEASE SAVEPOINT a", Command("release", "RELEASE", "a")),
        ("SET x = 'a''b'", Command("set", "SET", "x", "a'b")),
        ("set local x to 3", Command("set", "SET", "x", "3", local=True)),
        ("SET SESSION search_path TO a,b", Command("set", "SET", "search_path", "a, b")),
        ("SET TIME ZONE 'UTC'", Command("set", "SET", "timezone", "UTC")),
        ("SET TRANSACTION READ ONLY", Command("modes", "SET", modes=(("transaction_read_only", "on"),))),
        (
            "SET LOCAL TRANSACTION DEFERRABLE",
            Command("modes", "SET", modes=(("transaction_deferrable", "on"),)),
        ),
        ("SET TRANSACTION SNAPSHOT '0003-1'", Command("other", "SET")),
        ("SET CONSTRAINTS ALL DEFERRED", Command("other", "SET CONSTRAINTS")),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            Command("defaults", "SET", modes=(SERIALIZABLE,)),
        ),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION NONSENSE", Command("other", "SET")),
        ("RESET ALL", Command("reset", "RESET", "all")),
        ("SHOW TimeZone", Command("show", "SHOW", "timezone")),
        ("SHOW TRANSACTION ISOLATION LEVEL", Command("show", "SHOW", "transaction_isolation")),
        ("DISCARD ALL", Command("discard", "DISCARD ALL", "all")),
        ("DEALLOCATE ALL", Command("deallocate", "DEALLOCATE ALL")),
        ('DEALLOCATE "s 1"', Command("deallocate", "DEALLOCATE", "s 1")),
        ("LISTEN Jobs", Command("listen", "LISTEN", "jobs")),
        ("UNLISTEN *", Command("unlisten", "UNLISTEN", "*")),
        ("NOTIFY jobs, 'it''s'", Command("notify", "NOTIFY", "jobs", "it's")),
        ("NOTIFY jobs", Command("notify", "NOTIFY", "jobs")),
        ("CLOSE ALL", Command("other", "CLOSE CURSOR ALL")),
        ("CLOSE c", Command("other", "CLOSE CURSOR")),
        ("PREPARE s AS SELECT 1", Command("other", "PREPARE", "s")),
        (
            "SELECT pg_advisory_unlock_all()",
            Command("unlock", "SELECT 1", column="pg_advisory_unlock_all"),
        ),
        ("SELECT 1", Command("constant", "SELECT 1", value="1", column="?column?")),
        ("select  007 AS Alive;", Command("constant", "SELECT 1", value="7", column="alive")),
        ("/* ping */ SELECT 1", Command("constant", "SELECT 1", value="1", column="?column?")),
        ("select pg_catalog.version()", Command("who", "SELECT 1", "version", column="version")),
        ("SELECT current_user", Command("who", "SELECT 1", "current_user", column="current_user")),
        ("SELECT Current_Schema() AS s", Command("who", "SELECT 1", "current_schema", column="s")),
        (
            "SELECT current_setting('TimeZone')",
            Command("setting", "SELECT 1", "timezone", column="current_setting"),
        ),
        (
            "SELECT current_setting('server_version_num')::int AS v",
            Command("setting", "SELECT 1", "server_version_num", "int4", column="v"),
        ),
        (
            "SELECT set_config('TimeZone', 'it''s', true)",
            Command("set", "SELECT 1", "timezone", "it's", local=True, column="set_config"),
        ),
    ],
)
def test_what_is_understood(sql, made):
    assert command(sql) == made


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1, 2",
        "SELECT '1'",
        "SELECT 1 FROM users",
        "SELECT 12345678901",
        "SELECT version",
        "SELECT user()",
        "SELECT set_config($1, $2, false)",
        "SELECT current_setting('a', true)",
        "INSERT INTO t VALUES (1)",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
        "PREPARE TRANSACTION 'x'",
        "BEGIN; SELECT 1",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL",
        "SELECT 1; SELECT 2",
        "EXECUTE s(1)",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH 1 FROM c",
        "BEGIN " + "x" * 3000,
        "'BEGIN'",
    ],
)
def test_what_is_the_applications_business(sql):
    assert command(sql) is None


@pytest.mark.parametrize(
    ("sql", "is_one", "binary", "width"),
    [
        ("COPY t FROM STDIN", True, False, 0),
        ("copy public.t (a, b) from stdin with (format csv)", True, False, 2),
        ('COPY "t"("a","b","c") FROM STDIN WITH (FORMAT BINARY)', True, True, 3),
        ("COPY t (a) FROM STDIN (FORMAT binary)", True, True, 1),
        ("COPY t TO STDOUT", False, False, 0),
        ("COPY t FROM '/tmp/x'", False, False, 0),
        ("SELECT 'COPY t FROM STDIN'", False, False, 0),
    ],
)
def test_copies(sql, is_one, binary, width):
    assert is_copy_in(sql) is is_one
    if is_one:
        assert copy_binary(sql) is binary
        assert copy_width(sql) == width


@pytest.mark.parametrize(
    ("sql", "params", "told"),
    [
        ("SELECT pg_notify($1, $2)", ("jobs", "x"), [("jobs", "x")]),
        ("select pg_notify('Jobs', 'it''s');", (), [("Jobs", "it's")]),
        ("SELECT pg_notify($1::VARCHAR, $2::VARCHAR) AS pg_notify_1", ("jobs", None), [("jobs", "")]),
        ("SELECT pg_notify($1, $2)", (None, "x"), []),
        ("SELECT pg_notify($1, $2)", (), []),
        ("SELECT pg_notify(name, 'x') FROM t", (), []),
        ("SELECT 1", (), []),
        ("SELECT pg_notify('a', '1'), pg_notify($1,'2') AS two", ("b",), [("a", "1"), ("b", "2")]),
        (
            "SELECT pg_notify('a', ', pg_notify(''c'', ''3'')'), pg_catalog.pg_notify('b', '2')",
            (),
            [("a", ", pg_notify('c', '3')"), ("b", "2")],
        ),
        ("SELECT pg_notify('a', '1'), now()", (), []),
        ("SELECT pg_notify($11, $12)", (*["no"] * 10, "a", "1"), [("a", "1")]),
        ("SELECT " + ", ".join(["pg_notify('a', '1')"] * 100), (), [("a", "1")] * 100),
        ("SELECT " + ", ".join(["pg_notify('a', '1')"] * 101), (), []),
    ],
)
def test_functions_that_notify(sql, params, told):
    assert notified(sql, params) == told


def test_names_and_values():
    assert identifier("Abc") == "abc"
    assert identifier('"A""b"') == 'A"b'
    assert literal("'a, b' , c") == "a, b, c"
