"""A ring in shared memory: against a deque, over successors, and with writers that are killed."""

import contextlib
import mmap
import os
import signal
import subprocess
import sys
from collections import deque
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import svcmock.ring as ring_module
from svcmock.ring import HEAD, Ring

SIZE = 256
STEPS = st.lists(st.integers(0, SIZE // 2 - 8) | st.sampled_from(["successor", "reader"]), max_size=60)


def record(number: int, length: int) -> bytes:
    return (b"%d:" % number * length)[:length]


@given(STEPS)
def test_it_keeps_the_newest_records_whole_and_in_order(steps: list[int | str]) -> None:
    memory = bytearray(HEAD + SIZE)
    ring, reader = Ring(memory), Ring(memory)
    told: deque[tuple[int, bytes]] = deque()
    for step in steps:
        if step == "successor":
            ring = Ring(memory)
        elif step == "reader":
            reader = Ring(memory)
        else:
            assert isinstance(step, int)
            number = len(told)
            assert ring.append(record(number, step)) == number
            told.append((number, record(number, step)))
        kept = list(reader.records())
        assert kept == list(told)[len(told) - len(kept) :]
        assert (reader.first, reader.next, ring.next) == (len(told) - len(kept), len(told), len(told))
        assert list(reader.records(len(told) - 1)) == kept[-1:]
        # what is dropped has to make room for something
        lost = list(told)[: len(told) - len(kept)][-1:]
        assert not lost or sum(16 + len(data) for _, data in [*lost, *kept]) + SIZE // 16 + SIZE // 2 > SIZE


def test_a_record_that_is_too_large_is_refused_and_changes_nothing() -> None:
    ring = Ring(bytearray(HEAD + SIZE))
    ring.append(b"first")
    with pytest.raises(ValueError, match="too large"):
        ring.append(bytes(ring.most + 1))
    assert ring.append(bytes(ring.most)) == 1
    assert list(ring.records()) == [(0, b"first"), (1, bytes(ring.most))]


class Interrupted(Exception):
    """In place of a kill."""


@given(STEPS, st.integers(0, 60), st.integers(0, 40))
def test_a_writer_that_ends_anywhere_leaves_what_it_had_published(
    steps: list[int | str], step_at: int, line_at: int
) -> None:
    """It ends at every line in turn; the ring is then read, and another goes on."""
    memory = bytearray(HEAD + SIZE)
    ring = Ring(memory)
    told: list[bytes] = []
    lengths = [step for step in steps if isinstance(step, int)]
    for number, length in enumerate(lengths):
        data = record(number, length)
        if number == step_at:
            left = line_at
            published = ring.next

            def trace(frame: FrameType, event: str, _arg: object) -> object:
                nonlocal left
                if event == "line" and frame.f_code.co_filename == ring_module.__file__:
                    left -= 1
                    if left < 0:
                        raise Interrupted
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            with contextlib.suppress(Interrupted):
                ring.append(data)
            sys.settrace(before)
            ring = Ring(memory)
            assert ring.next in (published, published + 1)
            if ring.next == published:
                continue
        else:
            ring.append(data)
        told.append(data)
        kept = list(Ring(memory).records())
        assert [text for _, text in kept] == told[len(told) - len(kept) :]
        assert [place for place, _ in kept] == list(range(len(told) - len(kept), len(told)))


WRITER = """
import mmap, sys
from svcmock.ring import Ring
ring = Ring(mmap.mmap(int(sys.argv[1]), 0))
ring.resume()
print(flush=True)
while True:
    number = ring.next
    text = b"%d:" % number
    ring.append(text * (number * 7919 % 40))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="anonymous shared files are Linux's")
def test_a_killed_writer_loses_nothing_and_its_successor_goes_on() -> None:
    file = os.memfd_create("ring")
    try:
        os.ftruncate(file, HEAD + 2**14)
        memory = mmap.mmap(file, 0)
        ring = Ring(memory)
        for kill in range(12):
            before = ring.next
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(file)], pass_fds=[file], stdout=subprocess.PIPE
            )
            assert writer.stdout is not None
            try:
                writer.stdout.readline()
                seen = before
                # a different number of looks, so that it dies at a different place
                for _ in range(kill * 7 + 1):
                    numbers = []
                    for number, data in ring.records():
                        assert data == b"%d:" % number * (number * 7919 % 40)
                        numbers.append(number)
                    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
                    assert not numbers or numbers[-1] >= seen - 1
                    seen = ring.next
            finally:
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                writer.stdout.close()
            numbers = [number for number, _ in ring.records()]
            assert numbers == list(range(ring.first, ring.next))
            for number, data in ring.records():
                assert data == b"%d:" % number * (number * 7919 % 40)
    finally:
        os.close(file)
