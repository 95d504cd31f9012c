"""What a session answers by how it stands."""

import pytest

from svcmock_protocols.postgres.messages import Column, Result
from svcmock_protocols.postgres.standing import ABORTED, Standing


def stand(*done: str, failed: bool = False) -> Standing:
    standing = Standing(
        {"TimeZone": "UTC", "application_name": "", "DateStyle": "ISO, MDY", "is_superuser": "off"}
    )
    for sql in done:
        answer = standing.answer(sql)
        standing.follow(sql, tag=answer.results[0].tag if answer and answer.results else "")
    if failed:
        standing.fail()
    return standing


@pytest.mark.parametrize(
    ("done", "failed", "sql", "tag", "after"),
    [
        ((), False, "BEGIN", "BEGIN", "T"),
        ((), False, "START TRANSACTION", "START TRANSACTION", "T"),
        (("BEGIN",), False, "COMMIT", "COMMIT", "I"),
        (("BEGIN",), True, "COMMIT", "ROLLBACK", "I"),
        (("BEGIN",), True, "END", "ROLLBACK", "I"),
        (("BEGIN",), True, "ROLLBACK", "ROLLBACK", "I"),
        (("BEGIN",), False, "COMMIT AND CHAIN", "COMMIT", "T"),
        (("BEGIN", "SAVEPOINT a"), True, "ROLLBACK TO a", "ROLLBACK", "T"),
        (("BEGIN",), True, "", "", "E"),
        ((), True, "COMMIT", "COMMIT", "I"),
    ],
)
def test_transactions(done, failed, sql, tag, after):
    standing = stand(*done, failed=failed)
    answer = standing.answer(sql)
    assert answer.results == (Result(tag=tag),)
    standing.follow(sql, tag=tag)
    assert standing.status == after


@pytest.mark.parametrize(
    ("done", "failed", "sql", "code"),
    [
        (("BEGIN",), True, "SELECT 1", "25P02"),
        (("BEGIN",), True, "SET x = 1", "25P02"),
        ((), False, "SAVEPOINT a", "25P01"),
        ((), False, "ROLLBACK TO a", "25P01"),
        (("BEGIN",), False, "ROLLBACK TO a", "3B001"),
        (("BEGIN", "SAVEPOINT a"), False, "RELEASE b", "3B001"),
        (("BEGIN",), False, "DISCARD ALL", "25001"),
    ],
)
def test_refusals(done, failed, sql, code):
    answer = stand(*done, failed=failed).answer(sql)
    assert answer.failure.get("C") == code
    assert (answer.failure is ABORTED) == (code == "25P02")


def test_warnings():
    assert stand("BEGIN").answer("BEGIN").notices[0].get("C") == "25001"
    assert stand().answer("COMMIT").notices[0].get("C") == "25P01"
    assert stand().answer("ROLLBACK").notices[0].get("C") == "25P01"


def test_savepoints_of_one_name_lie_on_top_of_each_other():
    standing = stand("BEGIN", "SAVEPOINT a", "SAVEPOINT b", "SAVEPOINT a")
    standing.follow("RELEASE a")
    assert standing.answer("RELEASE b").failure is None
    standing.follow("ROLLBACK TO a")
    assert standing.answer("RELEASE a").failure is None
    assert standing.answer("RELEASE b").failure.get("C") == "3B001"
    standing.follow("COMMIT", tag="COMMIT")
    standing.follow("BEGIN", tag="BEGIN")
    assert standing.answer("RELEASE a").failure.get("C") == "3B001"


def test_a_savepoint_takes_settings_and_channels_back():
    standing = stand(
        "BEGIN", "SET my.x = 'one'", "NOTIFY a, '1'", "SAVEPOINT s", "SET my.x = 'two'", "NOTIFY a, '2'"
    )
    standing.follow("ROLLBACK TO s", tag="ROLLBACK")
    assert standing.answer("SHOW my.x").results[0].rows == (("one",),)
    standing.follow("COMMIT", tag="COMMIT")
    assert standing.due() == [("notify", "a", "1")]


def test_what_is_set_after_it_was_set_locally_stays():
    standing = stand("BEGIN", "SET LOCAL my.x = 'local'", "SET my.x = 'kept'", "COMMIT")
    assert standing.answer("SHOW my.x").results[0].rows == (("kept",),)
    standing = stand("SET my.x = 'kept'", "BEGIN", "SET LOCAL my.x = 'a'", "SET LOCAL my.x = 'b'")
    assert standing.answer("SHOW my.x").results[0].rows == (("b",),)
    standing.follow("COMMIT", tag="COMMIT")
    assert standing.answer("SHOW my.x").results[0].rows == (("kept",),)
    assert standing.token() is not None


def test_settings_are_shown_and_reported():
    standing = stand()
    assert standing.reports() == []
    standing.follow("SET timezone TO 'Europe/Berlin'")
    assert standing.reports() == [("TimeZone", "Europe/Berlin")]
    assert standing.reports() == []
    assert standing.answer("SHOW timezone").results == (
        Result((Column("TimeZone", 25),), (("Europe/Berlin",),), "SHOW"),
    )
    standing.follow("RESET timezone")
    assert standing.reports() == [("TimeZone", "UTC")]
    standing.follow("SET datestyle = 'german'")
    assert standing.reports() == [("DateStyle", "German, MDY")]


@pytest.mark.parametrize(
    ("done", "level", "default", "read_only"),
    [
        (("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",), "serializable", "read committed", "on"),
        (("BEGIN READ ONLY", "COMMIT"), "read committed", "read committed", "off"),
        (("BEGIN", "SET TRANSACTION READ ONLY", "ROLLBACK"), "read committed", "read committed", "off"),
        (("SET TRANSACTION READ ONLY",), "read committed", "read committed", "off"),
        (("SET transaction_read_only = on",), "read committed", "read committed", "off"),
        (("BEGIN", "SET transaction_read_only = 1"), "read committed", "read committed", "on"),
        (
            ("BEGIN", "SAVEPOINT a", "SET TRANSACTION READ ONLY", "ROLLBACK TO a"),
            "read committed",
            "read committed",
            "off",
        ),
        (("BEGIN READ ONLY", "COMMIT AND CHAIN"), "read committed", "read committed", "on"),
        (("BEGIN READ ONLY", "COMMIT AND CHAIN", "COMMIT"), "read committed", "read committed", "off"),
        (
            ("BEGIN", "SET default_transaction_isolation = 'SERIALIZABLE'"),
            "read committed",
            "serializable",
            "off",
        ),
        (
            ("SET default_transaction_isolation = 'SERIALIZABLE'", "BEGIN"),
            "serializable",
            "serializable",
            "off",
        ),
        (
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "RESET ALL", "BEGIN"),
            "read committed",
            "read committed",
            "off",
        ),
    ],
)
def test_a_transaction_has_settings_of_its_own(done, level, default, read_only):
    standing = stand(*done)
    names = ("transaction_isolation", "default_transaction_isolation", "transaction_read_only")
    said = [standing.answer(f"SHOW {name}").results[0].rows[0][0] for name in names]
    assert said == [level, default, read_only]


def test_nothing_is_written_to_a_server_that_follows_another():
    standing = Standing({"in_hot_standby": "on"})
    assert standing.answer("SHOW transaction_read_only").results[0].rows == (("on",),)


def test_what_is_not_known_is_not_shown():
    assert stand().answer("SHOW wal_level") is None
    assert stand("SET my.x = 'y'").answer("SHOW my.x").results[0].rows == (("y",),)
    assert stand().answer("SHOW transaction_isolation").results[0].rows == (("read committed",),)


def test_a_transaction_takes_its_settings_back():
    standing = stand("SET my.x = 'before'", "BEGIN", "SET my.x = 'after'", "SET LOCAL application_name = 'app'")
    assert standing.reports() == [("application_name", "app")]
    standing.follow("COMMIT", tag="COMMIT")
    assert standing.reports() == [("application_name", "")]
    assert standing.answer("SHOW my.x").results[0].rows == (("after",),)
    standing.follow("BEGIN", tag="BEGIN")
    standing.follow("SET my.x = 'lost'")
    standing.follow("ROLLBACK", tag="ROLLBACK")
    assert standing.answer("SHOW my.x").results[0].rows == (("after",),)


def test_only_utf_8_is_spoken():
    standing = stand()
    standing.assume("client_encoding", "UTF8")
    standing.reports()
    standing.follow("SET client_encoding TO 'LATIN1'")
    assert standing.reports() == []


def test_channels_wait_for_the_end_of_a_transaction():
    standing = stand("LISTEN a")
    assert standing.due() == [("listen", "a", "")]
    standing = stand("BEGIN", "NOTIFY a, 'x'")
    assert standing.due() == []
    standing.follow("COMMIT", tag="COMMIT")
    assert standing.due() == [("notify", "a", "x")]
    standing = stand("BEGIN", "NOTIFY a, 'x'", "ROLLBACK")
    assert standing.due() == []
    assert stand("DISCARD ALL").due() == [("unlisten", "*", "")]


def test_notifications_have_an_end():
    standing = stand()
    standing.notify("a", "x" * 8000)
    standing.notify("a", "x" * 7999)
    assert standing.due() == [("notify", "a", "x" * 7999)]


def test_what_the_server_says_counts():
    standing = stand()
    standing.assume("TimeZone", "Asia/Tokyo")
    assert standing.reports() == [("TimeZone", "Asia/Tokyo")]


def test_decides():
    assert stand().decides("ROLLBACK")
    assert not stand().decides("COMMIT")
    assert stand("BEGIN", failed=True).decides("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "done", "said"),
    [
        ("SELECT version()", (), None),
        ("SELECT current_user", (), None),
        ("SELECT current_database()", (), None),
        ("SELECT pg_is_in_recovery()", (), "f"),
        ("SELECT current_schema()", (), "public"),
        ("SELECT current_schema()", ("SET search_path TO shop",), None),
        ("SELECT current_setting('nothing')", (), None),
        ("SELECT current_setting('server_version_num')", (), None),
        ("SELECT current_setting('my.n')::int", ("SET my.n = 7",), "7"),
        ("SELECT current_setting('my.n')::int", ("SET my.n = 99999999999",), None),
        ("SELECT current_setting('my.n')::int", ("SET my.n = 'x'",), None),
        ("SELECT current_setting('my.own')", ("SET my.own = 'x'",), "x"),
        ("SELECT set_config('work_mem', '2048', false)", (), "2MB"),
        ("SELECT set_config('my.own', 'default', false)", (), "default"),
        ("SHOW my.own", ("SELECT set_config('my.own', 'default', false)",), "default"),
        ("SHOW my.own", ("BEGIN", "SELECT set_config('my.own', 'x', true)", "COMMIT"), None),
    ],
)
def test_what_is_not_known_is_not_said(sql, done, said):
    answer = stand(*done).answer(sql)
    assert (None if answer is None else answer.results[0].rows[0][0]) == said


def test_whose_server_it_is():
    told = {"server_version": "17.0", "session_authorization": "ann", "in_hot_standby": "on"}
    standing = Standing(told, "shop")
    asked = ("version()", "user", "current_catalog", "pg_is_in_recovery()")
    said = [standing.answer(f"SELECT {function}").results[0].rows[0][0] for function in asked]
    assert said == ["PostgreSQL 17.0 (svcmock)", "ann", "shop", "t"]
    assert standing.answer("SHOW server_version_num").results[0].rows == (("170000",),)
