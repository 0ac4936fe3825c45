from __future__ import annotations

from stream.inbox import DELIVERIES, Inbox
from stream.transport import Delivery
from tests.stream.memory import record


def delivery(first: int, count: int, *, epoch: int = 1, sequence: int = 0) -> Delivery:
    return Delivery([record(offset) for offset in range(first, first + count)], epoch, sequence)


def inbox(limit: int = 100, position: int = 0) -> Inbox:
    made = Inbox(limit)
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


def test_records_before_the_position_are_dropped() -> None:
    waiting = inbox(position=3)
    waiting.put(delivery(0, 5))
    assert offsets(waiting) == [3, 4]


def test_a_reset_forgets_what_waits() -> None:
    waiting = inbox()
    waiting.put(delivery(0, 5))
    waiting.reset(epoch=2, position=2)
    waiting.put(delivery(2, 1, epoch=2))
    assert offsets(waiting) == [2]
