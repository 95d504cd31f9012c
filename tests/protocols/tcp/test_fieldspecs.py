"""`fields:` as a person writes it: what is wrong in it is told with its place."""

from typing import Any

import pytest

from svcmock.protocol import Invalid
from svcmock_protocols.tcp.fieldspecs import MAX_SPEC_DEPTH, Spot, record_of
from svcmock_protocols.tcp.layout import compile_layout
from svcmock_protocols.tcp.records import names_of


def nested(depth: int) -> Any:
    return [{"x": nested(depth - 1)}] if depth else "u8"


@pytest.mark.parametrize(
    ("spec", "at", "why"),
    [
        ([], "fields", "1 to"),
        ("u12", "fields", "no such type"),
        (3, "fields", "expected a type"),
        ({}, "fields", "expected a type"),
        ({"cilent": "u8"}, "fields", "no such type"),
        ({"client": "u8", "sever": "u8"}, "fields", "either"),
        (["u8"], "fields.0", "{name: type}"),
        ([{"a": "u8", "b": "u8"}], "fields.0", "{name: type}"),
        ([{"a": "u8"}, {"a": "u8"}], "fields.1", "no name"),
        ([{"a.b": "u8"}], "fields.0", "no name"),
        ([{"": "u8"}], "fields.0", "no name"),
        ([{"a": {"ascii": {"len": 3, "until": "x"}}}], "fields.0.a.ascii", "either"),
        ([{"a": {"ascii": {"len": -1}}}], "fields.0.a.ascii.len", "not understood"),
        ([{"a": {"ascii": {"until": ""}}}], "fields.0.a.ascii.until", "not understood"),
        ([{"a": {"ascii": {"until": {"hex": "x"}}}}], "fields.0.a.ascii.until.hex", "not hex"),
        ([{"a": {"ascii": {"prefix": "x"}}}], "fields.0.a.ascii.prefix", "not understood"),
        ([{"a": {"ascii": "all"}}], "fields.0.a.ascii", "expected a length"),
        ([{"a": {"ascii": 3, "pad": " "}}], "fields.0.a", "inside"),
        ([{"a": {"ascii": {"len": 3, "pad": "ab"}}}], "fields.0.a.ascii", "one character"),
        ([{"a": {"ascii": {"len": 3, "pad": 1}}}], "fields.0.a.ascii.pad", "expected str"),
        ([{"a": {"bytes": {"len": 3, "pad": " "}}}], "fields.0.a.bytes", "unknown key `pad`"),
        ([{"a": {"ascii": {"len_field": "n"}}}], "fields.0", "no field before a"),
        ([{"a": {"repeat": "u8", "count_field": "n"}}], "fields.0", "no field before a"),
        ([{"switch": {"on": "n", "cases": {"1": [{"a": "u8"}]}}}], "fields.0", "no field before the switch"),
        ([{"a": [{"b": {"ascii": {"len_field": "n"}}}]}], "fields.0.a.0", "no field before b"),
        (
            [{"a": "u8"}, {"switch": {"on": "a", "cases": {"1": [{"b": {"bytes": {"len_field": "n"}}}]}}}],
            "fields.1.switch.1.0",
            "no field before b",
        ),
        (
            [{"a": "u8"}, {"switch": {"on": "a", "cases": {"1": [{"a": "u8"}]}}}],
            "fields.1.switch.1.0",
            "no name",
        ),
        ([{"a": {"repeat": "u8", "count": -1}}], "fields.0.a", "whole number"),
        ([{"a": {"repeat": "u8", "times": 1}}], "fields.0.a", "unknown key"),
        ([{"a": {"const": 300, "as": "u8"}}], "fields.0.a.const", "does not fit"),
        ([{"a": {"length_of": "rest"}}], "fields.0.a", "as: u16"),
        ([{"a": {"length_of": 3, "as": "u8"}}], "fields.0.a", "length_of"),
        ([{"a": {"length_of": "rest", "as": "ascii"}}], "fields.0.a", "as: u16"),
        ([{"a": {"checksum": "md5", "as": "u8"}}], "fields.0.a", "no such checksum"),
        ([{"a": {"checksum": "sum8", "as": "u8", "over": "a"}}], "fields.0.a.over", "first and the last"),
        ([{"a": {"checksum": "sum8", "format": "%s"}}], "fields.0.a.format", "format"),
        ([{"a": "u8"}, {"switch": {"on": "a"}}], "fields.1.switch", "cases"),
        ([{"a": "u8"}, {"switch": {"cases": {}}}], "fields.1.switch", "cases"),
        (
            [{"a": "u8"}, {"switch": {"on": "a", "cases": {"1": [{"b": "u9"}]}}}],
            "fields.1.switch.1.0.b",
            "no such",
        ),
        ([{"a": "bytes"}, {"b": {"ascii": "llvar"}}], "fields.0", "certain size"),
        ([{"a": {"repeat": "u8"}}, {"b": "bytes"}], "fields.0", "certain size"),
        ([{"bitmap": {"bits": 7}}], "fields.0.bitmap", "whole bytes"),
        ([{"bitmap": {"fields": {"x": "u8"}}}], "fields.0.bitmap.fields.x", "named by its bit"),
        ([{"bitmap": {"fields": {"65": "u8"}}}], "fields.0.bitmap.fields.65", "named by its bit"),
        ([{"bitmap": {}}], "fields.0.bitmap", "expected `fields`"),
        ({"kv": {"pair_sep": ""}}, "fields.kv.pair_sep", "separator"),
        ({"kv": {"pair_sep": "&", "value": {"ascii": 3}}}, "fields.kv.value", "without a length"),
        ({"kv": {"pair_sep": "&", "computed": {"9": {}}}}, "fields.kv.computed.9", "length_until"),
        ({"kv": {"pair_sep": "&", "computed": {"9": {"checksum": "md5"}}}}, "fields.kv.computed.9", "checksum"),
        ({"split": {"by": 3}}, "fields.split.by", "separator"),
        ({"split": {"by": ",", "names": ["a", "a"]}}, "fields.split.names", "each of its own"),
        ({"tlv": {"tag": 9}}, "fields.tlv", "1 to 8"),
        ({"llvar": "u8"}, "fields.llvar", "without a length"),
        ({"llvar": "ascii", "pad": " "}, "fields", "unknown key"),
        (nested(MAX_SPEC_DEPTH), "", "inside each other"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(spec: Any, at: str, why: str) -> None:
    with pytest.raises(Invalid, match=why.replace("{", r"\{").replace("(", r"\(")) as told:
        compile_layout(spec, "client")
    assert not at or ".".join(map(str, told.value.at)) == at


def test_the_fields_that_a_record_may_have() -> None:
    cases = {"1": [{"a": "u8"}], "default": [{"b": "u8"}]}
    spec: list[Any] = [{"n": "u8"}, {"switch": {"on": "n", "cases": cases}}, {"c": "u8"}]
    made = record_of(spec, Spot(("fields",), "client"))
    assert list(names_of(made)) == ["n", "a", "b", "c"]
    assert made.tails == (0, 1, 0)
