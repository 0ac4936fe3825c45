"""The owner of a partition answers sizes from counters, and lists all members in slices."""

from __future__ import annotations

import pytest

from models.batch import Restored
from models.fold.conditions_in_use import USERS_PER_SECOND
from models.fold.memo import read_memo, versions_in_use
from models.fold.segment_view import PartitionSizes, SegmentSize, members_of, sizes, slice_of
from models.units import DAY, HOUR, SECOND
from tests.support.event_logs import START
from tests.support.segment_logs import VIEWERS, folded, segments_in_use, tick, viewed

USERS = [f"u{number:02}" for number in range(30)]


def views(*users: str, at: int = 0) -> list[object]:
    return [tick(at + HOUR), *(viewed(user, at + more) for user in users for more in (0, HOUR))]


def sizes_of(state: Restored) -> PartitionSizes:
    memo = read_memo(state)
    return sizes(state, versions_in_use(state, memo), memo.now)


def test_the_sizes_are_those_of_the_counters_with_the_moves_of_the_day() -> None:
    other = {"name": "other", "when": {"any": [{"trait": "plan", "is": "x"}, {"trait": "plan", "is": "b"}]}}
    state = folded(segments_in_use(1, VIEWERS, other), tick(0), *views("u1", "u2"), tick(DAY), *views("u3", at=DAY))

    assert sizes_of(state) == PartitionSizes(
        *(0, START + DAY + HOUR, 1, None, 0),
        [
            SegmentSize("viewers", VIEWERS["when"], 1, 1, 0),
            SegmentSize("other", other["when"], 0, 0, 0),
        ],
    )


def test_without_segments_there_are_no_sizes_and_an_unknown_name_has_no_members() -> None:
    state = folded(tick(0), viewed("u1", 0))

    assert sizes_of(state).segments == []
    assert members_of(state, "viewers", START).members.number == 0


def test_new_conditions_say_until_when_they_decide() -> None:
    state = folded(tick(0), viewed("u1", 0), segments_in_use(1, VIEWERS))

    assert sizes_of(state).adopts_until == START + 1 + SECOND // USERS_PER_SECOND


@pytest.mark.parametrize("size", [1, 7, 10, 30, 500])
def test_the_slices_together_list_each_member_once(size: int) -> None:
    state = folded(
        segments_in_use(1, VIEWERS), tick(0), *views(*USERS[::-2]), *(viewed(user, 0) for user in USERS[::2])
    )

    found, after, slices = [], "", 0
    while True:
        part = slice_of(state, "viewers", after, size)
        found += part.members
        slices += 1
        if part.after is None:
            break
        after = part.after

    assert [one.user for one in found] == USERS[1::2]
    assert {one.since for one in found} == {START + HOUR}
    assert slices == len(USERS) // size + 1
    assert slice_of(state, "unknown", "").members == []
