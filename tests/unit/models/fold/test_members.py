"""The members of a segment in several partitions are added up."""

from __future__ import annotations

from models.fold.members import MAX_DAYS, MAX_NEWEST, DayMoves, Entrant, SegmentMembers, joined


def test_partitions_are_added_up_by_day_and_the_newest_of_all_are_kept() -> None:
    one = SegmentMembers(3, [DayMoves(1, 2, 1, 0), DayMoves(3, 0, 0, 2)], [Entrant(at, f"a{at}") for at in range(15)])
    other = SegmentMembers(4, [DayMoves(2, 1), DayMoves(3, 4, 1)], [Entrant(at, f"b{at}") for at in range(5, 20)])

    both = joined([one, other])

    assert both.number == 7
    assert both.days == [DayMoves(1, 2, 1, 0), DayMoves(2, 1), DayMoves(3, 4, 1, 2)]
    assert len(both.newest) == MAX_NEWEST
    assert (both.newest[0], both.newest[-1]) == (Entrant(7, "b7"), Entrant(19, "b19"))


def test_only_the_newest_days_are_kept_and_nothing_is_changed() -> None:
    one = SegmentMembers(0, [DayMoves(day, 1) for day in range(30)])
    other = SegmentMembers(0, [DayMoves(day, 1) for day in range(20, 50)])

    assert [moves.day for moves in joined([one, other]).days] == list(range(50 - MAX_DAYS, 50))
    assert one.days[25] == DayMoves(25, 1)
