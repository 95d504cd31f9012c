"""What connections share: bounded, and forgotten when nobody needs it."""

from svcmock_protocols.redis.glob import work
from svcmock_protocols.redis.shared import PATTERNS_WORK, PUBLISHED_MAX, PUBLISHED_SECONDS, Shared


def test_clients_are_numbered():
    shared = Shared()
    assert [shared.client(), shared.client()] == [1, 2]


def test_patterns_are_known_as_long_as_somebody_has_them():
    shared = Shared()
    shared.subscribed.add(b"n*")
    shared.subscribed.add(b"n*")
    shared.subscribed.add(b"x")
    assert shared.patterns(b"news") == [b"n*"]
    shared.subscribed.drop(b"n*")
    assert shared.patterns(b"news") == [b"n*"]
    shared.subscribed.drop(b"n*")
    shared.subscribed.drop(b"never")
    assert shared.patterns(b"news") == []


def test_there_is_an_end_to_looking_for_patterns():
    shared = Shared()
    shared.subscribed.add(b"a*")
    for number in range(40):
        shared.subscribed.add(b"*%d" % number + b"a" * 2000)
    shared.subscribed.add(b"*a")
    channel = b"a" * 100
    assert work(b"*1" + b"a" * 2000, channel) * 40 > PATTERNS_WORK
    assert shared.patterns(channel) == [b"a*"]
    assert shared.patterns(b"a") == [b"a*", b"*a"]


def test_what_was_published_is_remembered_for_a_while():
    shared = Shared()
    shared.publish(b"a", b"m", 5.0)
    assert shared.was_published(b"a", b"m", 5.0 + PUBLISHED_SECONDS)
    assert not shared.was_published(b"a", b"m", 5.1 + PUBLISHED_SECONDS)
    assert not shared.was_published(b"b", b"m", 5.0)
    for number in range(PUBLISHED_MAX):
        shared.publish(b"a", b"%d" % number, 5.0)
    assert not shared.was_published(b"a", b"m", 5.0)
    assert shared.was_published(b"a", b"0", 5.0)
