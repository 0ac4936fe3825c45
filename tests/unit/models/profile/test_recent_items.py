from __future__ import annotations

from bisect import insort
from operator import attrgetter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models.profile.recent_items import RecentItem, RecentItems

WEIGHTS = st.sampled_from([1.0, 2.5, 3.0, 5.0, 0.1])
touches = st.lists(st.builds(RecentItem, st.sampled_from("abc\n"), WEIGHTS, st.integers(0, 50)), max_size=40)


@given(touches, st.integers(1, 8))
def test_columns_hold_what_a_sorted_list_of_the_newest_would(arrived: list[RecentItem], most: int) -> None:
    expected: list[RecentItem] = []
    recent = RecentItems()
    for touch in arrived:
        insort(expected, touch, key=attrgetter("at"))
        del expected[:-most]
        recent.add(touch.item, touch.weight, touch.at, most)

    back = msgspec.msgpack.decode(msgspec.msgpack.encode(recent), type=RecentItems)

    assert list(recent) == list(back) == expected
    assert list(reversed(recent)) == expected[::-1]
    assert len(recent) == len(expected)
    assert back == recent == RecentItems.of(expected)
