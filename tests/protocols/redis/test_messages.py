"""Values: equal where they are the same, hashable, and picklable, as journals need it."""

import pickle

from svcmock_protocols.redis.messages import Array, Error, Map, Options, Request, options_of


def test_requests_pickle_and_are_told_apart():
    request = Request((b"GET", b"a"), 2, "command")
    assert pickle.loads(pickle.dumps(request)) == request
    assert len({request, Request((b"GET", b"a")), Request((b"GET", b"a"), 2, "queued")}) == 3


def test_values_are_hashable():
    assert len({Array((b"a", Map(((b"b", 1),)))), Array((b"a",), "set"), Error(b"a"), b"a"}) == 4


def test_a_service_without_options_has_the_usual_ones():
    assert options_of(None) == Options()
    assert options_of(Options(model=True)).model
