"""Which names hold credentials, and what of a credential stays readable."""

import pytest

from svcmock_protocols.http.credentials import hide, holds_credential, note, rules


def token(secret: bytes) -> bytes:
    return secret if secret.startswith(b"T-") else b"T-%d" % len(secret)


@pytest.mark.parametrize(
    "name",
    [
        b"password",
        b"newPassword",
        b"user_password",
        b"user[password]",
        b"user%5Bpassword%5D",
        b"db.passwd",
        b"access_token",
        b"accessToken",
        b"X-Amz-Security-Token",
        b"client-secret",
        b"apiKey",
        b"token",
        b"jwt",
        b"secret[]",
    ],
)
def test_members_that_are_credentials(name: bytes) -> None:
    assert rules().member(name)


@pytest.mark.parametrize(
    "name",
    [b"id", b"next_token", b"page_token", b"tokens", b"passwords", b"keys", b"key", b"secretary", b"author"],
)
def test_members_that_are_none(name: bytes) -> None:
    assert not rules().member(name)


def test_options_change_what_is_a_credential() -> None:
    known = rules(("headers.X-Pin", "json.a.b.ssn", "query.sid"), ("headers.Cookie", "form.password"))
    assert b"x-pin" in known.headers
    assert b"cookie" not in known.headers
    assert known.member(b"SSN")
    assert known.member(b"sid")
    assert not known.member(b"password")
    assert known.member(b"old_password")
    assert rules() is rules()


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        (b"authorization", b"Bearer abc", b"Bearer T-3"),
        (b"authorization", b"abc", b"T-3"),
        (b"authorization", b"Basic", b"T-5"),
        (b"authorization", b"Digest a=b, c=d", b"Digest T-6"),
        (b"cookie", b"a=1; b=22;c", b"a=T-1; b=T-2;T-1"),
        (b"cookie", b"", b""),
        (b"set-cookie", b"a=b; Domain=x; Secure", b"a=T-1; Domain=x; Secure"),
        (b"x-api-key", b"a b", b"T-3"),
    ],
)
def test_only_the_secret_is_hidden_and_hiding_twice_is_hiding_once(
    name: bytes, value: bytes, hidden: bytes
) -> None:
    assert hide(name, value, token, {}, rules()) == hidden
    assert hide(name, hidden, token, {}, rules()) == hidden


def test_what_was_hidden_is_noted_and_tokens_are_not() -> None:
    found: dict[bytes, bytes] = {}
    hide(b"authorization", b"Basic YW5uOnNlY3JldA==", token, found, rules())
    assert found == {b"YW5uOnNlY3JldA==": b"T-16", b"ann:secret": b"T-10", b"secret": b"T-6"}
    assert note(b"T-1", token, found) == b"T-1"
    assert note(b"", token, found) == b""
    assert len(found) == 3


def test_a_value_called_token_must_look_like_one() -> None:
    assert holds_credential(b"token", b"a" * 16)
    assert not holds_credential(b"token", b"a" * 15)
    assert not holds_credential(b"token", b"a sentence of several words")
    assert holds_credential(b"password", b"a")
    assert not holds_credential(b"password", b"")


def test_a_signature_is_a_credential_in_a_url_and_data_in_json() -> None:
    known = rules()
    assert known.pair(b"Signature")
    assert known.pair(b"X-Goog-Signature")
    assert known.pair(b"password")
    assert not known.member(b"Signature")
    assert not known.pair(b"signature")
    assert not rules(keep=("query.Signature",)).pair(b"Signature")


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-acme-api-key",
        b"acme-access-token",
        b"x-signing-secret",
        b"x_db_password",
        b"x" * 99 + b"-secret",
    ],
)
def test_headers_that_are_credentials(name: bytes) -> None:
    assert name in rules().headers
    assert not rules().looked_into.isdisjoint([b"host", name])
    assert name not in rules(keep=(f"headers.{name.decode()}",)).headers


@pytest.mark.parametrize(
    "name",
    [
        b"host",
        b"idempotency-key",
        b"sec-websocket-key",
        b"x-token-type",
        b"x-secret-santa",
        b"etag",
        b"x-request-id",
    ],
)
def test_headers_that_are_none(name: bytes) -> None:
    assert name not in rules().headers
    assert rules().looked_into.isdisjoint([name])


def test_headers_with_urls_are_looked_into_and_are_no_credentials() -> None:
    known = rules(keep=("headers.location",))
    assert b"location" not in known.headers
    assert b"location" in known.looked_into
