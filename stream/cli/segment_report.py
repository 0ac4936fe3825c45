"""Report about one segment by rule: condition, size, growth by day, and the newest members."""

from __future__ import annotations

from typing import Any, NamedTuple

from models.counting import counted
from models.fold.members import MAX_DAYS, DayMoves, SegmentMembers
from models.fold.moments import moment
from models.units import DAY
from stream.cli.output import print_line, print_table, short_time
from stream.settings.plain_writing import WIDTH, write_member

_BARS = "▁▂▃▄▅▆▇█"


class SegmentReport(NamedTuple):
    """A segment by rule at a time.

    Attributes
    ----------
    name, when
        Its name, and its condition as ``perennial fmt`` writes it.
    members
        Its counted members.
    now
        The time, milliseconds.
    """

    name: str
    when: Any
    members: SegmentMembers
    now: int


def described(report: SegmentReport) -> dict[str, Any]:
    """Return a report as values that JSON can hold."""
    return {
        "name": report.name,
        "as_of": moment(report.now),
        "when": report.when,
        "members": report.members.number,
        "days": [
            {
                "day": _day(one.day),
                "entered": one.entered,
                "left": one.left,
                "adopted": one.adopted,
                "members": number,
            }
            for one, number in _growth(report.members)
        ],
        "newest": [{"user": one.user, "since": moment(one.since)} for one in reversed(report.members.newest)],
    }


def show_report(report: SegmentReport) -> None:
    """Print a report."""
    members, growth = report.members, _growth(report.members)
    print_line(f"{report.name}: {counted(members.number, 'member')} as of {short_time(moment(report.now))} UTC")
    print_line()
    for line in write_member("when", report.when, WIDTH):
        print_line(line)
    if growth:
        today = max(report.now // DAY, growth[-1][0].day)
        numbers, first = _each_day(growth, today), today - MAX_DAYS + 1
        print_line()
        print_line(f"members at the end of each day, {_day(first)} to {_day(today)}: {sparkline(numbers)}")
        print_table(
            ("day", "entered", "left", "by new conditions", "members"),
            [
                (_day(one.day), f"{one.entered:,}", f"{one.left:,}", f"{one.adopted:,}", f"{number:,}")
                for one, number in growth
                if one.day >= first
            ],
        )
    if members.newest:
        print_line()
        print_line("newest members")
        print_table(("since", "user"), [(short_time(moment(one.since)), one.user) for one in reversed(members.newest)])


def sparkline(numbers: list[int]) -> str:
    """Draw numbers as bars, from zero to the largest one.

    Examples
    --------
    >>> sparkline([0, 1, 4, 8])
    '▁▁▄█'
    """
    largest = max(numbers, default=0) or 1
    return "".join(_BARS[number * (len(_BARS) - 1) // largest] for number in numbers)


def _growth(members: SegmentMembers) -> list[tuple[DayMoves, int]]:
    """Return the moves of each day that has some, with the number of members at its end."""
    found, number = [], members.number
    for one in reversed(members.days):
        found.append((one, number))
        number -= one.entered - one.left + one.adopted
    return found[::-1]


def _each_day(growth: list[tuple[DayMoves, int]], today: int) -> list[int]:
    """Return the number of members at the end of each of the last days."""
    first, begin = growth[0]
    number = begin - first.entered + first.left - first.adopted
    known, found = {one.day: at_end for one, at_end in growth}, []
    for day in range(min(first.day, today - MAX_DAYS + 1), today + 1):
        number = known.get(day, number)
        found.append(number)
    return found[-MAX_DAYS:]


def _day(day: int) -> str:
    return str(moment(day * DAY))[:10] if day else "1970-01-01"
