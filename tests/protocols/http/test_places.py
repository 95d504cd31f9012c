"""Places that hold credentials, found by their look."""

import pytest

from svcmock_protocols.http.credentials import rules
from svcmock_protocols.http.places import apply_edits, in_order, member_edits, url_edits


def token(secret):
    return b"<%d>" % len(secret)


def edited(find, text, *kind):
    found = {}
    return apply_edits(text, find(text, *kind, token, found, rules())), set(found)


@pytest.mark.parametrize(
    ("text", "hidden", "secrets"),
    [
        (b"/a?access_token=one&b=c", b"/a?access_token=<3>&b=c", {b"one"}),
        (b"http://u:pass@h/a#id_token=x%20y", b"http://<6>@h/a#id_token=<3>", {b"u:pass", b"x y"}),
        (b"/a?b=c", b"/a?b=c", set()),
    ],
)
def test_urls(text, hidden, secrets):
    assert edited(url_edits, text) == (hidden, secrets)


@pytest.mark.parametrize(
    ("kind", "text", "hidden"),
    [
        (b"application/json", b'{"password":"one","b":"c"}', b'{"password":"<3>","b":"c"}'),
        (b"", b'data: {"api_key": 12345678}\n', b'data: {"api_key": "<8>"}\n'),
        (b"application/x-www-form-urlencoded", b"password=one&b=c", b"password=<3>&b=c"),
        (
            b"multipart/form-data",
            b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\none\r\n--x--',
            b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n<3>\r\n--x--',
        ),
        (b"text/plain", b"password=one", b"password=one"),
    ],
)
def test_members_of_bodies(kind, text, hidden):
    assert edited(member_edits, text, kind)[0] == hidden


def test_edits_do_not_overlap():
    assert in_order([(4, 6, b"b"), (0, 5, b"a"), (6, 7, b"c")]) == [(0, 5, b"a"), (6, 7, b"c")]
    assert apply_edits(b"0123456789", [(0, 5, b"a"), (6, 7, b"")]) == b"a5789"
