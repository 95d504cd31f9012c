"""Passwords in SQL."""

import pytest

from svcmock_protocols.postgres.messages import Request
from svcmock_protocols.postgres.redact import redact_request
from tests.protocols.postgres.wire import token


def redacted(sql: str) -> str:
    return redact_request(Request(sql), token).sql


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE USER ann PASSWORD 's3cret'",
        "alter role ann with login encrypted password 's3cret' valid until 'infinity'",
        "ALTER USER ann PASSWORD E's3cret'",
        "CREATE USER MAPPING FOR ann SERVER s OPTIONS (user 'ann', password 's3cret')",
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=s3cret dbname=d' PUBLICATION p",
    ],
)
def test_they_become_tokens(sql):
    made = redacted(sql)
    assert "s3cret" not in made
    assert made.count("svcmock-") == 1
    assert redacted(made) == made


def test_quotes_inside():
    made = redacted("ALTER USER ann PASSWORD 'it''s'")
    secret = token(b"it's").decode()
    assert made == f"ALTER USER ann PASSWORD '{secret}'"


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "INSERT INTO t (password) VALUES ('x')", "CREATE TABLE t (password text)", "password"]
)
def test_what_is_data_stays(sql):
    request = Request(sql)
    assert redact_request(request, token) is request
