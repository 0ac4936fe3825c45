from __future__ import annotations

from bisect import insort
from operator import attrgetter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models.profile.recent_items import RecentItem, RecentItems

WEIGHTS = st.sampled_from([1.0, 2.5, 3.0, 5.0, 0.1])
interactions = st.lists(st.builds(RecentItem, st.sampled_from("abc\n"), WEIGHTS, st.integers(0, 50)), max_size=40)


@given(interactions, st.integers(1, 8))
def test_the_columns_hold_the_same_as_a_sorted_list_of_the_newest_items(arrived: list[RecentItem], limit: int) -> None:
    expected: list[RecentItem] = []
    recent = RecentItems()
    for one in arrived:
        insort(expected, one, key=attrgetter("at"))
        del expected[:-limit]
        recent.add(one.item, one.weight, one.at, limit)

    back = msgspec.msgpack.decode(msgspec.msgpack.encode(recent), type=RecentItems)

    assert list(recent) == list(back) == expected
    assert list(reversed(recent)) == expected[::-1]
    assert len(recent) == len(expected)
    assert back == recent == RecentItems.of(expected)
