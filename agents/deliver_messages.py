"""Messages handed to a provider, each at most once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from models.batch import Batch, Outputs, Restored
from models.delivery.queue import Call, DeliveryQueue, EndedCall
from models.delivery.step import DeliveryStep
from models.delivery.suppressor import Suppressor

ASK_AGAIN = 1_000
"""When a lane that found no room asks again, milliseconds; it is woken earlier where some gets free."""


class Desk(Protocol):
    """Whoever calls the provider, for all partitions of a channel in this process.

    A call outlives the lane that began it: what became of it is kept until :meth:`forget`.
    """

    @property
    def name(self) -> str:
        """Of this process, and of no other that ever was."""

    @property
    def look_ups(self) -> Sequence[int]:
        """Waits before each look at an attempt with an unknown end, milliseconds; none where that cannot be done."""

    @property
    def suppressor(self) -> Suppressor | None:
        """The suppression list at work; ``None`` where there is no list."""

    def take(self, wanted: int, wake: Callable[[], None], ended: Iterable[Call] = ()) -> int:
        """Take places for so many calls, or for fewer: then ``wake`` is called when there may be more.

        The places of calls in ``ended``, whose results are committed together with the new attempts, may be taken over.
        """

    def give_back(self, places: int) -> None:
        """Give places back that no call needs; :meth:`make` gives back its own."""

    def waits_until(self) -> int | None:
        """Until when nobody is called, milliseconds of the wall clock; ``None`` where that does not wait for a time."""

    def make(self, call: Call) -> Awaitable[EndedCall]:
        """Begin a call, once however often it is asked for; return its end."""

    def knows(self, call: Call, by: str) -> bool:
        """Whether a call was begun here, by that name."""

    def forget(self, call: Call) -> None:
        """Drop the result of a call: it is committed."""

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        """Hear that nobody here asks for these calls any more; places of those that were not begun are free."""

    def note_waiting(self, partition: int, messages: int) -> None:
        """Hear how many messages of a partition wait."""


def _no_wake() -> None:
    """Ask for no batch; the default for drivers that send every batch by themselves."""


async def deliver_messages(
    batches: AsyncIterator[Batch],
    *,
    state: Restored,
    desk: Desk,
    now: Callable[[], int],
    wake: Callable[[], None] = _no_wake,
) -> AsyncIterator[Outputs]:
    """Deliver each message of ``messages.<channel>``.

    Whoever drives this commits what is yielded before it begins the effects in it: an attempt is durable before the
    provider is called. A call that takes its time holds up nobody else; what became of it is told at the next batch.

    Parameters
    ----------
    batches
        Of one partition, and beats.
    state
        The partition's deliveries; kept current by whoever drives this.
    desk
        Calls the provider.
    now
        The wall clock, milliseconds.
    wake
        Asks the driver for a batch, with or without records.

    Yields
    ------
    Outputs
        New states of deliveries, outcomes of those that ended, and the calls that follow as effects.
    """
    queue = DeliveryQueue(
        state.records, state.memo, by=desk.name, lookup_delays_ms=desk.look_ups, suppressor=desk.suppressor
    )
    step = queue.step(now())
    step.outputs.next_due = step.now
    under_way = {call.message.id: call for call in queue.resume(step, desk.knows)}
    step.outputs.after.effects = [_effect(desk, call) for call in under_way.values()]
    try:
        yield step.outputs
        async for batch in batches:
            step = queue.step(now())
            ended = [one for one in batch.ended if isinstance(one, EndedCall)]
            for call, result in ended:
                queue.settle(step, call.message.id, result)
            queue.admit(step, batch)
            queue.sweep(step)
            begun = [] if batch.closing else _begin(queue, desk, wake, [call for call, _ in ended], step)
            under_way.update((call.message.id, call) for call in begun)
            step.outputs.next_due, step.outputs.full = _next_due(queue, desk, step.now), queue.is_full
            desk.note_waiting(state.partition, queue.waiting)
            yield step.outputs
            for call, _ in ended:
                desk.forget(call)
                if under_way[call.message.id] is call:
                    del under_way[call.message.id]
    finally:
        desk.leave(state.partition, under_way.values())


def _begin(
    queue: DeliveryQueue, desk: Desk, wake: Callable[[], None], ended: Iterable[Call], step: DeliveryStep
) -> list[Call]:
    places = desk.take(queue.wanted, wake, ended)
    calls = queue.begin(step, places)
    desk.give_back(places - len(calls))
    step.outputs.after.effects = [_effect(desk, call) for call in calls]
    return calls


def _effect(desk: Desk, call: Call) -> Callable[[], Awaitable[EndedCall]]:
    return lambda: desk.make(call)


def _next_due(queue: DeliveryQueue, desk: Desk, now: int) -> int | None:
    due = queue.next_due
    if not queue.wanted:
        return due
    asks = desk.waits_until() or now + ASK_AGAIN
    return asks if due is None else min(due, asks)
