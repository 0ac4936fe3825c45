"""The state of a partition at a time in the past: its log folded again, in memory, up to that time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.fold.partition import PartitionFold
from models.log import CLOCK_KEY, EVENTS, TICK_KEY, Tick, decode_control, encode_control


class PastFold:
    """A fold of a log from its beginning, up to the last record that does not move the clock beyond a time.

    Its outputs are dropped, because the running fold has written them already.

    Parameters
    ----------
    partition
        Number of the partition.
    at
        The time, milliseconds.

    Attributes
    ----------
    state
        The state so far.
    is_reached
        Whether a record that moves the clock beyond the time was found.
    """

    def __init__(self, partition: int, at: int) -> None:
        self.state = Restored(partition=partition)
        self.is_reached = False
        self._fold = PartitionFold(self.state)
        self._at = at

    def __repr__(self) -> str:
        """Show the place."""
        return f"PastFold({self.state.partition}, at {self.state.position}, until {self._at})"

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._fold.now

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``; empty before the first record."""
        return self._fold.clock

    def take(self, records: Sequence[Record]) -> None:
        """Fold the next records of the log, unless the time is reached."""
        if self.is_reached or not records:
            return
        if not self._fold.clock and not self._is_after(records[0]):  # the first record says which clock the log has
            self._apply(records[:1], records[0].offset + 1)
            records = records[1:]
        end = next((index for index, record in enumerate(records) if self._is_after(record)), len(records))
        self.is_reached = end < len(records)
        if end:
            self._apply(records[:end], records[end - 1].offset + 1)

    def finish(self) -> Restored:
        """Move the clock to the time, so that all timers due by then fire, and return the state."""
        if self._fold.clock and self._fold.now < self._at:
            key, value = encode_control(Tick(at=self._at))
            self._apply([MadeRecord(self.state.position, self._at, key, value)], self.state.position)
        return self.state

    def _apply(self, records: Sequence[Record], position: int) -> None:
        outputs = self._fold.fold(Batch(EVENTS, self.state.partition, records))
        self.state.apply(outputs.commit, position)

    def _is_after(self, record: Record) -> bool:
        """Return whether a record moves the clock beyond the time."""
        if record.key == CLOCK_KEY:
            return False
        if self._fold.clock != "feeder":
            return record.timestamp > self._at
        if record.key != TICK_KEY or record.value is None:
            return False
        try:
            tick = decode_control(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False  # the fold makes it a dead letter, and it moves no clock
        return isinstance(tick, Tick) and tick.at > self._at
