"""A service with declared framing as its options say it, and the route documents of one, for tests."""

from typing import Any

import msgspec

from svcmock.noise import Noise
from svcmock.protocol import Blob, Context, Documents, Invalid
from svcmock_protocols.tcp.dialect import compile_dialect
from svcmock_protocols.tcp.documents import ReplyDoc, RequestDoc
from svcmock_protocols.tcp.documents import reply as read_reply
from svcmock_protocols.tcp.documents import request as read_request
from svcmock_protocols.tcp.messages import Options, Reply, Request

LINES = {"framing": {"delimiter": "\n"}}
MODBUS: dict[str, Any] = {
    "framing": {"length": {"offset": 4, "width": 2}},
    "fields": [
        {"txid": "u16"},
        {"proto": {"const": 0, "as": "u16"}},
        {"len": {"length_of": "rest", "as": "u16"}},
        {"unit": "u8"},
        {"fn": "u8"},
        {
            "switch": {
                "on": "fn",
                "client": {
                    "1..4": [{"addr": "u16"}, {"count": "u16"}],
                    "5..6": [{"addr": "u16"}, {"value": "u16"}],
                    "16": [
                        {"addr": "u16"},
                        {"count": "u16"},
                        {"n": "u8"},
                        {"data": {"bytes": {"len_field": "n"}}},
                    ],
                },
                "server": {
                    "1..2": [{"n": "u8"}, {"bits": {"bytes": {"len_field": "n"}}}],
                    "3..4": [{"n": {"length_of": "regs", "as": "u8"}}, {"regs": {"repeat": "u16"}}],
                    "5..16": [{"addr": "u16"}, {"value": "u16"}],
                    "128..255": [{"exception": "u8"}],
                },
            }
        },
    ],
    "reply": {"correlate": "txid"},
}
FIX: dict[str, Any] = {
    "framing": {"regex": {"header": "8=[^\x01]+\x019=(?P<len>\\d+)\x01", "trailer": 7}},
    "fields": {
        "kv": {
            "pair_sep": "\x01",
            "kv_sep": "=",
            "trailing": True,
            "first": ["8", "9", "35"],
            "last": ["10"],
            "computed": {"9": {"length_until": "10"}, "10": {"checksum": "sum8", "format": "%03d"}},
        }
    },
    "noise": ["34", "52"],
    "reply": {"correlate": "none", "swap": [["49", "56"]], "set": {"34": {"count": 1}}},
}
ISO: dict[str, Any] = {
    "framing": {"length": {"width": 2}},
    "fields": [
        {"mti": {"ascii": 4}},
        {
            "bitmap": {
                "bits": 64,
                "extends_if": 1,
                "fields": {
                    2: {"llvar": "ascii"},
                    3: {"ascii": 6},
                    4: {"ascii": 12},
                    11: {"ascii": 6},
                    39: {"ascii": 2},
                    41: {"ascii": {"len": 8, "pad": " "}},
                    52: {"bytes": 8},
                    55: {"lllvar": "bytes"},
                    70: {"ascii": 3},
                },
            }
        },
    ],
    "redact": ["2", "52"],
    "reply": {"echo": ["11", "41"]},
}


def service(options: dict[str, Any] | None = None, **more: Any) -> Context:
    """The context of a service; `ignore`, `pace`, `tls` and `pushed` (what a recorder noted) apart."""
    ignore, pace, tls = more.pop("ignore", ()), more.pop("pace", 1.0), more.pop("tls", False)
    pushed = more.pop("pushed", False)
    typed = msgspec.convert({**(options or LINES), **more}, Options)
    return Context(typed, Noise(ignore), bytes, pace, compile_dialect(typed, pushes=pushed), tls=tls)


class Stored:
    """Files by name, as a recording wrote them."""

    def __init__(self, documents: Documents | None = None) -> None:
        self._files = {} if documents is None else documents.files

    def __call__(self, name: str) -> Blob:
        if name not in self._files:
            raise Invalid((), f"there is no file {name}")
        return Blob(name, len(self.read(Blob(name, 0))))

    def read(self, blob: Blob) -> bytes:
        data = self._files[blob.path]
        assert isinstance(data, bytes)
        return data


def request(doc: dict[str, Any], context: Context, files: Stored | None = None) -> Request:
    return read_request(msgspec.convert(doc, RequestDoc), files or Stored(), context)


def reply(doc: dict[str, Any], context: Context, files: Stored | None = None) -> Reply:
    return read_reply(msgspec.convert(doc, ReplyDoc), files or Stored(), context)
