"""Credentials come out of a stream wherever they lie in it, and however it is cut."""

import pytest

from svcmock_protocols.http import sieve
from svcmock_protocols.http.sieve import NAME_REACH, REACH, WINDOW, Sieve, TooLongError

SECRET = b"swordfish-1234567890"
CUT = WINDOW - REACH


def token(credential: bytes) -> bytes:
    return b"svcmock-" + credential[:4].hex().encode() + b"a" * 16


def through(made: Sieve, body: bytes, step: int) -> bytes:
    return b"".join([made.feed(body[at : at + step]) for at in range(0, len(body), step)]) + made.flush()


def json_body(before: int) -> tuple[bytes, bytes]:
    body = b'%b{"pass_word": "%b", "n": 1}%b'
    pad = b" " * before, b"." * WINDOW
    return body % (pad[0], SECRET, pad[1]), body % (pad[0], token(SECRET), pad[1])


def form_body(before: int) -> tuple[bytes, bytes]:
    body = b"a=%b&csrf_token=%b&b=%b"
    pad = b"x" * before, b"y" * WINDOW
    return body % (pad[0], SECRET, pad[1]), body % (pad[0], token(SECRET), pad[1])


def multipart_body(before: int) -> tuple[bytes, bytes]:
    head = b'\r\n--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n'
    body = b"%b" + head + b"%b\r\n--B--\r\n%b"
    pad = b"x" * before, b"y" * WINDOW
    return body % (pad[0], SECRET, pad[1]), body % (pad[0], token(SECRET), pad[1])


KINDS = {
    b"application/json": json_body,
    b"application/x-www-form-urlencoded": form_body,
    b"multipart/form-data": multipart_body,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [0, 1, *range(CUT - 90, CUT + 4, 3), CUT + NAME_REACH, WINDOW - 30, WINDOW])
def test_a_member_is_found_wherever_a_window_ends(kind: bytes, before: int) -> None:
    body, clean = KINDS[kind](before)
    made = Sieve({}, kind, token)
    assert through(made, body, 1 << 16) == clean
    assert made.touched
    assert made.found == {SECRET: token(SECRET)}


@pytest.mark.parametrize("step", [1 << 12, 100_003, WINDOW, 1 << 30])
def test_how_a_body_is_cut_on_the_way_decides_nothing(step: int) -> None:
    body, clean = json_body(CUT - 20)
    body, clean = body * 3 + SECRET, clean * 3 + token(SECRET)
    assert through(Sieve({}, b"", token), body, step) == clean


def test_a_credential_known_before_is_found_across_two_windows() -> None:
    for before in range(CUT - len(SECRET), CUT + 2):
        body = b"." * before + SECRET + b"." * WINDOW
        assert through(Sieve({SECRET: b"<1>"}), body, WINDOW) == body.replace(SECRET, b"<1>")


def test_what_begins_where_a_window_does_is_no_name() -> None:
    """`...xpin=12345678` is no `pin`, even if the window ends after the x."""
    for before in range(CUT - 5, CUT + 1):
        body = b"a" * before + b"xpin=12345678&" + b"b" * WINDOW
        assert through(Sieve({}, b"application/x-www-form-urlencoded", token), body, WINDOW) == body


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        (b"", b'{"password": "'),
        (b"application/x-www-form-urlencoded", b"a=b&password="),
        (b"multipart/form-data", b'\r\nContent-Disposition: form-data; name="password"\r\n\r\n'),
    ],
)
def test_a_credential_without_an_end_is_refused(kind: bytes, start: bytes) -> None:
    made = Sieve({}, kind, token)
    with pytest.raises(TooLongError):
        made.feed(start + b"x" * WINDOW)


def test_a_long_value_that_is_no_credential_passes() -> None:
    body = b'{"picture": "' + b"x" * WINDOW + b'"}'
    assert through(Sieve({}, b"", token), body, 1 << 16) == body


def test_small_pieces_do_not_cost_more_than_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    search = sieve.member_edits
    monkeypatch.setattr(
        sieve, "member_edits", lambda text, *rest: looked.append(len(text)) or search(text, *rest)
    )
    through(Sieve({}, b"", token), bytes(WINDOW * 4), 64)
    assert sum(looked) < WINDOW * 6
