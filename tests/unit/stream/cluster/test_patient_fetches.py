"""A fetch waits long only if it contains all partitions, and all of them were read to their ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.cluster.patient_fetches import has_read_everything, wait_longer_when_idle

SHORT_MS, LONG_MS = 50, 2_000


class FetcherDouble:
    """The part of aiokafka's fetcher that decides about the next fetch; it keeps the wait of each fetch."""

    def __init__(self) -> None:
        self._records: dict[str, object] = {}
        self._fetch_max_wait_ms = SHORT_MS
        self.waits: list[int] = []

    def _get_actions_per_node(self, assignment: object) -> object:
        self.waits.append(self._fetch_max_wait_ms)
        return assignment

    def turn(self) -> int:
        """Decide about the next fetch; return its wait."""
        assert self._get_actions_per_node("assigned") == "assigned"
        return self.waits[-1]

    def buffer(self, *places: str) -> None:
        """Keep records of these partitions only."""
        self._records = dict.fromkeys(places)


def state(position: int | None, end: int | None) -> SimpleNamespace:
    return SimpleNamespace(has_valid_position=position is not None, position=position, highwater=end)


def consumer_of(fetcher: FetcherDouble, states: dict[str, SimpleNamespace] | None) -> Any:
    assignment = None if states is None else SimpleNamespace(tps=set(states), state_value=states.__getitem__)
    return SimpleNamespace(
        _fetcher=fetcher, _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    )


@pytest.mark.parametrize(
    ("states", "read"),
    [
        ({"a": state(5, 5), "b": state(0, 0)}, True),
        ({"a": state(5, 5), "b": state(6, 7)}, False),
        ({"a": state(5, 5), "b": state(6, None)}, False),
        ({"a": state(None, 5)}, False),
        (None, False),
    ],
)
def test_everything_is_read_when_each_partition_is_read_to_the_end_of_its_newest_answer(
    states: dict[str, SimpleNamespace] | None, read: bool
) -> None:
    assert has_read_everything(consumer_of(FetcherDouble(), states)) is read


def test_an_idle_consumer_fetches_with_a_long_wait_and_a_busy_one_with_a_short_wait() -> None:
    fetcher = FetcherDouble()
    place = state(4, 5)
    wait_longer_when_idle(consumer_of(fetcher, {"a": place}), wait_ms=SHORT_MS, idle_wait_ms=LONG_MS)

    assert fetcher.turn() == SHORT_MS
    place.position = 5
    assert fetcher.turn() == LONG_MS
    place.highwater = 6
    assert fetcher.turn() == SHORT_MS


def test_a_partition_whose_records_are_not_taken_would_have_to_wait_so_the_fetch_of_the_others_is_short() -> None:
    fetcher = FetcherDouble()
    wait_longer_when_idle(
        consumer_of(fetcher, {"a": state(5, 5), "b": state(5, 5)}), wait_ms=SHORT_MS, idle_wait_ms=LONG_MS
    )
    fetcher.buffer("a")
    assert fetcher.turn() == SHORT_MS

    fetcher.buffer()
    assert fetcher.turn() == LONG_MS


def test_a_consumer_whose_owner_is_busy_fetches_with_a_short_wait() -> None:
    fetcher, busy, turns = FetcherDouble(), [True], []
    wait_longer_when_idle(
        consumer_of(fetcher, {"a": state(5, 5)}),
        wait_ms=SHORT_MS,
        idle_wait_ms=LONG_MS,
        is_idle=lambda: not busy[0],
        on_turn=lambda: turns.append(1),
    )
    assert fetcher.turn() == SHORT_MS

    busy[0] = False
    assert (fetcher.turn(), len(turns)) == (LONG_MS, 2)
