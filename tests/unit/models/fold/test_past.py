"""A partition as it was at a time in the past equals the partition whose log ends there."""

from __future__ import annotations

import itertools

import pytest

from models.batch import Restored
from models.events import Event
from models.fold.members import key_of, read_members
from models.fold.memo import read_memo
from models.fold.past import PastFold
from models.log import Control, opening
from models.units import DAY, HOUR, MINUTE
from tests.support.event_logs import START, PartitionRecord, fold_log, written
from tests.support.segment_logs import VIEWERS, folded, segment_log, segments_in_use, tick, viewed

CONTENTS = (
    *(segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0), tick(HOUR), viewed("u1", HOUR)),
    *(tick(2 * HOUR), viewed("u2", 2 * HOUR), tick(DAY), viewed("u1", DAY)),
)


def past(records: list[PartitionRecord], at: int, size: int) -> Restored:
    fold = PastFold(0, at)
    for begin in range(0, len(records), size):
        fold.take(records[begin : begin + size])
    return fold.finish()


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("at", [30 * MINUTE, HOUR, 90 * MINUTE, 3 * HOUR - 1, 3 * HOUR, DAY - 1, DAY, 2 * DAY])
def test_the_state_equals_that_of_a_log_which_ends_at_the_time(at: int, size: int) -> None:
    known = [
        one
        for one, moment in zip(CONTENTS, (0, 0, 0, HOUR, HOUR, *[2 * HOUR] * 2, DAY, DAY), strict=True)
        if moment <= at
    ]

    found, expected = past(segment_log(*CONTENTS), START + at, size), folded(*known, tick(at))

    assert found.records == expected.records
    assert read_memo(found) == read_memo(expected)


def test_a_member_leaves_at_the_instant() -> None:
    records = segment_log(*CONTENTS)

    sizes = [
        read_members(past(records, START + 3 * HOUR + more, 100).records[key_of("viewers")]).number for more in (-1, 0)
    ]

    assert sizes == [1, 0]


@pytest.mark.parametrize("number", range(6))
def test_on_a_wall_clock_the_time_of_a_record_is_its_timestamp(number: int) -> None:
    contents: list[Event | Control] = [
        opening("wall"),
        segments_in_use(1, VIEWERS),
        *(viewed("u1", place) for place in range(4)),
    ]
    records = written(contents)

    found = past(records, START + number, 4)

    expected, _ = fold_log(records[: number + 1], itertools.repeat(100))
    assert (found.records, found.position) == (expected.records, number + 1)


def test_before_the_first_event_there_is_no_user() -> None:
    assert not [key for key in past(segment_log(*CONTENTS), START - 1, 100).records if key[:1] != b"\0"]


def test_whether_the_log_reaches_the_time_is_known() -> None:
    fold = PastFold(0, START + DAY - 1)
    fold.take(segment_log(*CONTENTS)[:-2])
    assert (fold.is_reached, fold.now, fold.clock) == (False, START + 2 * HOUR, "feeder")
    fold.take(segment_log(*CONTENTS)[-2:])
    assert fold.is_reached
