"""A log folded in memory as if a configuration had been in use from its beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.configuration.compiled import Configuration, encode
from models.engage.planned import PlannedMessages
from models.events import Event, encode_event
from models.fold.outlook import decided
from models.fold.partition import PartitionFold
from models.fold.user_sample import EVERYONE, UserSample
from models.fold.versions import CONFIGURATION
from models.levels import LEVEL
from models.log import (
    CLOCK_KEY,
    CONTROL,
    EVENTS,
    HISTORY_KEY,
    SPLIT_KEY,
    USE_KEY,
    Clock,
    Tick,
    Use,
    decode_control,
    encode_control,
    opening,
)
from models.units import MINUTE

MAX_TICK_MS = 10 * MINUTE
"""Maximum time between two records that move the clock of a recording, milliseconds."""


class TrialFold:
    """A fold of one partition of a log, as if a configuration had been in use from the beginning.

    The records that put a configuration into use, that bring the history of its clauses, and that split profiles are
    left out. The models in use are those of the log. The fold has the newest format level from the beginning.

    Parameters
    ----------
    partition
        Number of the partition.
    configuration
        The configuration.
    sample
        The users that are folded.

    Attributes
    ----------
    messages
        The decisions about messages.
    """

    def __init__(self, partition: int, configuration: Configuration, sample: UserSample = EVERYONE) -> None:
        self.messages = PlannedMessages()
        self._state = Restored(partition=partition)
        self._fold = PartitionFold(self._state)
        self._configuration = encode_control(
            Use(name=CONFIGURATION, version=1, content=msgspec.Raw(encode(configuration)))
        )
        self._is_used = False
        self._sample = sample

    def __repr__(self) -> str:
        return f"TrialFold({self._state.partition}, at {self._state.position}, {self.messages!r})"

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._fold.now

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``; empty before the first record."""
        return self._fold.clock

    def take(self, records: Sequence[Record]) -> None:
        """Fold the next records of the log."""
        folded = list(self._changed(records))
        outputs = self._fold.fold(Batch(EVENTS, self._state.partition, folded))
        self._state.apply(outputs.commit, records[-1].offset + 1)
        self.messages.add(*decided(outputs))

    def _changed(self, records: Sequence[Record]) -> Iterator[Record]:
        """Yield the records as they would be in a log that began with the configuration."""
        for record in records:
            key, value = record.key, record.value
            if key == CLOCK_KEY:
                clock = _read(value)
                if isinstance(clock, Clock):
                    key, value = encode_control(opening(clock.clock))
                    yield MadeRecord(record.offset, record.timestamp, key, value)
                continue
            if not self._is_used:
                self._is_used = True
                yield MadeRecord(record.offset, record.timestamp, *self._configuration)
            if key is not None and (self._is_folded(key, value) if key[:1] == CONTROL else self._sample.has(key)):
                yield record

    def _is_folded(self, key: bytes, value: bytes | None) -> bool:
        """Return whether a control record is folded as it is."""
        if key in (HISTORY_KEY, SPLIT_KEY):
            return False
        control = _read(value) if key == USE_KEY else None
        return not (isinstance(control, Use) and control.name in (CONFIGURATION, LEVEL))


def recorded(events: Iterable[Event]) -> Iterator[MadeRecord]:
    """Yield the records of a log that has one partition and these events, in their order.

    An event moves the clock to its time, unless the clock is there already. Between two events, the clock moves at
    least every :data:`MAX_TICK_MS`, so that no message expires because its timer fires too late.
    """
    now, offset = 0, count()
    yield MadeRecord(next(offset), 0, *encode_control(opening("feeder")))
    for event in events:
        while event.at > now:
            now = min(event.at, now + MAX_TICK_MS) if now else event.at
            yield MadeRecord(next(offset), now, *encode_control(Tick(at=now)))
        yield MadeRecord(next(offset), now, event.user.encode(), encode_event(event))


def _read(value: bytes | None) -> object:
    """Return a control record; ``None`` if it cannot be read, because then the fold makes it a dead letter."""
    try:
        return decode_control(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
