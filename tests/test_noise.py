"""Field paths that never decide: what they cover, what they leave, and that no pattern is a weapon."""

from typing import Any

import pytest

from svcmock.noise import MEMO_PATH, Noise


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("headers.date", "headers.date", True),
        ("headers.date", "headers.datex", False),
        ("headers.date", "headers", False),
        ("json.a", "json.a.b.c", True),
        ("json.items.*.seen_at", "json.items.0.seen_at", True),
        ("json.items.*.seen_at", "json.items.0.x.seen_at", False),
        ("headers.x-*-id", "headers.x-trace-id", True),
        ("headers.x-*-id", "headers.x-id", False),
        ("headers.*a*b*", "headers.xxaxxbxx", True),
        ("headers.*a*b*", "headers.xxbxxaxx", False),
        ("headers.ab*ba", "headers.aba", False),
        ("*", "query.x", True),
        ("*.id", "query.id", True),
        ("query", "query.anything", True),
    ],
)
def test_what_a_pattern_covers(pattern: str, path: str, covered: bool) -> None:
    noise = Noise([pattern])
    assert noise.covers(*path.split(".")) is covered
    if covered:
        assert noise.concerns(path.split(".", maxsplit=1)[0])


def test_no_pattern_covers_nothing() -> None:
    assert not Noise().covers("headers", "date")
    assert not Noise().concerns("headers")
    assert not Noise(["json.a"]).concerns("query")


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3}}),
        ({"list": [{"t": 1, "k": 2}, {"t": 3}, 5]}, {"list": [{"k": 2}, {}, 5]}),
        ([1, 2], [1, 2]),
        ("text", "text"),
        (None, None),
    ],
)
def test_pruning_cuts_out_what_is_covered(value: Any, left: Any) -> None:
    assert Noise(["json.a", "json.b.c", "json.list.*.t"]).prune(value, "json") == left


def test_pruning_shares_what_it_is_not_concerned_with() -> None:
    value = {"a": [1]}
    assert Noise(["query.a"]).prune(value, "json") is value


def test_equal_patterns_are_one_noise_whatever_their_order() -> None:
    one, other = Noise(["b", "a", "a"]), Noise(["a", "b"])
    assert one == other
    assert hash(one) == hash(other)
    assert one != Noise(["a"])
    assert one != ("a", "b")
    assert repr(one) == "Noise(['a', 'b'])"


def test_names_of_any_length_are_judged_and_a_hostile_one_is_quick() -> None:
    noise = Noise(["headers." + "*a" * 50 + "*z"])
    assert not noise.covers("headers", "a" * 200_000)
    assert noise.covers("headers", "a" * 200_000 + "z")
    assert len("a" * 200_000) > MEMO_PATH
