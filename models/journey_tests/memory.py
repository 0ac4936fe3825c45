"""The fold and delivery of production in memory, with one clock that a test moves.

There is one partition. Each event is folded alone, messages go to the delivery queue at once, and outcomes come back as
events, as the router writes them. The clock stops at each timer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from models.batch import Batch, MadeRecord, Output, Record, Restored
from models.configuration.compiled import Configuration, encode
from models.configuration.journeys.versions import Place
from models.delivery.calls import Call, CallTerms
from models.delivery.deliveries import Result
from models.delivery.queue import DeliveryQueue
from models.delivery.step import DeliveryStep
from models.events import CHANNELS, Channel, Event, encode_event
from models.fold.partition import PartitionFold
from models.fold.versions import CHURN, CONFIGURATION, Versions
from models.log import EVENTS, Control, Tick, Use, encode_control, opening
from models.profile.codec import unpack
from models.profile.state import Customer

MAX_AT_ONE_TIME = 10_000
"""Maximum number of timers at one time of the clock; more are an error of the engine, and not of a test."""

Answer = Callable[[Call], Result]
"""Return the provider's answer to a call."""


class WrittenRecord(NamedTuple):
    """A record that the fold has written, or the answer of a provider.

    Attributes
    ----------
    at
        Time of the clock, milliseconds.
    topic
        Topic of the record; ``answer`` for that of a provider, and ``outcome`` for what delivery reports.
    value
        The record.
    call, result
        The call of a provider and its answer.
    """

    at: int
    topic: str
    value: bytes = b""
    call: Call | None = None
    result: Result | None = None


class MemoryInstallation:
    """One partition of the fold, and the delivery queues of all channels.

    Parameters
    ----------
    configuration
        The configuration.
    at
        The time at which the log begins, milliseconds.
    answer
        The provider.
    seen
        Called with each happening, in their order.

    Attributes
    ----------
    now
        The clock, milliseconds.
    """

    def __init__(
        self, configuration: Configuration, at: int, answer: Answer, seen: Callable[[WrittenRecord], None]
    ) -> None:
        self.now = at
        self._answer = answer
        self._seen = seen
        self._state = Restored()
        self._fold = PartitionFold(self._state)
        self._next_due: int | None = None
        self._queues = {channel: _Channel(channel) for channel in CHANNELS}
        self._timestamp = at
        self._fold_records([encode_control(opening("feeder")), encode_control(Tick(at))])
        self.use(CONFIGURATION, encode(configuration))
        self._fold.versions.journeys.reached = set()

    def __repr__(self) -> str:
        """Show the clock."""
        return f"MemoryInstallation(now={self.now})"

    @property
    def reached(self) -> set[tuple[str, Place]]:
        """The places to which runs have come, by journey."""
        return self._fold.versions.journeys.reached or set()

    @property
    def versions(self) -> Versions:
        """The versions in use."""
        return self._fold.versions

    def customer(self, user: str) -> Customer:
        """Return the state of a user; an empty one if the user is unknown."""
        stored = self._state.records.get(user.encode())
        return Customer() if stored is None else unpack(stored)

    def use(self, name: str, content: bytes) -> None:
        """Put a version into use."""
        number = self._fold.versions.number(name) + 1
        self._control(Use(name=name, version=number, content=msgspec.Raw(content)))

    def use_risk(self, content: bytes) -> None:
        """Put a version of the churn model into use."""
        self.use(CHURN, content)

    def fold(self, event: Event) -> None:
        """Fold an event at the present time of the clock."""
        self._fold_records([(event.user.encode(), encode_event(event))])

    def pass_to(self, at: int) -> None:
        """Move the clock to a time, and stop at each timer on the way."""
        at_once = 0
        while (due := self._due()) is not None and due <= at:
            at_once = at_once + 1 if due <= self.now else 0
            if at_once > MAX_AT_ONE_TIME:
                raise AssertionError(f"a timer is due at {self.now}, and stays so")
            self._tick(max(due, self.now))
        if at > self.now:
            self._tick(at)

    def _due(self) -> int | None:
        dues = [due for due in (self._next_due, *(queue.due for queue in self._queues.values())) if due is not None]
        return min(dues, default=None)

    def _tick(self, at: int) -> None:
        if at > self.now or (self._next_due is not None and self._next_due <= at):
            self.now = at
            self._control(Tick(at))
        for queue in self._queues.values():
            if queue.due is not None and queue.due <= at:
                self._deliver(queue, ())

    def _control(self, control: Control) -> None:
        self._fold_records([encode_control(control)])

    def _fold_records(self, contents: Iterable[tuple[bytes, bytes]]) -> None:
        waiting = list(contents)
        while waiting:
            begin = self._state.position
            records: list[Record] = [
                MadeRecord(begin + place, self.now, key, value) for place, (key, value) in enumerate(waiting)
            ]
            outputs = self._fold.fold(Batch(EVENTS, 0, records))
            self._state.apply(outputs.commit, begin + len(records))
            self._next_due = outputs.next_due
            waiting = [found for output in outputs.commit.records for found in self._follow(output)]

    def _follow(self, output: Output) -> list[tuple[bytes, bytes]]:
        """Handle a record of the fold, and return the records that the router writes because of it."""
        if output.value is None:
            return []
        self._seen(WrittenRecord(self.now, output.topic, output.value))
        if output.topic == "outcomes":
            return [(output.key, output.value)]
        first, _, channel = output.topic.partition(".")
        if first == "messages":
            for name, queue in self._queues.items():
                if name == channel:
                    return self._outcomes(queue, [MadeRecord(queue.position, self.now, output.key, output.value)])
        return []

    def _deliver(self, queue: _Channel, records: Iterable[Record]) -> None:
        self._fold_records(self._outcomes(queue, records))

    def _outcomes(self, queue: _Channel, records: Iterable[Record]) -> list[tuple[bytes, bytes]]:
        """Hand messages over, and return the outcomes."""
        found: list[Output] = []
        calls = queue.take(records, self.now, found)
        while calls:
            for call in calls:
                result = self._answer(call)
                self._seen(WrittenRecord(self.now, "answer", call=call, result=result))
                queue.settle(call, result, self.now, found)
            calls = queue.take((), self.now, found)
        outcomes = [(one.key, one.value) for one in found if one.topic == "outcomes" and one.value is not None]
        for _, value in outcomes:
            self._seen(WrittenRecord(self.now, "outcome", value))
        return outcomes


class _Channel:
    """The delivery queue of one channel."""

    def __init__(self, channel: Channel) -> None:
        self._topic = f"messages.{channel}"
        self._state = Restored()
        self._queue = DeliveryQueue(self._state.records, b"", CallTerms("journey tests"))
        self.position = 0

    @property
    def due(self) -> int | None:
        """The time of the next timer, milliseconds."""
        return self._queue.next_due

    def take(self, records: Iterable[Record], now: int, found: list[Output]) -> list[Call]:
        """Queue messages, fire timers, and return the calls to make."""
        step, batch = self._queue.step(now), Batch(self._topic, 0, list(records))
        self.position += len(batch.records)
        self._queue.withdraw_stopped(step)
        self._queue.admit(step, batch)
        self._queue.sweep(step)
        calls = self._queue.begin(step, self._queue.wanted)
        self._commit(step, found)
        return calls

    def settle(self, call: Call, result: Result, now: int, found: list[Output]) -> None:
        """Record the answer to a call."""
        step = self._queue.step(now)
        self._queue.settle(step, call.message.id, result)
        self._commit(step, found)

    def _commit(self, step: DeliveryStep, found: list[Output]) -> None:
        self._state.apply(step.outputs.commit)
        found += step.outputs.commit.records
