"""What is kept of routes that are read is bounded, and what stands near a key is found without reading all."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from svcmock.matching.recall import ROUTE_BYTES, Damaged, Recall, count_keys, digest_of, near_keys


class Route(Struct):
    key: bytes
    doc: bytes = b""


class File:
    """Routes of a file, and how often some were asked for."""

    def __init__(self, *routes: Route, damaged: bool = False) -> None:
        self.keys: Sequence[bytes] = sorted({route.key for route in routes})
        self.asked = 0
        self._routes = routes
        self._damaged = damaged

    def find(self, key: bytes, digest: int) -> list[Route]:
        assert digest == digest_of(key)
        if self._damaged:
            raise Damaged("damaged")
        self.asked += 1
        return [route for route in self._routes if route.key == key]

    def several(self) -> Iterator[bytes]:
        return iter([key for key in self.keys if len([r for r in self._routes if r.key == key]) > 1])


def recall(*files: File, routes: int = 100) -> Recall[Route, list[Route]]:
    """Keeps about so many small routes."""
    return Recall(files, lambda _, found: found, lambda found: found, most=routes * (ROUTE_BYTES + 1))


def test_routes_of_all_files_answer_together_in_their_order() -> None:
    a, b, c = Route(b"a"), Route(b"a", b"later"), Route(b"c")
    several = recall(File(a, c), File(b))
    assert several.find(b"a") == [a, b]
    assert several.find(b"c") == [c]
    assert several.find(b"b") is None
    assert list(recall(File(a, b, c)).several()) == [b"a"]


def test_what_was_asked_for_is_the_same_object_without_reading_again() -> None:
    file = File(Route(b"a"))
    kept = recall(file)
    first = kept.find(b"a")
    assert kept.find(b"a") is first
    assert file.asked == 1


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(2, 30))
def test_what_is_kept_is_bounded_and_right(asked: list[int], most: int) -> None:
    file = File(*(Route(b"%d" % number) for number in range(30)))
    kept = recall(file, routes=most)
    for number in asked:
        want = [Route(b"%d" % number)] if number < 30 else None
        assert kept.find(b"%d" % number) == want
        assert len(kept._young) + len(kept._old) <= most + 1


def test_what_is_asked_for_all_the_time_stays() -> None:
    file = File(*(Route(b"%d" % number) for number in range(1000)))
    kept = recall(file, routes=20)
    first = kept.find(b"0")
    for number in range(1, 1000):
        kept.find(b"%d" % number)
        assert kept.find(b"0") is first


def test_large_documents_leave_room_for_fewer() -> None:
    file = File(*(Route(b"%d" % number, b"x" * 50 * ROUTE_BYTES) for number in range(10)))
    kept = recall(file, routes=100)
    for number in range(10):
        kept.find(b"%d" % number)
    assert len(kept._young) + len(kept._old) <= 2


def test_damage_is_told_each_time() -> None:
    kept = recall(File(Route(b"a"), damaged=True))
    for _ in range(2):
        with pytest.raises(Damaged):
            kept.find(b"a")


# --- what stands near ---------------------------------------------------------------------------------

KEYS = st.lists(
    st.builds(
        lambda address, rest: address + b"\0" + rest,
        st.sampled_from([b"/a", b"/b", b"/c"]),
        st.binary(max_size=2),
    ),
    unique=True,
    max_size=30,
)


def nearest(keys: list[bytes], key: bytes, most: int) -> list[bytes]:
    """The rule on all keys at once: outwards in turn within the address, then outwards from the address."""
    address = key.partition(b"\0")[0] + b"\0"
    above = [k for k in keys if k >= key and k.startswith(address)]
    below = [k for k in reversed(keys) if k < key and k.startswith(address)]
    own = in_turn(above, below)
    after = [k for k in keys if not k.startswith(address) and k > address]
    before = [k for k in reversed(keys) if not k.startswith(address) and k < address]
    return [*own, *in_turn(before, after)][:most]


def in_turn(one: list[bytes], other: list[bytes]) -> list[bytes]:
    found = []
    for place in range(max(len(one), len(other))):
        found += [*one[place : place + 1], *other[place : place + 1]]
    return found


@given(st.lists(KEYS, max_size=4), KEYS.filter(bool), st.integers(1, 12))
def test_near_keys_of_several_sources_are_those_of_all_together(
    sources: list[list[bytes]], asked: list[bytes], most: int
) -> None:
    together = sorted({key for keys in sources for key in keys})
    apart = [sorted(keys) for keys in sources]
    assert list(near_keys(apart, asked[0], most)) == nearest(together, asked[0], most)


@given(st.lists(KEYS, max_size=3))
def test_keys_of_an_address_are_counted_once(sources: list[list[bytes]]) -> None:
    together = {key for keys in sources for key in keys}
    for address in (b"/a", b"/b", b"/x"):
        count = sum(key.startswith(address + b"\0") for key in together)
        assert count_keys([sorted(keys) for keys in sources], address) == count


def test_very_many_keys_are_counted_without_reading_them() -> None:
    class Asked(list[bytes]):
        asked = 0

        def __getitem__(self, at: Any) -> Any:
            Asked.asked += 1
            assert not isinstance(at, slice)
            return super().__getitem__(at)

    many = Asked(sorted(b"/a\0%d" % number for number in range(10_000)))
    assert count_keys([many, [b"/a\0x"]], b"/a") == 10_001
    assert Asked.asked < 100
