"""The contract's own values: errors that name their place, and explanations as they are sent."""

import msgspec

from svcmock.protocol import Difference, Explanation, Invalid, Near, ProtocolError, Stage, SvcmockError


def test_an_invalid_document_names_the_offending_node() -> None:
    error = Invalid(["headers", 0, "name"], "expected text")
    assert (error.at, error.why, str(error)) == (("headers", 0, "name"), "expected text", "expected text")
    assert isinstance(error, SvcmockError)
    assert not isinstance(error, ProtocolError)


def test_an_explanation_is_sent_without_what_it_does_not_say() -> None:
    head = Explanation("m-1", "shop", "http", "GET /")
    assert msgspec.to_builtins(head) == {
        "miss": "m-1",
        "service": "shop",
        "protocol": "http",
        "request": "GET /",
    }
    near = Near("r.yaml:1", 1, 2, (Difference("path", "equals", "/a", "/b"),))
    told = msgspec.json.encode(msgspec.structs.replace(head, funnel=(Stage("address", 5, 1),), nearest=(near,)))
    assert b'"funnel":[{"stage":"address","in":5,"out":1}]' in told
    assert b'"failed":[{"at":"path","op":"equals","want":"/a","got":"/b","hint":null}]' in told
    assert b"edit" not in told
