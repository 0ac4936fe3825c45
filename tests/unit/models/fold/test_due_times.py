"""The queue of timers, compared with one heap of all timers."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fold import due_times, timer_buckets
from models.fold.due_times import DueTimes, Entry
from models.units import DAY, HOUR, MINUTE, SECOND

START = 20_454 * DAY
delays = st.one_of(st.integers(0, 5 * HOUR), st.integers(0, 3 * SECOND), st.integers(0, 3))
steps = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "pass", "abandon"]), st.integers(0, 19), delays), max_size=120
)


@contextmanager
def small_buckets(keys: int) -> Iterator[None]:
    """Let buckets have few keys, so that few timers divide them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timer_buckets, "MAX_KEYS", keys)
        patch.setattr(due_times, "MAX_KEYS", keys)
        patch.setattr(due_times, "MAX_NEAR", 2 * keys)
        yield


class _Users:
    """Users with one timer each, their queue, and one heap of all timers."""

    def __init__(self) -> None:
        self.actual: dict[bytes, int] = {}
        self.live: dict[bytes, int] = {}
        self.queue = DueTimes(lambda key: [dues[key] for dues in (self.actual, self.live) if key in dues])
        self.heap: list[Entry] = []

    def set(self, key: bytes, due: int) -> None:
        self.actual[key] = due
        self.queue.add(due, key)
        heapq.heappush(self.heap, (due, key))

    def abandon(self, key: bytes, due: int, now: int) -> None:
        """Set the timers of some users, fire what is due, and undo all of it, as a piece that fails does."""
        added, popped = [], list[Entry]()
        for n in range(3):
            entry = due + n, b"%d" % ((int(key) + n) % 20)
            self.live[entry[1]] = entry[0]
            self.queue.add(*entry)
            added.append(entry)
        while (first := self.queue.first()) is not None and first[0] <= now:
            popped.append(self.queue.pop())
        for entry in popped:
            self.queue.add(*entry)
        self.live.clear()
        self.queue.discard(added)

    def fire(self, now: int) -> tuple[list[Entry], list[Entry]]:
        """Return the timers that fire from the queue, and those from the heap."""
        found, expected = list[Entry](), list[Entry]()
        while (entry := self.queue.first()) is not None and entry[0] <= now:
            self.queue.pop()
            if self.actual.get(entry[1]) == entry[0] and entry not in found:
                found.append(entry)
        while self.heap and self.heap[0][0] <= now:
            entry = heapq.heappop(self.heap)
            if self.actual.get(entry[1]) == entry[0] and entry not in expected:
                expected.append(entry)
        for _, key in found:
            del self.actual[key]
        return found, expected


@pytest.mark.parametrize("keys", [1, 2, 3, 1_024])
@given(steps)
def test_timers_come_in_the_order_of_due_time_and_user_as_from_one_heap(
    keys: int, log: list[tuple[str, int, int]]
) -> None:
    users, now = _Users(), START
    with small_buckets(keys):
        for what, user, delay in log:
            key = b"%d" % user
            if what == "set":
                users.set(key, now + delay)
            elif what == "drop":
                users.actual.pop(key, None)
            elif what == "abandon":
                users.abandon(key, now + delay, now + delay // 2)
            else:
                now += delay
                assert users.queue.may_be_due(now) or not [due for due in users.actual.values() if due <= now]
                found, expected = users.fire(now)
                assert found == expected
        found, expected = users.fire(now + DAY)
        assert found == expected
        assert not users.actual


@pytest.mark.parametrize("spread", [DAY, HOUR, MINUTE, 1])
def test_a_hundred_thousand_timers_fire_in_order_and_no_call_opens_more_than_a_few_lists(spread: int) -> None:
    dues = {b"%06d" % n: START + n * 7_919 % spread for n in range(100_000)}
    looked_up, most = 0, 0

    def due_of(key: bytes) -> list[int]:
        nonlocal looked_up
        looked_up += 1
        return [dues[key]]

    queue = DueTimes(due_of)
    for key, due in reversed(dues.items()):
        queue.add(due, key)
    found = []
    while queue.first() is not None:
        most, looked_up = max(most, looked_up), 0
        found.append(queue.pop())

    assert found == sorted((due, key) for key, due in dues.items())
    assert most <= len(timer_buckets.WIDTHS) * timer_buckets.MAX_KEYS
    assert len(queue) == 0


def test_the_heap_stays_small_if_timers_are_added_before_the_next_one() -> None:
    dues = {b"%06d" % n: START + DAY - n for n in range(50_000)}
    queue = DueTimes(lambda key: [dues[key]])
    most = 0
    for key, due in dues.items():
        queue.add(due, key)
        queue.first()
        most = max(most, int(repr(queue).split()[2]))

    assert most <= due_times.MAX_NEAR
    assert [queue.pop() for _ in dues] == sorted((due, key) for key, due in dues.items())


def test_users_who_are_added_while_their_millisecond_fires_take_their_place() -> None:
    keys = [b"%06d" % n for n in range(0, 10_000, 2)]
    queue = DueTimes(lambda key: [START])
    for key in keys:
        queue.add(START, key)
    found = [queue.pop() for _ in range(1_500)]
    later = [b"%06d" % n for n in range(3_001, 10_000, 2)]
    for key in reversed(later):
        queue.add(START, key)
    while queue.first() is not None:
        found.append(queue.pop())

    assert found == [(START, key) for key in sorted(keys + later)]
