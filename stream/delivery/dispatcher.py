"""The dispatcher makes the calls of one provider, for all partitions of a channel in this process.

It limits the calls that run concurrently, makes none while the provider fails or the channel is held, and loses no
result. A call is a task of the dispatcher, and not of the lane that began it. If the lane starts again, for example
because a broker did not answer, a provider's answer that arrives meanwhile still counts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from models.delivery.breaker import BreakerPolicy
from models.delivery.calls import AssignedCalls, Call, CallTerms, EndedCall
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.suppressor import Suppressor
from models.delivery.token_bucket import CallRate
from models.events import Channel
from monitoring import metrics
from stream.delivery.calls import INTERRUPTED, CallKey, Calls, key_of_call
from stream.delivery.handover import Handover, WriteToPartition
from stream.delivery.holds import Holds
from stream.delivery.provider_health import ProviderHealth
from stream.delivery.rate_limit import RateLimit
from stream.delivery.slots import Slots, Wake

logger = logging.getLogger(__name__)

MAX_CALL_S = 600.0
"""Maximum duration of a call, seconds.

Clients of providers have shorter limits. Without this limit, a call of a client that has none could hold its slot
forever.
"""
MAX_CANCELLING_S = 1.0
"""Maximum time that cancelled calls may take to end, seconds."""


class MessageSender(Protocol):
    """The gate, as the dispatcher uses it."""

    @property
    def lookup_delays_ms(self) -> Sequence[int]:
        """Delays before the look-ups of an unknown delivery; empty if the provider cannot be asked."""

    @property
    def suppressor(self) -> Suppressor | None:
        """Writer of the suppression list; ``None`` if there is no list."""

    def leaves(self, message: Message) -> bool:
        """Return whether the provider is called for a message; otherwise it goes to the outbox."""

    async def deliver(self, message: Message) -> Result:
        """Hand one message over, once."""

    async def look_up(self, message: Message) -> Result:
        """Ask the provider about the outcome of a message; ``unknown`` if the provider does not say."""

    async def close(self) -> None:
        """Close all connections."""


class Dispatcher:
    """The dispatcher of one channel; see the module, and ``agents.deliver_messages`` for its protocol.

    Parameters
    ----------
    channel
        Channel of all messages.
    sender
        The gate.
    now
        Returns the time of the wall clock, milliseconds.
    max_concurrency
        Maximum number of concurrent calls.
    policy
        Conditions under which the circuit breaker opens.
    holds
        Reasons to begin no call, shared with the other channels of this process.

    Attributes
    ----------
    name
        Name under which attempts are made. No other process ever has it.
    """

    def __init__(
        self,
        channel: Channel,
        sender: MessageSender,
        *,
        now: Callable[[], int],
        max_concurrency: int = 8,
        policy: BreakerPolicy | None = None,
        holds: Holds | None = None,
    ) -> None:
        self.name = secrets.token_hex(6)
        self._channel = channel
        self._sender = sender
        self._now = now
        self._slots = Slots(max_concurrency)
        self._calls = Calls(self._perform, self._ended)
        self._handover = Handover(channel, self._calls)
        self._health = ProviderHealth(channel, now, policy)
        self._rate = RateLimit(channel, now)
        self._waiting: dict[int, int] = {}
        self._holds = holds or Holds()
        self._holds.on_change(self._wake_lanes)

    def __repr__(self) -> str:
        return f"<Dispatcher {self._channel} {self.name}: {self._slots!r}, {self._calls!r}, {self._health.state}>"

    def limit_rate(self, rate: CallRate | None, partitions: int) -> None:
        """Limit the rate of the calls that begin from now on; see :class:`RateLimit`."""
        self._rate = RateLimit(self._channel, self._now, rate, partitions)

    # --- for the agent

    @property
    def terms(self) -> CallTerms:
        """Name, look-ups and suppression list of the calls made here."""
        return CallTerms(self.name, self._sender.lookup_delays_ms, self._sender.suppressor)

    def reclaim(self, call: Call, by: str) -> bool:
        """Return whether a call was begun here under the name ``by``; if so, give it back to its partition.

        The result of the call then goes to the lane that asks, and not to another process.
        """
        key = key_of_call(call)
        if by != self.name or key not in self._calls:
            return False
        self._handover.take_back(key)
        return True

    def assign(
        self, wanted: int, take: Callable[[int], Sequence[Call]], wake: Wake, ended: Iterable[Call] = ()
    ) -> AssignedCalls:
        """Reserve slots, and let the queue take that many calls.

        Parameters
        ----------
        wanted
            Number of calls that could begin now.
        take
            Called with the number of slots; returns at most that many calls. Slots without a call are released.
        wake
            Called when there may be more slots, if there were fewer than wanted.
        ended
            Calls whose results are committed together with the new attempts. Their slots may be used again.
        """
        slots = self._slots.take(wanted, wake, limit=self._limit, ended=map(key_of_call, ended))
        if slots:
            self._health.slots_taken()
        calls = take(slots)
        self._release(slots - len(calls))
        self._rate.take(len(calls), wanted)
        return AssignedCalls(calls, self._waits_until)

    def make(self, call: Call) -> Awaitable[EndedCall]:
        """Begin a call that has a slot, and return its end; repeated requests for one call make it only once."""
        key = key_of_call(call)
        if key not in self._calls:
            self._prune()
            self._handover.take_back(key)
            self._calls.begin(call)
            self._slots.hold(key)
        return self._calls.end_of(call)

    def commit(self, partition: int, ended: Iterable[Call], waiting: int) -> None:
        """Drop results that are committed, release their slots, and show how many messages of the partition wait."""
        for call in ended:
            key = key_of_call(call)
            self._calls.forget(key)
            self._handover.take_back(key)
            self._release_held(key)
        if self._waiting.get(partition) != waiting:
            self._waiting[partition] = waiting
            self._rate.hold(len(self._waiting))
            self._show_waiting()

    def leave(self, partition: int, calls: Iterable[Call]) -> None:
        """Keep calls that have begun, because the partition may come back, and release the slots of all others.

        Called when the lane of the partition ends, with all its calls whose results are not committed.
        """
        calls = list(calls)
        self._handover.leave(partition, calls, self.name)
        begun = [key for key in map(key_of_call, calls) if key in self._calls]
        self._release(len(calls) - len(begun))
        for key in begun:
            if not self._calls.is_running(key):
                self._release_held(key)
        self._waiting.pop(partition, None)
        self._rate.hold(len(self._waiting))
        self._show_waiting()

    # --- for the process

    def on_revoked(self, partition: int, write: WriteToPartition) -> None:
        """Called when a partition was reassigned: forward results of calls started here to its new owner."""
        self._handover.report(partition, write)

    @property
    def results(self) -> int:
        """Number of calls whose results are still expected or kept."""
        return len(self._calls)

    async def reported(self) -> None:
        """Wait until every report to a new owner that has begun is written."""
        while reports := self._handover.reports:
            await asyncio.wait(reports)

    def describe(self) -> dict[str, Any]:
        """Return the channel's state.

        Returns
        -------
        dict
            ``breaker``, ``waits_until`` (milliseconds), messages ``waiting``, ``calls``, and ``held``: names of the
            reasons for which no message is sent, with their texts.
        """
        return {
            "held": self._holds.reasons(self._channel),
            "breaker": self._health.state,
            "waits_until": self._waits_until,
            "waiting": sum(list(self._waiting.values())),
            "calls": self._slots.held,
        }

    async def close(self) -> None:
        """Interrupt the calls that run, and close the provider."""
        running: list[asyncio.Task[Any]] = [*self._handover.reports, *self._calls.running()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=MAX_CANCELLING_S)
        await self._sender.close()

    # --- inside

    @property
    def _limit(self) -> int | None:
        if self._holds.holds(self._channel):
            return 0
        limits = [limit for limit in (self._health.limit, self._rate.limit) if limit is not None]
        return min(limits) if limits else None

    @property
    def _waits_until(self) -> int | None:
        times = [time for time in (self._health.waits_until, self._rate.waits_until) if time is not None]
        return max(times) if times else None

    async def _perform(self, call: Call) -> Result:
        message = call.message
        leaves = self._sender.leaves(message)
        act = self._sender.look_up if call.looks_up else self._sender.deliver
        result = INTERRUPTED
        try:
            with metrics.measured("provider_seconds", self._channel):
                async with asyncio.timeout(MAX_CALL_S):
                    result = await act(message)
        except Exception as error:
            # A failure for one recipient affects no other. Whether the message was handed over is not known.
            logger.exception("%s: message %s", self._channel, message.id)
            result = Result("unknown", f"{type(error).__name__}: {error}", trouble=True)
        finally:
            self._judge(result, was_called=leaves and result.called)
        return result

    def _judge(self, result: Result, *, was_called: bool) -> None:
        suppressor, before = self._sender.suppressor, self._health.state
        if suppressor is not None:
            metrics.gauge("bounce_storms", float(len(suppressor.storms(self._now()))), self._channel)
        self._health.judge(result, was_called=was_called)
        if before != self._health.state == "closed":
            self._wake_lanes()

    def _ended(self, key: CallKey) -> None:
        if key in self._handover:
            self._release_held(key)

    def _release(self, slots: int) -> None:
        if slots:
            self._health.slots_unused()
            self._slots.release(slots)
            self._wake_lanes()

    def _release_held(self, key: CallKey) -> None:
        if self._slots.release_held(key):
            self._wake_lanes()

    def _wake_lanes(self) -> None:
        if self._limit != 0:  # otherwise a lane asks again when the hold or the pause of the breaker ends
            self._slots.wake_lanes()

    def _show_waiting(self) -> None:
        metrics.gauge("deliveries_waiting", float(sum(self._waiting.values())), self._channel)

    def _prune(self) -> None:
        if self._handover.prune():
            # A dropped call may still be unsettled. A lane must not conclude that the call never began, so this
            # dispatcher gets a new name.
            self.name = secrets.token_hex(6)
