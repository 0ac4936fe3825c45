"""The buffer in front of a lane: order, gaps and bounds."""

from __future__ import annotations

import pytest
from faust.types import TP

from stream.engine.errors import LogEndsBefore
from stream.engine.fetch_buffer import MAX_BYTES, MAX_FETCHES, FetchBuffer
from stream.engine.fetches import Fetch
from tests.support.counting import record

EVENTS = TP("t.events", 0)


def fetch(first: int, count: int, *, epoch: int = 1, sequence: int = 0) -> Fetch:
    """Return a fetch of this many records, from offset ``first`` on."""
    return Fetch([record(offset) for offset in range(first, first + count)], epoch, sequence)


def large(offset: int, size: int, *, sequence: int) -> Fetch:
    """Return a fetch of one record of this size."""
    return Fetch([record(offset, b"", b"x" * size)], epoch=1, sequence=sequence)


def new_buffer(max_records: int = 100, position: int = 0, max_bytes: int = MAX_BYTES) -> FetchBuffer:
    """Return a buffer whose epoch is 1."""
    made = FetchBuffer(EVENTS, max_records, max_bytes)
    made.reset(epoch=1, position=position)
    return made


def offsets(buffer: FetchBuffer, max_records: int = 1_000) -> list[int]:
    """Take records, and return their offsets."""
    return [one.offset for one in buffer.take(max_records)]


def test_all_records_that_wait_are_taken_together_in_order() -> None:
    buffer = new_buffer()
    buffer.put(fetch(0, 3))
    buffer.put(fetch(3, 2, sequence=1))
    assert offsets(buffer) == [0, 1, 2, 3, 4]
    assert buffer.waiting == 0


def test_records_that_do_not_fit_into_a_batch_stay_in_the_buffer() -> None:
    buffer = new_buffer()
    buffer.put(fetch(0, 5))
    assert (offsets(buffer, 3), offsets(buffer, 3)) == ([0, 1, 2], [3, 4])


def test_a_buffer_is_full_when_many_records_wait() -> None:
    buffer = new_buffer(max_records=5)
    buffer.put(fetch(0, 4))
    before = buffer.full
    buffer.put(fetch(4, 1, sequence=1))
    assert (before, buffer.full) == (False, True)


def test_a_buffer_is_full_when_many_small_fetches_wait() -> None:
    buffer = new_buffer(max_records=1_000)
    for number in range(MAX_FETCHES):
        assert not buffer.full
        buffer.put(fetch(number, 1, sequence=number))
    assert buffer.full


def test_a_fetch_of_another_epoch_is_ignored() -> None:
    buffer = new_buffer()
    assert buffer.put(fetch(7, 1, epoch=0))
    assert buffer.waiting == 0


def test_a_gap_in_the_sequence_is_reported_and_no_record_after_it_is_taken() -> None:
    buffer = new_buffer()
    assert buffer.put(fetch(0, 1))
    assert not buffer.put(fetch(2, 1, sequence=2))
    assert offsets(buffer) == [0]


def test_records_before_the_position_are_refused() -> None:
    buffer = new_buffer(position=3)
    with pytest.raises(
        LogEndsBefore, match=r"t\.events\[0\]: the next offset to read is 3, but the log ends before that"
    ):
        buffer.put(fetch(0, 5))
    assert buffer.waiting == 0


def test_a_fetch_from_a_log_that_begins_again_is_refused() -> None:
    buffer = new_buffer()
    buffer.put(fetch(0, 5))
    with pytest.raises(LogEndsBefore, match="the next offset to read is 5"):
        buffer.put(fetch(0, 1, sequence=1))


def test_a_buffer_is_full_while_many_bytes_wait() -> None:
    buffer = new_buffer(max_records=1_000)
    buffer.put(large(0, MAX_BYTES // 2, sequence=0))
    half = buffer.full
    buffer.put(large(1, MAX_BYTES // 2, sequence=1))
    whole = buffer.full
    buffer.take(1)
    assert (half, whole, buffer.full) == (False, True, False)


def test_a_fetch_of_any_size_is_taken() -> None:
    buffer = new_buffer(max_records=1_000, max_bytes=10)
    assert not buffer.full
    buffer.put(large(0, 1_000, sequence=0))
    assert (buffer.full, offsets(buffer), buffer.full) == (True, [0], False)


def test_bytes_are_counted_when_a_part_of_a_fetch_is_taken_and_when_the_buffer_is_reset() -> None:
    buffer = new_buffer(max_records=1_000, max_bytes=30)
    buffer.put(Fetch([record(offset, b"", b"x" * 10) for offset in range(5)], epoch=1, sequence=0))
    seen = []
    for _ in range(3):
        seen.append(buffer.full)
        buffer.take(1)
    buffer.put(Fetch([record(5, b"", b"x" * 10)], epoch=1, sequence=1))
    refilled = buffer.full
    buffer.reset(epoch=2, position=0)
    assert (seen, refilled, buffer.full) == ([True, True, True], True, False)


def test_a_reset_removes_all_records() -> None:
    buffer = new_buffer()
    buffer.put(fetch(0, 5))
    buffer.reset(epoch=2, position=2)
    buffer.put(fetch(2, 1, epoch=2))
    assert offsets(buffer) == [2]
