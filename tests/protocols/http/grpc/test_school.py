"""A service's schema out of the project's files."""

import pytest

from svcmock.capabilities import Unreadable
from svcmock.protocol import Invalid
from svcmock_protocols.http import plugin
from svcmock_protocols.http.grpc import school
from svcmock_protocols.http.messages import Options
from tests.protocols.http.grpc.shop import PROTO, descriptor_set, schema


class Folder:
    def __init__(self, held, beside=()):
        self.held = held
        self._beside = beside

    def find(self, pattern):
        found = sorted(
            name for name in self.held if name == pattern or name.startswith(pattern.rstrip("/") + "/")
        )
        if not found:
            raise Invalid((), f"no file {pattern}")
        return found

    def beside(self, suffix):
        return sorted(name for name in self._beside if name.endswith(suffix))

    def read(self, name):
        return self.held[name]


MAIN = b"""syntax = "proto3"; package a; import "common/kinds.proto";
service S { rpc Do(common.K) returns (common.K); }"""
KINDS = b'syntax = "proto3"; package common; message K { string name = 1; }'


def test_nothing_says_nothing():
    assert plugin.schema(Options(), Folder({})) is None


def test_sources_and_what_they_import():
    held = {
        "protos/main.proto": MAIN,
        "protos/common/kinds.proto": KINDS,
        "protos/notes.txt": b"",
        "other.proto": b"bad",
    }
    for option in ("protos", ("protos/",), "protos/main.proto"):
        made = plugin.schema(Options(proto=option), Folder(held))
        assert list(made.methods) == ["/a.S/Do"]
        assert made.to_doc("common.K", b"\n\x01x") == {"name": "x"}


def test_the_same_sources_are_compiled_once_and_an_edit_is_seen():
    held = {"protos/common/kinds.proto": KINDS}
    first = plugin.schema(Options(proto="protos"), Folder(held))
    before = school._set_of.cache_info().misses
    assert plugin.schema(Options(proto="protos"), Folder(held)).digest == first.digest
    assert school._set_of.cache_info().misses == before
    edited = {"protos/common/kinds.proto": KINDS + b"\nmessage Added { int32 id = 1; }\n"}
    assert plugin.schema(Options(proto="protos"), Folder(edited)).digest != first.digest


def test_descriptor_sets_and_those_beside_the_recordings():
    held = {"shop.pb": descriptor_set(), "rec/shop.binpb": descriptor_set()}
    assert plugin.schema(Options(descriptor_set="shop.pb"), Folder(held)).digest == schema().digest
    assert plugin.schema(Options(), Folder(held, ["rec/shop.binpb"])).methods == schema().methods
    both = plugin.schema(Options(descriptor_set=("shop.pb",)), Folder(held, ["rec/shop.binpb"]))
    assert both.methods == schema().methods


def test_what_the_options_say_wins_over_what_was_recorded():
    newer = PROTO.replace(b"string note = 2", b"string remark = 2")
    held = {"shop.proto": newer, "rec/shop.binpb": descriptor_set()}
    made = plugin.schema(Options(proto="shop.proto"), Folder(held, ["rec/shop.binpb"]))
    assert made.to_doc("shop.Id", b"\x12\x01x") == {"remark": "x"}


def test_mistakes_are_told_where_they_are():
    held = {"protos/main.proto": MAIN.replace(b"common.K)", b"common.No)"), "protos/common/kinds.proto": KINDS}
    with pytest.raises(Unreadable) as caught:
        plugin.schema(Options(proto="protos"), Folder(held))
    assert caught.value.faults[0][:2] == ("protos/main.proto", 2)
    with pytest.raises(Unreadable) as caught:
        plugin.schema(Options(descriptor_set="x"), Folder({"x": b"no set"}))
    assert caught.value.faults[0][0] == "x"
    with pytest.raises(Unreadable) as caught:
        plugin.schema(Options(), Folder({"r.binpb": b"no set"}, ["r.binpb"]))
    assert caught.value.faults[0][0] == "r.binpb"


@pytest.mark.parametrize(
    ("options", "at"),
    [
        (Options(proto="none"), ("proto",)),
        (Options(proto=("protos", "none")), ("proto", 1)),
        (Options(proto="notes"), ("proto",)),
        (Options(descriptor_set=("none",)), ("descriptor_set", 0)),
    ],
)
def test_files_that_are_not_there(options, at):
    held = {"protos/common/kinds.proto": KINDS, "notes/a.txt": b""}
    with pytest.raises(Invalid) as caught:
        plugin.schema(options, Folder(held))
    assert caught.value.at == at
