"""A preview of segments by rule: recorded events folded in memory, by the fold that production uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.configuration.compiled import Configuration, encode
from models.events import Event, encode_event
from models.fold.members import DayMoves, SegmentMembers, key_of, read_members
from models.fold.partition import PartitionFold
from models.log import CONTROL, EVENTS, Tick, Use, encode_control, opening
from models.units import DAY

MAX_SPAN_MS = 30 * DAY
"""Maximum time between the first and the last record that are folded together, milliseconds; so no day is forgotten."""


class SegmentPreview:
    """A fold of recorded events with the segments by rule of a configuration.

    The configuration's rules are left out, because messages that no one gets must not change the segments.

    Parameters
    ----------
    configuration
        The configuration.

    Attributes
    ----------
    now
        The clock, milliseconds.
    events
        Number of events so far.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.now = 0
        self.events = 0
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._days: dict[bytes, dict[int, DayMoves]] = {key_of(one.name): {} for one in configuration.segments}
        used = msgspec.structs.replace(configuration, rules=(), templates={})
        content = Use(name="configuration", version=1, content=msgspec.Raw(encode(used)))
        self._take([encode_control(opening("feeder")), encode_control(content)])

    def __repr__(self) -> str:
        """Show the clock and the number of events."""
        return f"SegmentPreview(now={self.now}, {self.events} events)"

    def fold(self, events: Iterable[Event]) -> None:
        """Fold events in their order. An event moves the clock to its time, unless the clock is there already."""
        contents: list[tuple[bytes, bytes]] = []
        begin = self.now
        for event in events:
            if event.at - begin > MAX_SPAN_MS:
                self._take(contents)
                self.pass_to(event.at)
                contents, begin = [], self.now
            elif event.at > self.now:
                self.now = event.at
                contents.append(encode_control(Tick(at=event.at)))
            contents.append((event.user.encode(), encode_event(event)))
            self.events += 1
        self._take(contents)

    def pass_to(self, at: int) -> None:
        """Move the clock, so that the timers that are due by then fire."""
        while at > self.now:
            self.now = min(at, self.now + MAX_SPAN_MS) if self.now else at
            self._take([encode_control(Tick(at=self.now))])

    @property
    def reads_models(self) -> bool:
        """Whether a condition reads a score or a learned segment, which a preview does not have."""
        conditions = self._fold.versions.conditions
        if conditions is None:
            return False
        return conditions.reads_learned or any(subject == "score" for subject, _ in conditions.decided_names)

    @property
    def users(self) -> int:
        """Number of users."""
        return sum(key[:1] != CONTROL for key in self._state.records)

    def members(self, name: str) -> SegmentMembers:
        """Return the members of a segment, with the moves of all days."""
        key = key_of(name)
        counted, days = read_members(self._state.records.get(key)), self._days[key]
        return SegmentMembers(counted.number, [days[day] for day in sorted(days)], counted.newest)

    def _take(self, contents: Sequence[tuple[bytes, bytes]]) -> None:
        if not contents:
            return
        begin = self._state.position
        records: list[Record] = [
            MadeRecord(begin + place, self.now, key, value) for place, (key, value) in enumerate(contents)
        ]
        outputs = self._fold.fold(Batch(EVENTS, 0, records))
        self._state.apply(outputs.commit, begin + len(records))
        for key, days in self._days.items():
            if key in outputs.commit.state:
                days.update((one.day, one) for one in read_members(outputs.commit.state[key]).days)
