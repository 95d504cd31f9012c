"""What descriptors of large objects stand for, call by call."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from svcmock_protocols.postgres import descriptors
from svcmock_protocols.postgres.calls import Call, replied
from svcmock_protocols.postgres.descriptors import Descriptors
from svcmock_protocols.postgres.messages import Descriptor, Raw, Request, failed, said
from tests.protocols.postgres import wire


def asked(name: str, *params: str) -> Request:
    return Request(name, params, (23,) * len(params), op="call")


OPEN = asked("lo_open", "16400", "262144")


def test_a_position_goes_with_what_is_read_and_written():
    known = Descriptors()
    known.follow(OPEN, "0")
    for call, gives, at in (
        (asked("loread", "0", "10"), "\\x616263", 3),
        (asked("lowrite", "0", "\\x00"), "1", 4),
        (asked("lo_lseek", "0", "1", "0"), "1", 1),
        (asked("lo_tell", "0"), "1", 1),
        (asked("lo_lseek64", "0", "5000000000", "0"), "5000000000", 5_000_000_000),
        (asked("lo_truncate", "0", "1"), "0", 5_000_000_000),
        (asked("loread", "0", "10"), None, 5_000_000_000),
        (asked("loread", "0", "10"), Raw(b"ab", binary=False), 5_000_000_002),
    ):
        known.follow(call, gives)
        assert known.meant(asked("loread", "0", "7")) == Request(
            "loread", ("7",), (23,), op="call", descriptor=Descriptor(16400, 262144, at)
        )
    known.follow(asked("lo_close", "0"), "0")
    assert known.meant(asked("loread", "0", "7")) == asked("loread", "0", "7")


def test_they_end_with_their_transaction():
    known = Descriptors()
    known.follow(OPEN, "0")
    known.ended()
    assert known.meant(asked("lo_tell", "0")) == asked("lo_tell", "0")


def test_no_two_have_the_same_number():
    """They were recorded in two transactions, and are open in one."""
    known = Descriptors()
    numbers = []
    for oid in ("1", "2", "3"):
        answered = known.answer(Call(asked("lo_open", oid, "262144")), replied("0"))
        numbers.append(answered[0])
        assert answered[1] is None
    assert numbers == [wire.message(b"V", wire.i32(4, number)) for number in (0, 1, 2)]
    told = [known.meant(asked("lo_tell", number)).descriptor for number in ("0", "1", "2")]
    assert [one and one.object for one in told] == [1, 2, 3]
    known.follow(asked("lo_close", "1"), "0")
    assert known.given(OPEN, "2") == "1"
    assert known.given(OPEN, "7") == "7"
    assert known.given(OPEN, "-1") == "-1"
    assert known.given(asked("lo_close", "0"), "0") == "0"


def test_no_more_than_a_limit_are_open(monkeypatch):
    monkeypatch.setattr(descriptors, "MAX_OPEN", 2)
    known = Descriptors()
    failures = [known.answer(Call(OPEN), replied("0"))[1] for _ in range(3)]
    assert [one and one.get("C") for one in failures] == [None, None, "54000"]


def test_failures_and_notices_are_told():
    known = Descriptors()
    sent, failure = known.answer(Call(OPEN), failed("42704", "no"))
    assert (sent, failure) == (wire.error("42704", "no"), said("42704", "no"))
    assert known.meant(asked("lo_tell", "0")).descriptor is None
    sent, failure = known.answer(Call(Request("16999", op="call"), wanted=False), replied(Raw(b"\1")))
    assert failure is not None
    assert failure.get("C") == "0A000"


TEXT = st.sampled_from(["0", "1", "-1", "", "x", "\\x", "9" * 19, "4294967296"]) | st.none()
CALLS = st.builds(
    lambda name, params: Request(name, tuple(params), (0,) * len(params), op="call"),
    st.sampled_from(["lo_open", "lo_close", "loread", "lowrite", "lo_lseek", "lo_tell", "16999"]),
    st.lists(TEXT | st.builds(Raw, st.binary(max_size=3)), max_size=3),
)


@given(st.lists(st.tuples(CALLS, TEXT), max_size=20))
def test_whatever_is_called(done):
    """Nothing raises, and what a descriptor stands for can be compared."""
    known = Descriptors()
    for call, value in done:
        meant = known.meant(call)
        json.encode(meant.descriptor)
        assert len(meant.params) == len(call.params) - (meant.descriptor is not None)
        known.follow(call, known.given(call, value))
