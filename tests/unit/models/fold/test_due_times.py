"""The queue of timers, compared with one heap of all timers."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from models.fold.due_times import DueTimes
from models.units import HOUR

steps = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "pass"]), st.integers(0, 9), st.integers(0, 5 * HOUR)), max_size=60
)


@given(steps)
def test_timers_come_in_the_order_of_due_time_and_user_as_from_one_heap(log: list[tuple[str, int, int]]) -> None:
    actual: dict[bytes, int] = {}
    times = DueTimes(lambda key: [actual[key]] if key in actual else [])
    heap: list[tuple[int, bytes]] = []
    now = 0
    for what, user, step in log:
        key = b"%d" % user
        if what == "set":
            actual[key] = now + step
            times.add(actual[key], key)
            heapq.heappush(heap, (actual[key], key))
        elif what == "drop":
            actual.pop(key, None)
        else:
            now += step
            fired, expected = [], []
            assert times.may_be_due(now) or not [due for key, due in actual.items() if due <= now]
            while (entry := times.first()) is not None and entry[0] <= now:
                times.pop()
                if actual.get(entry[1]) == entry[0] and entry not in fired:
                    fired.append(entry)
            while heap and heap[0][0] <= now:
                entry = heapq.heappop(heap)
                if actual.get(entry[1]) == entry[0] and entry not in expected:
                    expected.append(entry)
            assert fired == expected
            for _, key in fired:
                del actual[key]
