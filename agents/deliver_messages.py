"""Delivery of messages: each is handed to its provider at most once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from models.batch import Batch, Effect, Outputs, Restored
from models.delivery.calls import AssignedCalls, Call, CallTerms, EndedCall
from models.delivery.queue import DeliveryQueue

RETRY_SLOTS_MS = 1_000
"""Retry interval when no call slot was free, milliseconds. The lane is woken earlier when a slot is released."""


class CallDispatcher(Protocol):
    """Maker of calls for all partitions of a channel in this process.

    A call outlives the lane that began it. Its result is kept until :meth:`commit`.
    """

    @property
    def terms(self) -> CallTerms:
        """Process name, look-up delays and suppressor for all calls of this dispatcher."""

    def reclaim(self, call: Call, by: str) -> bool:
        """Return whether this process began the call under the name ``by``.

        If so, the result of the call goes to the partition that asks.
        """

    def assign(
        self,
        wanted: int,
        take: Callable[[int], Sequence[Call]],
        wake: Callable[[], None],
        ended: Iterable[Call] = (),
    ) -> AssignedCalls:
        """Reserve slots for at most ``wanted`` calls, and let ``take`` choose a call for each slot.

        If there are fewer slots than wanted, ``wake`` is called when more slots may be free. The results of the calls
        in ``ended`` are committed together with the new attempts, so their slots may be used again.
        """

    def make(self, call: Call) -> Awaitable[EndedCall]:
        """Begin a call that has a slot, and return its future end; a repeated request does not begin the call again."""

    def commit(self, partition: int, ended: Iterable[Call], waiting: int) -> None:
        """Drop results that are committed, release their slots, and show how many messages of the partition wait."""

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        """Called when the lane of a partition ends, with all calls of the lane whose results are not committed."""


def _no_wake() -> None:
    """Ignore a request for a batch; the default for drivers that send batches without being asked."""


async def deliver_messages(
    batches: AsyncIterator[Batch],
    *,
    state: Restored,
    dispatcher: CallDispatcher,
    now: Callable[[], int],
    wake: Callable[[], None] = _no_wake,
) -> AsyncIterator[Outputs]:
    """Deliver each message of ``messages.<channel>``.

    The driver commits each yielded :class:`Outputs` before it begins the effects in it. So an attempt is durable before
    the provider is called. A slow call delays no other message; its result arrives with a later batch.

    Parameters
    ----------
    batches
        Batches of one partition, some of them without records.
    state
        The partition's deliveries, kept current by the driver.
    dispatcher
        Makes the calls of the provider.
    now
        Returns the time of the wall clock, milliseconds.
    wake
        Asks the driver for a batch, with or without records.

    Yields
    ------
    Outputs
        New states of deliveries, outcomes of those that ended, and the calls that follow as effects.
    """
    queue = DeliveryQueue(state.records, state.memo, dispatcher.terms)
    step = queue.step(now())
    in_flight = {call.message.id: call for call in queue.resume(step, dispatcher.reclaim)}
    step.outputs.next_due = step.now
    step.outputs.after.effects = [_effect(dispatcher, call) for call in in_flight.values()]
    try:
        yield step.outputs
        async for batch in batches:
            step, assigned = queue.step(now()), AssignedCalls()
            ended = [end for end in batch.ended if isinstance(end, EndedCall)]
            queue.withdraw_stopped(step)
            for call, result in ended:
                queue.settle(step, call.message.id, result)
            queue.admit(step, batch)
            queue.sweep(step)
            if not batch.closing:
                take = partial(queue.begin, step)
                assigned = dispatcher.assign(queue.wanted, take, wake, [call for call, _ in ended])
            in_flight.update((call.message.id, call) for call in assigned.calls)
            step.outputs.after.effects = [_effect(dispatcher, call) for call in assigned.calls]
            step.outputs.next_due, step.outputs.full = _next_due(queue, assigned, step.now), queue.is_full
            yield step.outputs
            dispatcher.commit(state.partition, [call for call, _ in ended], queue.waiting)
            for call, _ in ended:
                if in_flight[call.message.id] is call:
                    del in_flight[call.message.id]
    finally:
        dispatcher.leave(state.partition, in_flight.values())


def _effect(dispatcher: CallDispatcher, call: Call) -> Effect:
    return lambda: dispatcher.make(call)


def _next_due(queue: DeliveryQueue, assigned: AssignedCalls, now: int) -> int | None:
    due = queue.next_due
    if not queue.wanted:
        return due
    retry = assigned.waits_until or now + RETRY_SLOTS_MS
    return retry if due is None else min(due, retry)
