"""What tells one group of answers from another, and what shapes hold."""

from svcmock.matching.answers import Answer, Group, Shapes


def group(*docs: bytes, key: bytes = b"k", service: str = "shop") -> Group:
    return Group([Answer("r.yaml", 1, doc) for doc in docs], "sequence", key, service)


def test_a_group_is_known_by_its_demand_its_answers_its_service_and_its_policy() -> None:
    same = group(b"1", b"2")
    assert group(b"1", b"2").identity == same.identity
    others = [
        group(b"2", b"1"),
        group(b"1"),
        group(b"1", b"2", key=b"other"),
        group(b"1", b"2", service="other"),
        Group(same.answers, "cycle", b"k", "shop"),
    ]
    assert len({same.identity, *(other.identity for other in others)}) == 1 + len(others)


def test_shapes_give_every_answer() -> None:
    one, other = Answer("r.yaml", 1, b""), Answer("r.yaml", 2, b"")
    shapes = Shapes()
    shapes.by_names = [(("headers.a", "headers.b"), {(b"1", b"2"): one}), (("headers.a",), {(b"1",): other})]
    assert list(shapes.found()) == [one, other]
