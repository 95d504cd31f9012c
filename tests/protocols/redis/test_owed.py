"""What is owed at the end of a connection."""

from svcmock_protocols.redis.messages import NULL, Request
from svcmock_protocols.redis.owed import Planned, Telling, Waiting, comes_soon


def test_only_what_waits_for_others_is_not_waited_for():
    assert [comes_soon(owed) for owed in (Request(), Telling(1), Planned(Request(), None))] == [True] * 3
    assert not comes_soon(None)
    assert not comes_soon(Waiting((b"BLPOP", b"a", b"0"), NULL))
    assert not comes_soon(Planned(Request(), None, paused=True))
