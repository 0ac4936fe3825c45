"""The demo's figures of journeys are those that the fold has counted, over all partitions."""

from __future__ import annotations

import msgspec
import pytest

from models.fold.journey_counts import JourneyCounts, key_of
from stream.demo.journeys import JourneyTally, figures_of


def test_the_newest_counts_of_all_partitions_are_added_up() -> None:
    tally = JourneyTally()
    first = JourneyCounts(active={"v1": 5}, entered=9, held_out=1, converted=4, ended={"bought": 4})
    newer = JourneyCounts(active={"v1": 4, "v2": 1}, entered=10, held_out=1, converted=4, ended={"bought": 5})
    other = JourneyCounts(entered=7, held_out=3, converted=3, converted_held_out=2, ended={"timed_out": 6, "bought": 1})
    for partition, counts in ((0, first), (0, newer), (1, other)):
        tally.add(partition, key_of("cart"), msgspec.msgpack.encode(counts))
    tally.add(0, b"\0members:cart", b"x")
    tally.add(0, key_of("gone"), None)

    figures = tally.figures()

    assert list(figures) == ["cart"]
    cart = figures["cart"]
    assert (cart.entered, cart.waiting, cart.ended) == (17, 5, {"bought": 6, "timed_out": 6})
    assert (cart.messaged, cart.messaged_goals, cart.control, cart.control_goals) == (13, 5, 4, 2)
    assert cart.lift is None


def test_the_goal_is_compared_with_the_control_group_once_both_have_enough_runs() -> None:
    enough = figures_of([JourneyCounts(entered=200, held_out=100, converted=100, converted_held_out=10)])
    few = figures_of([JourneyCounts(entered=200, held_out=8, converted=100, converted_held_out=1)])

    assert enough.lift == pytest.approx(0.9 - 0.1)
    assert enough.low is not None
    assert 0.6 < enough.low < 0.8
    assert (few.lift, few.low, few.high) == (None, None, None)
    assert (few.control, few.control_goals) == (8, 1)
