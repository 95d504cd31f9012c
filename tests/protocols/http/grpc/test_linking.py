"""Descriptor files by themselves: found in sets, told apart, ordered after their imports, and linked."""

import pytest
from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2
from google.protobuf.compiler import plugin_pb2

from svcmock.protocol import Invalid
from svcmock_protocols.http.grpc import linking

pb = descriptor_pb2


def proto(name, *imports, **parts):
    return pb.FileDescriptorProto(name=name, dependency=imports, **parts)


def file(name, *imports, **parts):
    return proto(name, *imports, **parts).SerializeToString()


def set_of(*raws):
    return pb.FileDescriptorSet(
        file=[pb.FileDescriptorProto.FromString(raw) for raw in raws]
    ).SerializeToString()


def message(name, *fields, **parts):
    made = [
        pb.FieldDescriptorProto(name=field, number=i, label=1, type=9, json_name=json_name)
        for i, (field, json_name) in enumerate(fields, 1)
    ]
    return pb.DescriptorProto(name=name, field=made, **parts)


def refused(call):
    with pytest.raises(Invalid) as caught:
        call()
    return caught.value.at, caught.value.why


# --- gathered -----------------------------------------------------------------------------------------


def test_sets_and_single_files_are_told_apart():
    assert linking.gather([b"\x0a\x03\x0a\x01a"]) == {"a": b"\x0a\x01a"}  # a set of one file
    assert linking.gather([b"\x0a\x01a"]) == {"a": b"\x0a\x01a"}  # the file itself
    one, two = file("a.proto", package="p"), file("b.proto", "a.proto")
    assert linking.gather([set_of(one, two)]) == linking.gather([one, two]) == {"a.proto": one, "b.proto": two}
    assert linking.gather([]) == {}


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "\u200b", ""])
def test_a_name_that_cannot_be_shown_is_none(name):
    raw = file(name, package="p")
    assert "no descriptor set" in refused(lambda: linking.gather([raw]))[1]
    assert refused(lambda: linking.gather([file("a"), set_of(raw)]))[0] == (1,)


def test_an_import_that_is_no_text_makes_no_file():
    at, why = refused(lambda: linking.gather([file("a"), b"\x0a\x01b\x1a\x01\xff"]))
    assert (at, why) == ((1,), "no descriptor set (as protoc --descriptor_set_out writes it)")


def test_a_field_whose_name_is_no_text_does_not_link():
    field = b"\x0a\x01\xff\x18\x01\x20\x01\x28\x09"  # name, number, label, type
    held = b"\x0a\x01M\x12" + bytes([len(field)]) + field
    raw = b"\x0a\x01a\x22" + bytes([len(held)]) + held
    assert linking.gather([raw, raw + b"\x4a\x00"]) == {"a": raw}  # the copy has a source_code_info
    assert refused(lambda: pool_of(raw))[1].startswith("a does not link: ")


def test_bytes_of_a_file_are_kept_as_they_came():
    raw = file("a.proto") + b"\xf8\x07\x01"  # a field that descriptor.proto does not know
    assert linking.gather([raw, raw]) == {"a.proto": raw}


@pytest.mark.parametrize(
    ("name", "json_name"),
    [("first_name", "firstName"), ("a__b", "aB"), ("_a", "A"), ("a_", "a"), ("a_1", "a1"), ("aB", "aB")],
)
def test_a_json_name_that_follows_from_the_name_decides_nothing(name, json_name):
    """protoc makes these names: see test_what_protoc_says_of_json_names."""
    nested = message("M", (name, json_name), nested_type=[message("N", (name, json_name))])
    bare = message("M", (name, None), nested_type=[message("N", (name, None))])
    files = [file("a", message_type=[nested]), file("a", message_type=[bare])]
    assert linking.gather(files) == linking.gather(reversed(files)) == {"a": min(files)}


def test_what_protoc_says_of_json_names():
    from svcmock_protocols.http.grpc.compiler import compile_protos

    fields = "".join(
        f"string {name} = {i};" for i, name in enumerate(("first_name", "a__b", "_a", "a_", "a_1"), 1)
    )
    made = compile_protos({"a.proto": f'syntax = "proto3"; message M {{ {fields} }}'.encode()}, ["a.proto"])
    (found,) = pb.FileDescriptorSet.FromString(made).file
    assert [field.json_name for field in found.message_type[0].field] == ["firstName", "aB", "A", "a", "a1"]


@pytest.mark.parametrize(
    "other",
    [
        {"message_type": [message("M", ("first_name", "given"))]},
        {"message_type": [message("M", ("first_name", "firstname"))]},
        {"message_type": [message("N", ("first_name", "firstName"))]},
        {"message_type": [message("M", ("first_name", "firstName"))], "package": "p"},
        {},
    ],
)
def test_what_does_decide(other):
    one = file("a", message_type=[message("M", ("first_name", "firstName"))])
    for sets in ([one, file("a", **other)], [file("a", **other), one]):
        assert refused(lambda sets=sets: linking.gather(sets)) == (
            (1,),
            "a is there twice, with different content",
        )


def test_comments_decide_nothing():
    location = pb.SourceCodeInfo.Location(path=[4, 0], span=[1, 2, 3], leading_comments="what it is")
    commented = file("a", source_code_info=pb.SourceCodeInfo(location=[location]))
    assert linking.gather([commented, file("a")]) == {"a": file("a")}


def test_of_a_well_known_file_in_two_versions_the_own_one_counts():
    name = "google/protobuf/timestamp.proto"
    own = timestamp_pb2.DESCRIPTOR.serialized_pb
    old, older = file(name, package="old"), file(name, package="older")
    assert linking.gather([old]) == {name: old}
    for sets in ([old, older], [older, old], [old, own], [own, old, older]):
        assert linking.gather(sets) == {name: own}
    strange = "google/protobuf/no_such_file.proto"
    assert refused(lambda: linking.gather([file(strange), file(strange, package="p")]))[0] == (1,)


# --- completed ----------------------------------------------------------------------------------------


def order(*raws):
    return list(linking.completed(linking.gather(raws)))


def test_each_file_comes_after_its_imports():
    files = [file("a", "c", "b"), file("b", "d"), file("c", "d"), file("d"), file("e")]
    assert order(*files) == order(*reversed(files)) == ["d", "c", "b", "a", "e"]
    assert order(file("a", "b", "b"), file("b")) == ["b", "a"]


def test_imports_that_the_package_brings_along():
    any_file, plugin = "google/protobuf/any.proto", "google/protobuf/compiler/plugin.proto"
    assert order(file("a", any_file)) == [any_file, "a"]
    assert order(file("a", plugin)) == ["google/protobuf/descriptor.proto", plugin, "a"]
    protos = linking.completed({"a": file("a", plugin)})
    assert protos[plugin].SerializeToString() == plugin_pb2.DESCRIPTOR.serialized_pb


@pytest.mark.parametrize(
    "name",
    [
        "google/protobuf/nonsense.proto",
        "google/protobuf/any.proto/../any.proto",
        "google/protobuf/internal/any.proto",
        "google/protobuf/compiler/compiler/plugin.proto",
        "google/protobuf/any",
        "google/protobuf/.proto",
        "google.protobuf/any.proto",
        "/google/protobuf/any.proto",
        "google/protobuf/any.proto\n",
        "google/protobuf/" + "a" * 41 + ".proto",
        "",
    ],
)
def test_imports_that_are_nowhere(name):
    assert refused(lambda: order(file("x"), file("a", "x", name))) == (
        (),
        f"a imports {name}, which is not there",
    )


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ([file("a", "a")], "a"),
        ([file("a", "b"), file("b", "c"), file("c", "b")], "b"),
        ([file("a", "b"), file("b", "d", "c"), file("c", "a"), file("d")], "a"),
    ],
)
def test_a_circle_of_imports(files, name):
    assert refused(lambda: order(*files)) == ((), f"{name} imports itself, directly or through others")


# --- linked -------------------------------------------------------------------------------------------


def pool_of(*raws):
    files = linking.gather(raws)
    return linking.linked(files, linking.completed(files))


def test_each_pool_is_its_own():
    one = pool_of(file("a", message_type=[message("M", ("x", None))]))
    other = pool_of(file("a", message_type=[message("M", ("y", None))]))
    assert one.FindMessageTypeByName("M").fields_by_name.keys() == ["x"]
    assert other.FindMessageTypeByName("M").fields_by_name.keys() == ["y"]
    assert linking.found(other.FindMessageTypeByName, "google.protobuf.Duration") is None
    named = pool_of(file("a", duration_pb2.DESCRIPTOR.name)).FindMessageTypeByName("google.protobuf.Duration")
    assert named is not duration_pb2.Duration.DESCRIPTOR


@pytest.mark.parametrize("name", ["no.Such", "", ".", ".M", "M\x00", "\ud800", "M.x", "é" * 10_000])
def test_whatever_a_name_holds_it_is_found_or_not(name):
    pool = pool_of(file("a", message_type=[message("M", ("x", None))]))
    assert linking.found(pool.FindMessageTypeByName, name) is None
    assert linking.found(pool.FindMessageTypeByName, "M").full_name == "M"


@pytest.mark.parametrize(
    "parts",
    [
        {"message_type": [message("M"), message("M")]},
        {"message_type": [message("1 no name")]},
        {"syntax": "proto9"},
        {"message_type": [pb.DescriptorProto(name="M", field=[pb.FieldDescriptorProto(name="x", number=0)])]},
        {"public_dependency": [7]},
    ],
)
def test_files_that_mean_nothing_do_not_link(parts):
    at, why = refused(lambda: pool_of(file("fine"), file("a", **parts)))
    assert at == ()
    assert why.startswith("a does not link: ")


# --- declared -----------------------------------------------------------------------------------------


def declaring(package):
    value = pb.EnumValueDescriptorProto(name="ZERO", number=0)
    inner = message(
        "Inner",
        ("deep", None),
        enum_type=[pb.EnumDescriptorProto(name="InnerEnum", value=[value])],
        extension=[pb.FieldDescriptorProto(name="inside")],
    )
    outer = message(
        "Outer", ("text", None), nested_type=[inner], oneof_decl=[pb.OneofDescriptorProto(name="choice")]
    )
    return proto(
        "a",
        package=package,
        message_type=[outer, message("Other")],
        enum_type=[pb.EnumDescriptorProto(name="Enum", value=[value])],
        extension=[pb.FieldDescriptorProto(name="outside")],
        service=[pb.ServiceDescriptorProto(name="Svc", method=[pb.MethodDescriptorProto(name="Do")])],
    )


DECLARED = {
    *("Svc", "Svc.Do", "Enum", "ZERO", "outside", "Other", "Outer", "Outer.text", "Outer.choice"),
    *("Outer.Inner", "Outer.Inner.deep", "Outer.Inner.inside", "Outer.Inner.InnerEnum", "Outer.Inner.ZERO"),
}


@pytest.mark.parametrize(("package", "prefix"), [("", ""), ("p", "p."), ("p.q", "p.q.")])
def test_what_a_file_declares(package, prefix):
    made = list(linking.symbols(declaring(package)))
    assert len(made) == len(set(made))
    assert set(made) == {prefix + name for name in DECLARED}
    assert {name for name, _ in linking.messages(declaring(package))} == {
        prefix + name for name in ("Outer", "Other", "Outer.Inner")
    }


@pytest.mark.parametrize(
    ("raw", "name"),
    [(b"", ""), (b"\x0a\x01a", "a"), (b"\xff", None), (b"\x0a\x05a", None), (b"\x0a\x01\xff", b"\xff")],
)
def test_parsed(raw, name):
    made = linking.parsed(raw)
    assert (None if made is None else made.name) == name
