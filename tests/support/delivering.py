"""A dispatcher in memory, and a lane in memory that drives the agent of delivery with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from agents.deliver_messages import deliver_messages
from models.batch import Batch, Outputs, Restored
from models.delivery.calls import AssignedCalls, Call, CallTerms, EndedCall
from models.delivery.deliveries import Result, decode_delivery
from models.delivery.messages import Message, encode_message
from models.delivery.notices import Notice, encode_notice
from models.delivery.suppression import TOPIC, parse_key
from models.delivery.suppressor import Suppressor
from models.events import Event, decode_event
from models.rejected import decode_rejected
from models.units import MINUTE
from tests.support.letters import NOW, letter

DELIVERED = Result("delivered", "250 ok", "p1")
RETRY_LATER = Result("failed", "451 later")

WAKE_UP = Batch("messages.email", 0, ())
CLOSING = Batch("messages.email", 0, (), closing=True)

LaterBatch = Callable[[], Batch]
"""Function that makes a batch at the moment when the lane reads it."""


@dataclass
class KafkaRecord:
    """A record as a Kafka client shows it."""

    value: bytes | None
    offset: int = 0
    timestamp: int = NOW
    key: bytes | None = b"u1"


def message(number: int = 0, **changed: object) -> Message:
    """Make a live marketing e-mail that expires after a minute."""
    return letter(number, **{"expires": NOW + MINUTE, **changed})


def batch(*contents: Message | Notice | bytes) -> Batch:
    """Make a batch of ``messages.email``."""
    values = [
        one if isinstance(one, bytes) else encode_message(one) if isinstance(one, Message) else encode_notice(one)
        for one in contents
    ]
    return Batch("messages.email", 0, [KafkaRecord(value, offset=i) for i, value in enumerate(values)])


@dataclass
class FakeDispatcher:
    """A dispatcher whose calls end immediately, or when the test ends them.

    Attributes
    ----------
    name, lookup_delays_ms
        Terms of its calls; see :class:`~models.delivery.calls.CallTerms`.
    slots
        Number of free slots.
    answers
        Results of a message's calls, the first call first; a message without an entry is delivered.
    ends
        Whether calls end immediately.
    waits_until
        Time until which the provider is not called.
    made
        Id of the message of each call, the first call first, and whether the call was a look-up.
    left
        Calls that a lane had begun and not committed when the lane ended.
    waiting
        Number of messages that waited at the last commit.
    status_of
        Function that returns the committed status of a message. No call may begin before its attempt is committed.
    suppressor
        Maker of entries of the suppression list; ``None`` makes none.
    """

    name: str = "dispatcher 1"
    lookup_delays_ms: Sequence[int] = ()
    slots: int = 64
    answers: dict[str, list[Result]] = field(default_factory=dict)
    ends: bool = True
    waits_until: int | None = None
    made: list[tuple[str, bool]] = field(default_factory=list)
    left: list[Call] = field(default_factory=list)
    waiting: int = 0
    status_of: Callable[[str], str] = lambda _: "attempted"
    suppressor: Suppressor | None = None
    calls: dict[Call, asyncio.Future[EndedCall]] = field(default_factory=dict)

    @property
    def terms(self) -> CallTerms:
        """Terms of all calls."""
        return CallTerms(self.name, self.lookup_delays_ms, self.suppressor)

    @property
    def sent(self) -> list[str]:
        """The ids of the messages that were handed over, the first one first."""
        return [one for one, looks_up in self.made if not looks_up]

    def reclaim(self, call: Call, by: str) -> bool:
        """Return whether this dispatcher has begun the call under that name."""
        return by == self.name and call in self.calls

    def assign(
        self,
        wanted: int,
        take: Callable[[int], Sequence[Call]],
        wake: Callable[[], None],
        ended: Iterable[Call] = (),
    ) -> AssignedCalls:
        """Give slots to calls while slots are free."""
        calls = take(min(wanted, self.slots))
        self.slots -= len(calls)
        return AssignedCalls(calls, self.waits_until)

    def make(self, call: Call) -> Awaitable[EndedCall]:
        """Begin a call, and check that its attempt is committed."""
        if call not in self.calls:
            one = call.message.id
            expected = "unknown" if call.looks_up else "attempted"
            assert self.status_of(one) == expected, "the provider was called before the status was committed"
            self.made.append((one, call.looks_up))
            self.calls[call] = asyncio.get_running_loop().create_future()
            if self.ends:
                self._end(call)
        return self.calls[call]

    def commit(self, partition: int, ended: Iterable[Call], waiting: int) -> None:
        """Drop the results of ended calls."""
        for call in ended:
            del self.calls[call]
        self.waiting = waiting

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        """Record the calls that a lane had begun when it ended."""
        self.left.extend(calls)

    def end_all(self) -> None:
        """End all calls in flight."""
        for call, result in self.calls.items():
            if not result.done():
                self._end(call)

    def _end(self, call: Call) -> None:
        answers = self.answers.get(call.message.id, [])
        self.calls[call].set_result(EndedCall(call, answers.pop(0) if answers else DELIVERED))
        self.slots += 1


@dataclass
class DeliveryLane:
    """A lane in memory: it commits what the agent yields, then begins the effects. A test can end it at any commit.

    Attributes
    ----------
    dispatcher, state, now
        Arguments of each run of the agent.
    events, rejected, suppressed
        Outcomes, reasons of dead letters, and reasons of entries of the suppression list.
    counts
        Sums of all counted metrics.
    last
        The last outputs.
    """

    dispatcher: FakeDispatcher = field(default_factory=FakeDispatcher)
    state: Restored = field(default_factory=Restored)
    events: list[Event] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)
    counts: dict[tuple[str, ...], float] = field(default_factory=dict)
    now: int = NOW
    last: Outputs = field(default_factory=Outputs)
    running: list[asyncio.Future[object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dispatcher.status_of = self.status

    async def run(
        self, *batches: Batch | LaterBatch, dies_before_commit: int = 1_000, dies_before_effects: int = 1_000
    ) -> None:
        """Run the agent over batches, until the agent has read them all or the lane dies."""
        commits = 0
        async for outputs in self.steps(*batches):
            commit = outputs.commit
            changes = bool(commit.records or commit.state or outputs.counts or commit.memo is not None)
            commits += changes
            self.last = outputs
            if changes and commits == dies_before_commit:
                return
            self.commit(outputs)
            if changes and commits == dies_before_effects:
                return
            self.begin(outputs)

    async def steps(self, *batches: Batch | LaterBatch) -> AsyncIterator[Outputs]:
        """Run the agent over batches, and yield its outputs. The caller commits them and begins their effects."""
        self.running.clear()
        agent = deliver_messages(
            self._each(batches), state=self.state, dispatcher=self.dispatcher, now=lambda: self.now
        )
        try:
            async for outputs in agent:
                yield outputs
        finally:
            await agent.aclose()  # type: ignore[attr-defined]  # an agent is an async generator

    def begin(self, outputs: Outputs) -> None:
        """Begin the effects of outputs."""
        self.running += [asyncio.ensure_future(effect()) for effect in outputs.after.effects]

    def commit(self, outputs: Outputs) -> None:
        """Commit outputs."""
        self.state.apply(outputs.commit)
        for output in outputs.commit.records:
            assert output.value is not None
            if output.topic == "outcomes":
                self.events.append(decode_event(output.value))
            elif output.topic == TOPIC:
                self.suppressed.append(parse_key(output.key).reason)
            else:
                self.rejected.append(decode_rejected(output.value).reason)
        for key, count in outputs.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    def status(self, one: Message | str) -> str:
        """Return the committed status of a message."""
        key = one if isinstance(one, str) else one.id
        return decode_delivery(self.state.records[key.encode()]).status

    def outcomes(self) -> list[tuple[str, str | None]]:
        """Return type and reason of all outcomes so far."""
        return [(event.type, event.reason) for event in self.events]

    def after(self, milliseconds: int) -> LaterBatch:
        """Return a wake-up that first moves the clock forward by this time."""

        def wake_up() -> Batch:
            self.now += milliseconds
            return WAKE_UP

        return wake_up

    async def _each(self, batches: Iterable[Batch | LaterBatch]) -> AsyncIterator[Batch]:
        for one in batches:
            batch = one if isinstance(one, Batch) else one()
            done = [effect for effect in self.running if effect.done()]
            self.running = [effect for effect in self.running if effect not in done]
            yield batch._replace(ended=[effect.result() for effect in done])
