"""Trials in memory: a log folded as if a configuration had always been in use, and a look ahead without events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count

import msgspec

from models.batch import Batch, MadeRecord, Outputs, Record, Restored
from models.configuration.compiled import Configuration, encode
from models.delivery.messages import Message, decode_message
from models.engage.decisions import Decision, decode_decision
from models.engage.planned import PlannedMessages
from models.events import CHANNELS, Event, encode_event
from models.fold.partition import PartitionFold
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

MESSAGE_TOPICS = frozenset(f"messages.{channel}" for channel in CHANNELS)
MAX_TICK_MS = 10 * MINUTE
"""Maximum time between two records that move the clock of a recording, milliseconds."""
_SHARES = 1 << 32


class UserSample:
    """A part of all users, chosen by a hash of their ids; so each run has the same ones.

    Parameters
    ----------
    share
        The share of users, above 0 and at most 1.

    Examples
    --------
    >>> sum(UserSample(0.1).has(b"user-%d" % number) for number in range(10_000))
    1008
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self._below = round(share * _SHARES)

    def __repr__(self) -> str:
        return f"UserSample({self.share})"

    def has(self, key: bytes) -> bool:
        """Return whether a user is in the sample."""
        if self._below >= _SHARES:
            return True
        return int.from_bytes(blake2b(key, digest_size=4, person=b"sample").digest(), "big") < self._below


EVERYONE = UserSample()


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


class OutlookFold:
    """A fold of one partition into the future, as if no event came: only timers fire.

    Parameters
    ----------
    state
        The committed state of the partition; it changes.
    begin
        Time of the log where it begins, milliseconds; at least the partition's own clock.

    Attributes
    ----------
    begin
        Time at which the outlook begins, milliseconds.
    """

    def __init__(self, state: Restored, begin: int) -> None:
        self._state = state
        self._fold = PartitionFold(state)
        self.begin = max(begin, self._fold.now)

    def __repr__(self) -> str:
        return f"OutlookFold({self._state.partition}, from {self.begin}, at {self._fold.now})"

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``."""
        return self._fold.clock

    def run(self, until: int) -> Iterator[tuple[int, list[Decision]]]:
        """Move the clock minute by minute, and yield each time with the decisions of that minute.

        The first time is :attr:`begin`, at which all fire that should have fired before.

        Parameters
        ----------
        until
            The end, milliseconds.
        """
        now = self.begin
        while True:
            key, value = encode_control(Tick(at=now))
            tick = MadeRecord(self._state.position, now, key, value)
            outputs = self._fold.fold(Batch(EVENTS, self._state.partition, [tick]))
            self._state.apply(outputs.commit, self._state.position + 1)
            yield now, decided(outputs)[0]
            if now >= until:
                return
            now = min(until, now + MINUTE)


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


def decided(outputs: Outputs) -> tuple[list[Decision], dict[str, Message]]:
    """Return the decisions of a fold in their order, and the messages that they send by their ids."""
    decisions: list[Decision] = []
    messages: dict[str, Message] = {}
    for output in outputs.commit.records:
        if output.value is None or output.key[:1] == CONTROL:
            continue
        if output.topic == "decisions":
            decisions.append(decode_decision(output.value))
        elif output.topic in MESSAGE_TOPICS:
            try:
                message = decode_message(output.value)
            except msgspec.ValidationError:
                continue  # a notice about a message, which is in the same topic
            messages[message.id] = message
    return decisions, messages


def _read(value: bytes | None) -> object:
    """Return a control record; ``None`` if it cannot be read, because then the fold makes it a dead letter."""
    try:
        return decode_control(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
