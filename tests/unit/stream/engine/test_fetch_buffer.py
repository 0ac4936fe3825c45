from __future__ import annotations

import pytest

from stream.engine.fetch_buffer import DELIVERIES, WAITING_BYTES, Inbox, LogEndsBefore
from stream.transport.consumer import Delivery
from tests.support.memory import EVENTS, record


def delivery(first: int, count: int, *, epoch: int = 1, sequence: int = 0) -> Delivery:
    return Delivery([record(offset) for offset in range(first, first + count)], epoch, sequence)


def inbox(limit: int = 100, position: int = 0) -> Inbox:
    made = Inbox(EVENTS, limit)
    made.reset(epoch=1, position=position)
    return made


def offsets(made: Inbox, most: int = 1_000) -> list[int]:
    return [entry.offset for entry in made.take(most)]


def test_all_that_waits_is_taken_together_in_order() -> None:
    waiting = inbox()
    waiting.put(delivery(0, 3))
    waiting.put(delivery(3, 2, sequence=1))
    assert offsets(waiting) == [0, 1, 2, 3, 4]
    assert waiting.waiting == 0


def test_what_does_not_fit_into_a_batch_stays() -> None:
    waiting = inbox()
    waiting.put(delivery(0, 5))
    assert (offsets(waiting, 3), offsets(waiting, 3)) == ([0, 1, 2], [3, 4])


def test_it_is_full_in_records_and_not_in_deliveries() -> None:
    waiting = inbox(limit=5)
    waiting.put(delivery(0, 4))
    before = waiting.full
    waiting.put(delivery(4, 1, sequence=1))
    assert (before, waiting.full) == (False, True)


def test_it_is_full_when_many_deliveries_wait_however_few_their_records() -> None:
    waiting = inbox(limit=1_000)
    for number in range(DELIVERIES):
        assert not waiting.full
        waiting.put(delivery(number, 1, sequence=number))
    assert waiting.full


def test_a_delivery_of_another_epoch_is_refused_without_a_complaint() -> None:
    waiting = inbox()
    assert waiting.put(delivery(7, 1, epoch=0))
    assert waiting.waiting == 0


def test_a_gap_in_the_sequence_is_told_and_nothing_behind_it_is_taken() -> None:
    waiting = inbox()
    assert waiting.put(delivery(0, 1))
    assert not waiting.put(delivery(2, 1, sequence=2))
    assert offsets(waiting) == [0]


def test_records_before_the_position_are_another_log_and_never_passed_in_silence() -> None:
    waiting = inbox(position=3)
    with pytest.raises(LogEndsBefore, match=r"t\.events\[0\]: 3 is to be read next, and the log ends before that"):
        waiting.put(delivery(0, 5))
    assert waiting.waiting == 0


def test_a_log_that_begins_anew_while_it_is_read_is_noticed() -> None:
    waiting = inbox()
    waiting.put(delivery(0, 5))
    with pytest.raises(LogEndsBefore, match="5 is to be read next"):
        waiting.put(delivery(0, 1, sequence=1))


def large(offset: int, size: int, *, sequence: int) -> Delivery:
    return Delivery([record(offset, b"", b"x" * size)], epoch=1, sequence=sequence)


def test_it_is_full_when_many_bytes_wait_and_takes_more_once_they_were_taken() -> None:
    waiting = inbox(limit=1_000)
    waiting.put(large(0, WAITING_BYTES // 2, sequence=0))
    half = waiting.full
    waiting.put(large(1, WAITING_BYTES // 2, sequence=1))
    whole = waiting.full
    waiting.take(1)
    assert (half, whole, waiting.full) == (False, True, False)


def test_a_delivery_is_always_taken_however_large_it_is() -> None:
    waiting = Inbox(EVENTS, limit=1_000, most_bytes=10)
    waiting.reset(epoch=1, position=0)
    assert not waiting.full
    waiting.put(large(0, 1_000, sequence=0))
    assert (waiting.full, offsets(waiting), waiting.full) == (True, [0], False)


def test_bytes_are_counted_through_a_batch_that_takes_a_part_of_a_delivery_and_through_a_reset() -> None:
    waiting = Inbox(EVENTS, limit=1_000, most_bytes=30)
    waiting.reset(epoch=1, position=0)
    waiting.put(Delivery([record(offset, b"", b"x" * 10) for offset in range(5)], epoch=1, sequence=0))
    seen = []
    for _ in range(3):
        seen.append(waiting.full)
        waiting.take(1)
    waiting.put(Delivery([record(5, b"", b"x" * 10)], epoch=1, sequence=1))
    refilled = waiting.full
    waiting.reset(epoch=2, position=0)
    assert (seen, refilled, waiting.full) == ([True, True, True], True, False)


def test_a_reset_forgets_what_waits() -> None:
    waiting = inbox()
    waiting.put(delivery(0, 5))
    waiting.reset(epoch=2, position=2)
    waiting.put(delivery(2, 1, epoch=2))
    assert offsets(waiting) == [2]
