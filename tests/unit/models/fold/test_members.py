"""The members of a segment in several partitions are added up."""

from __future__ import annotations

from models.fold.members import (
    MAX_DAYS,
    MAX_NEWEST,
    DayMoves,
    Entrant,
    SegmentMembers,
    SegmentMove,
    StayingMember,
    joined,
)


def test_partitions_are_added_up_by_day_and_the_newest_of_all_are_kept() -> None:
    one = SegmentMembers(3, [DayMoves(1, 2, 1, 0), DayMoves(3, 0, 0, 2)], [Entrant(at, f"a{at}") for at in range(15)])
    other = SegmentMembers(4, [DayMoves(2, 1), DayMoves(3, 4, 1)], [Entrant(at, f"b{at}") for at in range(5, 20)])

    both = joined([one, other])

    assert both.number == 7
    assert both.days == [DayMoves(1, 2, 1, 0), DayMoves(2, 1), DayMoves(3, 4, 1, 2)]
    assert len(both.newest) == MAX_NEWEST
    assert (both.newest[0], both.newest[-1]) == (Entrant(7, "b7"), Entrant(19, "b19"))


def test_members_who_stay_take_the_place_of_the_newest_who_have_left() -> None:
    members = SegmentMembers()
    for number in range(30):
        members.move(SegmentMove("s", f"u{number:02}", True, number, False))
    assert (members.has_room, members.stay(StayingMember("s", "u00", 0))) == (False, False)

    for number in range(12, 30):
        members.move(SegmentMove("s", f"u{number:02}", False, 40, False))
    assert ([one.user for one in members.newest], members.has_room) == (["u10", "u11"], True)
    assert [members.stay(StayingMember("s", f"u{number:02}", number)) for number in (3, 3, 11)] == [True, False, False]
    assert members.newest == [Entrant(3, "u03"), Entrant(10, "u10"), Entrant(11, "u11")]
    for number in range(10):
        members.stay(StayingMember("s", f"u{number:02}", number))
    assert (len(members.newest), members.number, members.has_room) == (12, 12, False)


def test_only_the_newest_days_are_kept_and_nothing_is_changed() -> None:
    one = SegmentMembers(0, [DayMoves(day, 1) for day in range(30)])
    other = SegmentMembers(0, [DayMoves(day, 1) for day in range(20, 50)])

    assert [moves.day for moves in joined([one, other]).days] == list(range(50 - MAX_DAYS, 50))
    assert one.days[25] == DayMoves(25, 1)
