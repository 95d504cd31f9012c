"""The options of an HTTP service, as the configuration reads them."""

import msgspec
import pytest

from svcmock_protocols.http.messages import Options, Reply, Request


def test_the_defaults() -> None:
    options = msgspec.convert({}, Options)
    assert (options.miss_status, options.max_body_memory, options.max_body) == (501, 1 << 20, 1 << 30)


@pytest.mark.parametrize(
    "doc",
    [{"miss_status": 99}, {"miss_status": 1000}, {"max_body": -1}, {"max_head": 0}, {"mis_status": 404}],
)
def test_what_is_refused(doc: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(doc, Options)


@pytest.mark.parametrize("value", [Request(b"GET", b"/"), Reply(200)])
def test_messages_cannot_be_changed(value: object) -> None:
    with pytest.raises(AttributeError):
        value.body = b"x"  # type: ignore[attr-defined]
