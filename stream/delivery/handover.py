"""Handover of calls: the new owner of a partition gets the results of the calls that its previous owner began."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeAlias

from models.delivery.calls import Call
from models.delivery.deliveries import Result
from models.delivery.notices import Answer, InFlight, encode_notice
from models.events import Channel
from stream.cluster.errors import BrokerUnavailable
from stream.delivery.calls import INTERRUPTED, CallKey, Calls, key_of_call

logger = logging.getLogger(__name__)

MAX_LEFT = 10_000
"""Maximum number of calls kept for partitions that may come back to this process."""

WriteToPartition: TypeAlias = Callable[[list[tuple[bytes, bytes | None]]], Awaitable[None]]
"""Writes records to a partition of ``messages.<channel>``."""

_NOT_BEGUN = Result("failed", "not begun")


class _LeftCall(NamedTuple):
    partition: int
    call: Call
    by: str


class Handover:
    """The calls of lanes that have ended, in this process.

    Parameters
    ----------
    channel
        Channel of all messages.
    calls
        The calls that have begun, with their results.
    """

    def __init__(self, channel: Channel, calls: Calls) -> None:
        self._channel = channel
        self._calls = calls
        self._left: dict[CallKey, _LeftCall] = {}
        self._reports: set[asyncio.Task[None]] = set()

    def __contains__(self, key: CallKey) -> bool:
        return key in self._left

    def __repr__(self) -> str:
        return f"<Handover {self._channel}: {len(self._left)} calls left, {len(self._reports)} being reported>"

    @property
    def reports(self) -> frozenset[asyncio.Task[None]]:
        """The reports to new owners that have not ended."""
        return frozenset(self._reports)

    def leave(self, partition: int, calls: Iterable[Call], by: str) -> None:
        """Keep the calls of a lane that ends, whether they have begun or not; ``by`` is the name of their attempts."""
        self._left.update((key_of_call(call), _LeftCall(partition, call, by)) for call in calls)

    def take_back(self, key: CallKey) -> None:
        """Give a call to the lane that asks for it, because this process has the call's partition again."""
        self._left.pop(key, None)

    def report(self, partition: int, write: WriteToPartition) -> None:
        """Report all calls of a partition to its new owner, each when it has ended."""
        for key, left in list(self._left.items()):
            if left.partition == partition and not left.call.looks_up:
                report = asyncio.create_task(self._report(key, left, write), name=f"report {left.call.message.id}")
                self._reports.add(report)
                report.add_done_callback(self._reports.discard)

    def prune(self) -> bool:
        """Drop all results if there are too many, and return whether that was done.

        The results belong to calls of partitions that moved to other processes, which have settled the calls by now.
        """
        if len(self._left) < MAX_LEFT:
            return False
        for key in self._left:
            if not self._calls.is_running(key):
                self._calls.forget(key)
        self._left = {key: left for key, left in self._left.items() if key in self._calls}
        return True

    async def _report(self, key: CallKey, left: _LeftCall, write: WriteToPartition) -> None:
        call = left.call
        if key not in self._calls:
            del self._left[key]
            result = _NOT_BEGUN
        else:
            if self._calls.is_running(key):
                await self._write(call, InFlight(call.message.id, call.number, left.by), write)
            result = (await self._calls.end_of(call)).result
            if result is INTERRUPTED or self._left.get(key) is not left:
                return  # this process ends, or its lane has the partition again and awaits the result itself
        answer = Answer(
            message=call.message.id,
            channel=self._channel,
            attempt=call.number,
            by=left.by,
            status=result.status,  # type: ignore[arg-type]  # a provider returns only these
            detail=result.detail,
            provider_id=result.provider_id,
            retry_after=result.retry_after,
            answered=result.answered,
            bounce=result.bounce,
            code=result.code,
            to=call.message.to if result.bounce and call.message.origin == "live" else "",
        )
        await self._write(call, answer, write)

    async def _write(self, call: Call, notice: Answer | InFlight, write: WriteToPartition) -> None:
        try:
            await write([(call.message.user.encode(), encode_notice(notice))])
        except BrokerUnavailable as error:
            logger.warning(
                "%s: the partition's new owner is not notified about message %s: %r",
                self._channel,
                call.message.id,
                error,
            )
