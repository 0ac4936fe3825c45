"""The order of records and timers within a piece."""

from __future__ import annotations

import pytest

from models.fold.due_times import Entry
from models.fold.piece_timers import Moment, PieceTimers
from tests.support.event_logs import written

RECORDS = written([(b"u", b"{}")] * 9)


def timers(ends_before: Entry | None = None) -> PieceTimers:
    """Return those of a piece: record 2, then two timers with the clock at 30, then records 3 and 4."""
    made = PieceTimers(RECORDS, 2, 5, ends_before)
    made.move(30, 1)
    made.fire(1, (10, b"b"), "assess")
    made.fire(2, (20, b"d"), "label")
    made.move(50, 4)
    return made


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ((9, b"z"), Moment(30, 1)),
        ((10, b"a"), Moment(30, 1)),
        ((10, b"c"), Moment(30, 2)),
        ((20, b"c"), Moment(30, 2)),
        ((20, b"e"), Moment(30, 3)),
        ((31, b"a"), Moment(50, 4)),
        ((51, b"a"), None),
    ],
)
def test_a_timer_fires_before_the_record_that_reaches_its_due_time_and_among_the_others_by_due_time_and_user(
    entry: Entry, place: Moment | None
) -> None:
    assert timers().place_of(entry, "pending", -1, end=5) == place


def test_a_timer_that_is_due_in_the_past_fires_after_the_step_that_has_set_it() -> None:
    assert timers().place_of((3, b"a"), "waits", 0, end=5) == Moment(30, 1)
    assert timers().place_of((9, b"a"), "waits", 1, end=5) == Moment(30, 2)
    assert timers().place_of((21, b"a"), "waits", 1, end=5) == Moment(30, 3)
    assert timers().place_of((9, b"a"), "waits", 3, end=5) == Moment(50, 4)


def test_a_timer_at_the_end_of_a_piece_fires_only_if_it_is_before_the_timer_at_which_the_piece_ends() -> None:
    made = timers()
    made.end_before((40, b"m"))

    assert made.place_of((40, b"l"), "pending", -1, end=4) == Moment(50, 4)
    assert made.place_of((40, b"m"), "pending", -1, end=4) is None
    assert made.place_of((40, b"m"), "pending", -1, end=5) == Moment(50, 4)


def test_each_step_has_the_offset_of_its_record_or_of_the_record_before_which_it_fires() -> None:
    assert [timers().offset_at(number) for number in range(5)] == [2, 3, 3, 3, 4]
    assert [timers().timer_at(number) is not None for number in range(5)] == [False, True, True, False, False]
