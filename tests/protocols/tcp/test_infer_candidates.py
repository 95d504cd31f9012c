"""Where the marks of a framing may be."""

from typing import Any

import pytest

from svcmock_protocols.tcp.infer_candidates import candidates


def docs(*runs: bytes) -> list[Any]:
    return [doc for doc, _ in candidates(runs)]


@pytest.mark.parametrize(
    ("runs", "doc"),
    [
        ([b"GET a\r\n", b"QUIT\r\n"], {"delimiter": "\r\n"}),
        ([b"a\n"], {"delimiter": "\n"}),
        ([b"\x0bMSH|^~\\&\x1c\r"], {"envelope": {"start": {"hex": "0b"}, "end": {"hex": "1c0d"}}}),
        ([b"\0\0\0\2ab"], {"length": {"width": 4}}),
        ([b"\0\x04ab"], {"length": {"width": 2, "counts": "frame"}}),
        ([b"\2\0ab"], {"length": {"width": 2, "endian": "little"}}),
        ([b"\1\2\0\0\0\2ab"], {"length": {"offset": 4, "width": 2}}),
        ([b"\2abXY"], {"length": {"width": 1, "adjust": 2}}),
        ([b"0002ab"], {"length": {"width": 4, "encoding": "ascii"}}),
        ([b"001Aabcdefghijklmnopqrstuvwxyz"], {"length": {"width": 4, "encoding": "hex"}}),
        ([b"\2ab"], {"length": {"encoding": "varint"}}),
    ],
)
def test_a_mark_is_found(runs: list[bytes], doc: object) -> None:
    assert doc in docs(*runs)


def test_a_mark_that_most_runs_lack_is_none() -> None:
    assert {"delimiter": "\n"} in docs(b"a\n", b"b")
    assert {"delimiter": "\n"} not in docs(b"a\n", b"b", b"c")


def test_longer_marks_weigh_more() -> None:
    weights = {repr(doc): weight for doc, weight in candidates([b"\0\0\0\2a\r\n"[:6] + b"\r\n"])}
    assert weights["{'delimiter': '\\r\\n'}"] > weights["{'delimiter': '\\n'}"]
    wide = {repr(doc): weight for doc, weight in candidates([b"\0\0\0\2ab"])}
    assert wide["{'length': {'width': 4}}"] > wide["{'length': {'offset': 3, 'width': 1}}"]


def test_without_bytes_there_are_none() -> None:
    assert docs() == docs(b"") == []
