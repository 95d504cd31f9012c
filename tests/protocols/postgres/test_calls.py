"""FunctionCall on the wire, and calls as route files name them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcmock.protocol import Invalid, ProtocolError
from svcmock_protocols.postgres import calls, documents
from svcmock_protocols.postgres.calls import Call, called, replied, response, result_of, watched
from svcmock_protocols.postgres.canonical import decisive, fields, key
from svcmock_protocols.postgres.cells import Unfit
from svcmock_protocols.postgres.messages import Descriptor, Raw, Request, failed
from tests.protocols.conformance import check_decoder
from tests.protocols.postgres.wire import context, i16, i32, nofiles, value

READ = b"\0\0\3\xba\0\1\0\1\0\2\0\0\0\4\0\0\0\0\0\0\0\4\0\0\0\x0a\0\1"
"""loread(0, 10), all in binary: as libpq sends it."""
LOREAD = Request("loread", ("0", "10"), (23, 23), op="call")
AT = Descriptor(16400, 262144, 10)


def body(oid: int, formats: tuple[int, ...], values: tuple[bytes | None, ...], wanted: int = 1) -> bytes:
    shown = b"".join(map(value, values))
    return b"".join([i32(oid), i16(len(formats), *formats), i16(len(values)), shown, i16(wanted)])


@pytest.mark.parametrize(
    ("data", "call"),
    [
        (READ, Call(LOREAD)),
        (body(954, (), (b"0", b"10"), 0), Call(LOREAD, wanted=False)),
        (body(954, (0, 1), (b"0", i32(10))), Call(LOREAD)),
        (body(955, (1,), (i32(0), b"\0a")), Call(Request("lowrite", ("0", "\\x0061"), (23, 17), op="call"))),
        (body(16999, (1,), (None, b"\1")), Call(Request("16999", (None, Raw(b"\1")), op="call"))),
        (body(16999, (), (b"a",)), Call(Request("16999", ("a",), op="call"))),
        (body(16999, (), ()), Call(Request("16999", op="call"))),
        (body(954, (1,), (b"abc", None)), Call(Request("loread", (Raw(b"abc"), None), (23, 23), op="call"))),
    ],
)
def test_what_is_called(data, call):
    assert called(data) == call


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (READ[:-1], "ends too soon"),
        (READ + b"x", "invalid message format"),
        (b"", "ends too soon"),
        (body(954, (7,), (b"0", b"1")), "unsupported format code: 7"),
        (body(954, (), (b"0", b"1"), 2), "unsupported format code: 2"),
        (body(954, (1, 1, 1), (b"0", b"1")), "contains 3 argument formats but 2 arguments"),
        (body(954, (), (b"0",)), "contains 1 arguments but function requires 2"),
        (body(16999, (), (b"0",) * 101), "101 arguments"),
        (b"\0\0\3\xba\0\0\xff\xff", "65535 arguments"),
        (b"\0\0\3\xba\0\0\0\1\xff\xff\xff\xfe\0\1", "ends too soon"),
    ],
)
def test_what_is_no_call(data, why):
    with pytest.raises(ProtocolError, match=why):
        called(data)
    assert watched(data, 1.0) is None


def test_damaged_calls():
    check_decoder(called, READ, range(200))


@pytest.mark.parametrize(
    ("call", "result", "data"),
    [
        (Call(LOREAD), "\\x6869", i32(2) + b"hi"),
        (Call(LOREAD), None, i32(-1)),
        (Call(LOREAD, wanted=False), "\\x6869", i32(6) + b"\\x6869"),
        (Call(Request("lo_tell64", op="call")), "5000000000", i32(8) + (5_000_000_000).to_bytes(8)),
        (Call(Request("16999", op="call")), Raw(b"\1"), i32(1) + b"\1"),
        (Call(Request("16999", op="call"), wanted=False), "a", i32(1) + b"a"),
    ],
)
def test_what_it_gives(call, result, data):
    assert result_of(call, data) == result
    assert response(call, result) == b"V" + i32(len(data) + 4) + data


@pytest.mark.parametrize("data", [b"", i32(4) + b"abc", i32(1) + b"ab", i32(-2)])
def test_what_is_no_result(data):
    with pytest.raises(ProtocolError):
        result_of(Call(LOREAD), data)


@pytest.mark.parametrize(("result", "wanted"), [(Raw(b"\1"), False), ("a", True)])
def test_a_result_in_the_other_format_of_a_type_that_nobody_knows(result, wanted):
    with pytest.raises(Unfit, match="the result of function 16999"):
        response(Call(Request("16999", op="call"), wanted), result)


def test_two_results_are_none():
    run = watched(READ, 1.0)
    assert run is not None
    run.returned(i32(-1))
    with pytest.raises(ProtocolError):
        run.returned(i32(-1))
    assert run.value is None


# --- route files ---


def back(request_, reply):
    made = documents.dump(request_, reply)
    asked = documents.request(documents.RequestDoc(**made.request), nofiles)
    return asked, documents.reply(documents.ReplyDoc(**made.respond), nofiles, asked)


VALUES = (
    st.none() | st.sampled_from(["7", "007", "-1", "\\x00", "²", "a"]) | st.builds(Raw, st.binary(max_size=4))
)
KNOWN = st.sampled_from(list(calls.NAMED.values())).flatmap(
    lambda known: st.builds(
        lambda params: Request(known.name, params, known.takes, op="call"),
        st.tuples(*[VALUES] * len(known.takes)),
    )
)
BY_OID = st.builds(
    lambda oid, params: Request(str(oid), tuple(params), op="call"),
    st.integers(10_000, (1 << 32) - 1),
    st.lists(VALUES, max_size=3),
)
PLACES = st.builds(
    Descriptor, st.integers(0, (1 << 32) - 1), st.integers(0, 1 << 19), st.integers(0, (1 << 63) - 1)
)
USING = st.builds(lambda of, n: Request("loread", (n,), (23,), op="call", descriptor=of), PLACES, VALUES)


@given(KNOWN | BY_OID | USING, VALUES.map(replied) | st.just(failed("42704", "no")))
def test_nothing_is_lost(request_, reply):
    assert back(request_, reply) == (request_, reply)


def test_a_person_could_have_written_it():
    request_ = Request("loread", ("10",), (23,), op="call", descriptor=AT)
    made = documents.dump(request_, replied("\\x6869"))
    assert made.request == {
        "call": "loread",
        "descriptor": {"object": 16400, "mode": 262144, "at": 10},
        "params": [10],
    }
    assert made.respond == {"result": "\\x6869"}
    assert documents.dump(request_, replied(None)).respond == {"result": None}
    assert documents.request(documents.RequestDoc(call=954, params=[0, 10]), nofiles) == LOREAD


@pytest.mark.parametrize(
    ("doc", "at"),
    [
        ({"call": "lo_what"}, ("call",)),
        ({"call": "16999"}, ("call",)),
        ({"call": -1}, ("call",)),
        ({"call": True}, ("call",)),
        ({"call": [1]}, ("call",)),
        ({"call": 954, "sql": "SELECT 1"}, ("call",)),
        ({"call": "loread", "params": [1]}, ("params",)),
        ({"call": 16999, "params": [1] * 101}, ("params",)),
        ({"call": "loread", "params": [1], "descriptor": {"object": 1}}, ("descriptor",)),
        ({"call": "loread", "params": [1], "descriptor": {"object": 1, "mode": 1, "at": -1}}, ("descriptor",)),
        ({"call": "loread", "params": [1], "descriptor": {"object": 1, "mode": 1, "x": 1}}, ("descriptor",)),
        ({"call": "lo_open", "params": [1], "descriptor": {"object": 1, "mode": 1}}, ("descriptor",)),
        ({"call": "lo_creat", "descriptor": {"object": 1, "mode": 1}}, ("descriptor",)),
        ({"call": 16999, "descriptor": {"object": 1, "mode": 1}}, ("descriptor",)),
        ({"descriptor": {"object": 1, "mode": 1}}, ("call",)),
    ],
)
def test_what_cannot_be_called(doc, at):
    with pytest.raises(Invalid) as invalid:
        documents.request(documents.RequestDoc(**doc), nofiles)
    assert invalid.value.at == at


def test_only_a_call_has_a_result():
    doc = documents.ReplyDoc(result=1)
    assert documents.reply(doc, nofiles, None) == replied("1")
    with pytest.raises(Invalid, match="only a call"):
        documents.reply(doc, nofiles, Request("SELECT 1"))


# --- what decides ---


def test_what_decides_a_match():
    one = Request("loread", ("10",), (23,), op="call", descriptor=AT)
    others = [
        LOREAD,
        Request("loread", ("10",), (23,), op="call", descriptor=Descriptor(16400, 262144, 20)),
        Request("loread", ("10",), (23,), op="call", descriptor=Descriptor(16401, 262144, 10)),
        Request("loread", ("10",), (23,), op="call", descriptor=Descriptor(16400, 393216, 10)),
        Request("loread", ("11",), (23,), op="call", descriptor=AT),
        Request("loread"),
    ]
    assert len({key(each, context()) for each in (one, *others)}) == 7
    assert key(one, context()).startswith(b"loread\0")
    known = {"object": 16400, "mode": 262144, "at": 10}
    assert decisive(one, context()) == {"call": "loread", "descriptor": known, "params": ["10"]}
    assert dict(fields(one, context())) == {"call": "loread", "descriptor": known, "params": ["10"]}
    assert dict(fields(LOREAD, context())) == {"call": "loread", "params": ["0", "10"]}


def test_noise():
    noisy = context(ignore=("descriptor.mode", "params.0"))
    one, other = (
        Request("loread", (size,), (23,), op="call", descriptor=Descriptor(16400, mode, 0))
        for size, mode in (("1", 262144), ("2", 393216))
    )
    assert key(one, noisy) == key(other, noisy)
