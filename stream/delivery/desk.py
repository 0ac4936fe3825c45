"""Calls of one provider: so many side by side, none while it is away, and none lost that has begun.

One desk serves all partitions of a channel in a process. A call is a task of the desk, and not of the lane that began
it: when the lane has to begin anew (a broker was away), the answer that arrives meanwhile still counts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka.errors import KafkaError

from models.delivery.breaker import Breaker, Policy
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.notices import Answer, InFlight, encode_notice
from models.delivery.queue import Call, EndedCall
from models.delivery.suppressor import Suppressor
from models.events import Channel
from monitoring import metrics
from stream.delivery.holds import Holds

log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Results that no lane has asked for: those of partitions that went to another process."""

CALL_WITHIN_S = 600.0
"""No call lasts longer. Clients of providers have shorter limits; one that forgot its own would keep its place."""

_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


_Key = tuple[str, int, bool]
Tell = Callable[[list[tuple[bytes, bytes | None]]], Awaitable[None]]
"""Writes records to a partition of ``messages.<channel>``."""


class _Left(NamedTuple):
    partition: int
    call: Call
    by: str


_NOT_BEGUN = Result("failed", "not begun")


class Carrier(Protocol):
    """What takes messages over: the gate."""

    @property
    def look_ups(self) -> Sequence[int]:
        """Waits before each look at an attempt with an unknown end; none where that cannot be done."""

    @property
    def suppressor(self) -> Suppressor | None:
        """The suppression list at work; ``None`` where there is none."""

    def leaves(self, message: Message) -> bool:
        """Whether the provider is called for it; else it stays in the house."""

    async def deliver(self, message: Message) -> Result:
        """Hand one message over, once."""

    async def look_up(self, message: Message) -> Result:
        """Ask what became of one; ``unknown`` where that is not known either."""

    async def close(self) -> None:
        """Close connections."""


class Desk:
    """See the module; it is the one of ``agents.deliver_messages``.

    Parameters
    ----------
    channel
        For the metrics.
    carrier
        Takes messages over.
    now
        The wall clock, milliseconds.
    side_by_side
        Calls at a time.
    policy
        Of the circuit breaker.
    holds
        Reasons for which no call is begun; shared with the other channels of this process.
    """

    def __init__(
        self,
        channel: Channel,
        carrier: Carrier,
        *,
        now: Callable[[], int],
        side_by_side: int = 8,
        policy: Policy | None = None,
        holds: Holds | None = None,
    ) -> None:
        self.name = secrets.token_hex(6)
        self._channel = channel
        self._carrier = carrier
        self._now = now
        self._free = side_by_side
        self._breaker = Breaker(policy)
        self._calls: dict[_Key, asyncio.Task[Result]] = {}
        self._holding: set[_Key] = set()
        self._left: dict[_Key, _Left] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, int] = {}
        self._queue: dict[Callable[[], None], None] = {}
        self._holds = holds or Holds()
        self._holds.on_change(self._wake)
        self._show_breaker()

    # --- for the agent

    @property
    def look_ups(self) -> Sequence[int]:
        """Waits before each look at an attempt with an unknown end."""
        return self._carrier.look_ups

    @property
    def suppressor(self) -> Suppressor | None:
        """Writer of the suppression list."""
        return self._carrier.suppressor

    def take(self, wanted: int, wake: Callable[[], None], ended: Iterable[Call] = ()) -> int:
        """Take places; who gets fewer than wanted stands in the queue, behind those who do already.

        Where nobody does, those of ``ended`` are taken over: what they gave is committed together with the attempts.
        While the channel is held, none is given.
        """
        self._queue.pop(wake, None)
        if not wanted:
            return 0
        if self._holds.holds(self._channel):
            self._queue[wake] = None
            return 0
        allowed = self._breaker.most(self._now())
        free = self._free if allowed is None else min(allowed, self._free)
        taken = min(wanted, max(1, free // (len(self._queue) + 1)) if free else 0)
        if allowed is None and not self._queue:
            taken += self._take_over(wanted - taken, ended)
        if taken < wanted:
            self._queue[wake] = None
        if taken and allowed is not None:
            self._breaker.begun()
        self._free -= taken
        return taken

    def _take_over(self, most: int, ended: Iterable[Call]) -> int:
        held = [key for key in map(_key, ended) if key in self._holding][:most]
        self._holding.difference_update(held)
        self._free += len(held)
        return len(held)

    def give_back(self, places: int) -> None:
        """Give places back for which no call is begun."""
        if places:
            self._breaker.said_nothing()
            self._freed(places)

    def waits_until(self) -> int | None:
        """Until when the breaker is open."""
        now = self._now()
        return self._breaker.until if self._breaker.state(now) == "open" else None

    def make(self, call: Call) -> Awaitable[EndedCall]:
        """Begin a call, once however often it is asked for; return its end."""
        key = _key(call)
        task = self._calls.get(key)
        if task is None:
            self._prune()
            task = self._calls[key] = asyncio.create_task(self._call(call), name=f"deliver {call.message.id}")
            task.add_done_callback(lambda _: self._let_go(key) if key in self._left else None)
            self._holding.add(key)
        return _end_of(call, task)

    def knows(self, call: Call, by: str) -> bool:
        """Whether a call was begun here, by that name; then whoever asks is the one to be told of its end."""
        key = _key(call)
        if by != self.name or key not in self._calls:
            return False
        self._left.pop(key, None)
        return True

    def forget(self, call: Call) -> None:
        """Drop the result of a call: it is committed. Only now its place is free.

        So there are never more attempts without a committed result than places, and no more that a kill can leave
        unknown.
        """
        key = _key(call)
        self._calls.pop(key, None)
        self._left.pop(key, None)
        self._let_go(key)

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        """Keep the calls that were begun, in case the partition comes back; free the places of the others."""
        calls = list(calls)
        keys = list(map(_key, calls))
        begun = [key for key in keys if key in self._calls]
        self._left.update((_key(call), _Left(partition, call, self.name)) for call in calls)
        self.give_back(len(keys) - len(begun))
        for key in begun:
            if self._calls[key].done():
                self._let_go(key)
        self._waiting.pop(partition, None)
        self._show_waiting()

    def gone(self, partition: int, tell: Tell) -> None:
        """Hear that a partition is somebody else's: who has it now is told what calls give that were begun here."""
        for key, left in list(self._left.items()):
            if left.partition == partition and not left.call.looks_up:
                telling = asyncio.create_task(self._tell(key, left, tell), name=f"tell of {left.call.message.id}")
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)

    def note_waiting(self, partition: int, messages: int) -> None:
        """Show how many messages of a partition wait."""
        if self._waiting.get(partition) != messages:
            self._waiting[partition] = messages
            self._show_waiting()

    # --- for the process

    def describe(self) -> dict[str, Any]:
        """Return the channel's state.

        Returns
        -------
        dict
            ``breaker``, ``waits_until`` (milliseconds), messages ``waiting``, ``calls``, and ``held``: names of the
            reasons for which no message is sent, with their words.
        """
        return {
            "held": self._holds.reasons(self._channel),
            "breaker": self._breaker.state(self._now()),
            "waits_until": self.waits_until(),
            "waiting": sum(list(self._waiting.values())),
            "calls": len(self._holding),
        }

    async def close(self) -> None:
        """Break off what is under way, and close the provider."""
        running: list[asyncio.Task[Any]] = [*self._telling]
        running += [task for task in self._calls.values() if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1.0)
        await self._carrier.close()

    # --- inside

    async def _call(self, call: Call) -> Result:
        message = call.message
        leaves = self._carrier.leaves(message)
        result = Result("unknown", "it was broken off", trouble=True)
        try:
            with metrics.measured("provider_seconds", self._channel):
                act: Callable[[Message], Awaitable[Result]]
                act = self._carrier.look_up if call.looks_up else self._carrier.deliver
                async with asyncio.timeout(CALL_WITHIN_S):
                    result = await act(message)
        except Exception as error:
            # one recipient's failure touches no other; whether it was handed over is not known
            log.exception("%s: message %s", self._channel, message.id)
            result = Result("unknown", f"{type(error).__name__}: {error}", trouble=True)
        finally:
            self._judge(result, leaves=leaves)
        return result

    async def _tell(self, key: _Key, left: _Left, tell: Tell) -> None:
        task, call = self._calls.get(key), left.call
        if task is None:
            del self._left[key]
            result = _NOT_BEGUN
        else:
            if not task.done():
                await self._say(call, InFlight(call.message.id, call.number, left.by), tell)
            await asyncio.wait([task])
            if task.cancelled() or self._left.get(key) is not left:
                return  # this process ends, or the partition has come back, and its lane asks by itself
            result = task.result()
        told = Answer(
            message=call.message.id,
            channel=self._channel,
            attempt=call.number,
            by=left.by,
            status=result.status,  # type: ignore[arg-type]  # those that a provider says
            detail=result.detail,
            provider_id=result.provider_id,
            retry_after=result.retry_after,
            answered=result.answered,
            bounce=result.bounce,
            code=result.code,
        )
        await self._say(call, told, tell)

    async def _say(self, call: Call, notice: Answer | InFlight, tell: Tell) -> None:
        try:
            await tell([(call.message.user.encode(), encode_notice(notice))])
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("%s: nobody was told what became of message %s: %r", self._channel, call.message.id, error)

    def _judge(self, result: Result, *, leaves: bool) -> None:
        self._show_storms()
        before = self._breaker.state(self._now())
        if not leaves or not result.called:
            self._breaker.said_nothing()
        elif result.trouble:
            self._breaker.failed(self._now())
        else:
            self._breaker.worked()
        after = self._breaker.state(self._now())
        if after != before:
            self._show_breaker()
            if after == "open":
                metrics.increment("breaker_openings", self._channel)
                log.warning("%s: the provider fails, and is left alone for a while: %s", self._channel, result.detail)
            elif after == "closed":
                log.warning("%s: the provider works again", self._channel)
                self._wake()

    def _show_breaker(self) -> None:
        metrics.gauge("provider_breaker", _STATES[self._breaker.state(self._now())], self._channel)

    def _show_storms(self) -> None:
        suppressor = self._carrier.suppressor
        if suppressor is not None:
            metrics.gauge("bounce_storms", float(len(suppressor.storms(self._now()))), self._channel)

    def _show_waiting(self) -> None:
        metrics.gauge("deliveries_waiting", float(sum(self._waiting.values())), self._channel)

    def _let_go(self, key: _Key) -> None:
        if key in self._holding:
            self._holding.discard(key)
            self._freed(1)

    def _freed(self, places: int) -> None:
        self._free += places
        self._wake()

    def _wake(self) -> None:
        if self._holds.holds(self._channel) or not self._breaker.allows(self._now()):
            return  # a lane that waits asks again: when the reason is gone, or when the breaker's time is over
        for wake in list(self._queue)[: self._free]:
            del self._queue[wake]
            wake()

    def _prune(self) -> None:
        if len(self._left) < REMEMBERED:
            return
        # They belong to partitions that went to other processes, which have settled them by now. Should one be found
        # unsettled after all, it must not look as if it had never been begun: from here on this is another name.
        self.name = secrets.token_hex(6)
        for key in self._left:
            if key in self._calls and self._calls[key].done():
                del self._calls[key]
        self._left = {key: left for key, left in self._left.items() if key in self._calls}


def _key(call: Call) -> _Key:
    return call.message.id, call.number, call.looks_up


async def _end_of(call: Call, task: asyncio.Task[Result]) -> EndedCall:
    await asyncio.wait([task])  # the task that waits may be cancelled; the call goes on
    broken_off = Result("unknown", "it was broken off", trouble=True)
    return EndedCall(call, broken_off if task.cancelled() else task.result())
