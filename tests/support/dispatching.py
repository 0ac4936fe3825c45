"""A gate and a provider in memory, and helpers that use a dispatcher in the same way as a lane."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from models.delivery.breaker import BreakerPolicy
from models.delivery.calls import Call
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.suppressor import Suppressor
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.provider import LastCheck, allow
from tests.support.letters import NOW, letter

DELIVERED = Result("delivered")
POLICY = BreakerPolicy(failures=3, pause=1_000, longest=4_000)


@dataclass
class FakeGate:
    """A gate that gives one answer to all calls, as soon as it is open.

    Attributes
    ----------
    answer
        Result of every call.
    taken
        Ids of the messages handed over, the first one first.
    open
        Calls hang until this is set.
    begun
        Set when a call has begun.
    concurrent, most_concurrent
        Number of calls in flight now, and the maximum so far.
    stays
        Whether messages go to the outbox.
    raises
        Whether calls raise an error.
    """

    answer: Result = DELIVERED
    taken: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    concurrent: int = 0
    most_concurrent: int = 0
    stays: bool = False
    raises: bool = False
    lookup_delays_ms: tuple[int, ...] = ()
    suppressor: Suppressor | None = None
    closed: bool = False

    def leaves(self, message: Message) -> bool:
        """Return whether the provider is called."""
        return not self.stays

    async def deliver(self, message: Message) -> Result:
        """Hand a message over."""
        self.taken.append(message.id)
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        self.begun.set()
        try:
            await self.open.wait()
        finally:
            self.concurrent -= 1
        if self.raises:
            raise RuntimeError("a bug")
        return self.answer

    async def look_up(self, message: Message) -> Result:
        """Look a message up."""
        return self.answer

    async def close(self) -> None:
        """Record that the gate was closed."""
        self.closed = True


@dataclass
class FakeProvider:
    """A provider that records everything that reaches it.

    Attributes
    ----------
    taken
        Messages that were handed over, with their signed links.
    asked
        Messages that were looked up.
    """

    taken: list[tuple[Message, str | None]] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    max_concurrency: int = 1
    lookup_delays_ms: tuple[int, ...] = (1_000,)
    closed: bool = False

    async def deliver(self, message: Message, *, unsubscribe: str | None, last_check: LastCheck = allow) -> Result:
        """Take a message."""
        self.taken.append((message, unsubscribe))
        return DELIVERED

    async def look_up(self, message: Message) -> Result:
        """Report every message as found."""
        self.asked.append(message)
        return Result("delivered", "found")

    async def close(self) -> None:
        """Record that the provider was closed."""
        self.closed = True


@dataclass
class SteppedClock:
    """A wall clock that the test moves, milliseconds."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


def open_dispatcher(gate: FakeGate, clock: SteppedClock | None = None, max_concurrency: int = 4) -> Dispatcher:
    """Make a dispatcher of e-mail with an open gate."""
    gate.open.set()
    return Dispatcher("email", gate, now=clock or SteppedClock(), max_concurrency=max_concurrency, policy=POLICY)


def call(number: int = 0, attempt: int = 1) -> Call:
    """Make the call of an attempt."""
    return Call(letter(number), attempt)


def ignore_wake() -> None:
    """Ignore that a slot has become free."""


def take(dispatcher: Dispatcher, *calls: Call, ended: tuple[Call, ...] = ()) -> int:
    """Reserve slots for exactly these calls, as a lane does, and return the number of reserved slots."""
    return len(dispatcher.assign(len(calls), lambda slots: calls[:slots], ignore_wake, ended).calls)


async def made(dispatcher: Dispatcher, number: int) -> Result:
    """Make a call, and commit its result."""
    assert take(dispatcher, call(number)) == 1
    _, result = await dispatcher.make(call(number))
    dispatcher.commit(0, [call(number)], 0)
    return result


async def begin_and_leave(dispatcher: Dispatcher, gate: FakeGate, left: Call, partition: int = 0) -> None:
    """Begin a call, and then end the lane that began it."""
    assert take(dispatcher, left) == 1
    waiting = asyncio.ensure_future(dispatcher.make(left))
    await gate.begun.wait()
    gate.begun.clear()
    waiting.cancel()
    await asyncio.wait([waiting])
    dispatcher.leave(partition, [left])
