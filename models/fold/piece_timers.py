"""The order of records and timers within a piece of the log.

One rule holds wherever the log is cut: a timer fires before the record that moves the clock to its due time or beyond.
Several such timers fire in the order (due, user, name), but those of one user that decisions set come last. Three
places follow this rule:

- The first pass fires the timers of the queue. It reports each change of the clock and each timer to this class.
- The third pass may set a timer for deferred messages. If it is due within the piece, :meth:`PieceTimers.place_of`
  says where it fires. There the third pass releases the messages.
- Any other timer is in the queue when the piece ends, and a later piece fires it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from models.batch import Record
from models.fold.due_times import Entry
from models.fold.live_user import DECIDED


class Moment(NamedTuple):
    """A change of the clock within a piece.

    Attributes
    ----------
    now
        The time from then on, milliseconds.
    number
        Number of the first step at that time.
    """

    now: int
    number: int


class Fired(NamedTuple):
    """A step that is a timer.

    Attributes
    ----------
    number
        Number of the step.
    entry
        The entry of the queue that was due.
    name
        Name of the timer.
    """

    number: int
    entry: Entry
    name: str


class PieceTimers:
    """The changes of the clock and the timers of one piece.

    Parameters
    ----------
    records
        The records of the batch.
    begin
        Index of the first record of the piece.
    now
        The clock at the beginning, milliseconds.
    ends_before
        A timer before which the piece has to end if the clock reaches it; ``None`` if the piece may end anywhere.
    """

    def __init__(self, records: Sequence[Record], begin: int, now: int = 0, ends_before: Entry | None = None) -> None:
        self._records = records
        self._begin = begin
        self._ends_before = ends_before
        self._moments = [Moment(now, 0)]
        self._fired: list[Fired] = []

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"PieceTimers({len(self._moments) - 1} changes of the clock, {len(self._fired)} timers)"

    # --- reports of the first pass ---------------------------------------------------------------------------------

    def move(self, now: int, number: int) -> None:
        """Remember that the clock has moved before the step of this number."""
        self._moments.append(Moment(now, number))

    def fire(self, number: int, entry: Entry, name: str) -> None:
        """Remember that the step of this number is a timer."""
        self._fired.append(Fired(number, entry, name))

    def end_before(self, entry: Entry) -> None:
        """End the piece before a timer that is due but not a part of the piece."""
        self._ends_before = entry if self._ends_before is None else min(entry, self._ends_before)

    # --- answers to the third pass ---------------------------------------------------------------------------------

    def place_of(self, entry: Entry, name: str, after: int, end: int) -> Moment | None:
        """Return where a timer that a decision has set fires, if it fires within the piece.

        Parameters
        ----------
        entry, name
            Due time, user and name of the timer. After a jump of the clock, its due time may be in the past.
        after
            Number of the step that has set it.
        end
            Number of steps of the piece.

        Returns
        -------
        Moment or None
            The time, and the number of the step before which the timer fires.
        """
        place = bisect_left(self._moments, entry[0], key=_now)
        if place == len(self._moments):
            return None
        number = max(self._moments[place].number, after + 1)
        for fired in self._fired[bisect_left(self._fired, number, key=_number) :]:
            if fired.number != number or entry < fired.entry:
                break
            if entry == fired.entry and fired.name in DECIDED and name < fired.name:
                break
            number += 1
        if number == end and self._ends_before is not None and entry >= self._ends_before:
            return None
        return Moment(self._moments[bisect_right(self._moments, number, key=_first_number) - 1].now, number)

    def offset_at(self, number: int) -> int:
        """Return the offset of the record that is the step of this number, or before which this step or timer fires."""
        return self._records[self._begin + number - bisect_left(self._fired, number, key=_number)].offset

    def timer_at(self, number: int) -> Fired | None:
        """Return the timer that is the step of this number; ``None`` if the step is a record."""
        place = bisect_left(self._fired, number, key=_number)
        is_timer = place < len(self._fired) and self._fired[place].number == number
        return self._fired[place] if is_timer else None


def _now(moment: Moment) -> int:
    return moment.now


def _number(fired: Fired) -> int:
    return fired.number


def _first_number(moment: Moment) -> int:
    return moment.number
