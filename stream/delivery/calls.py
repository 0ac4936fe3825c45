"""Calls of a provider that have begun: each is made once, and continues after the end of the lane that began it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from models.delivery.calls import Call, EndedCall
from models.delivery.deliveries import Result

CallKey: TypeAlias = tuple[str, int, bool]
"""Id of the message, number of the attempt, and whether the call is a look-up."""

INTERRUPTED = Result("unknown", "it was interrupted", trouble=True)
"""Result of a call that was cancelled because the process ends."""


def key_of_call(call: Call) -> CallKey:
    """Return the key of a call."""
    return call.message.id, call.number, call.looks_up


class Calls:
    """The calls of one provider, from their beginning until their results are committed.

    Parameters
    ----------
    perform
        Makes one call, and returns its failures as results.
    on_end
        Called when a call has ended.
    """

    def __init__(self, perform: Callable[[Call], Awaitable[Result]], on_end: Callable[[CallKey], None]) -> None:
        self._perform = perform
        self._on_end = on_end
        self._tasks: dict[CallKey, asyncio.Task[Result]] = {}

    def __contains__(self, key: CallKey) -> bool:
        return key in self._tasks

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<Calls {len(self.running())} running of {len(self._tasks)}>"

    def begin(self, call: Call) -> None:
        """Begin a call; do nothing if it has begun already."""
        key = key_of_call(call)
        if key not in self._tasks:
            task = self._tasks[key] = asyncio.create_task(self._result_of(call), name=f"deliver {call.message.id}")
            task.add_done_callback(lambda _: self._on_end(key))

    async def end_of(self, call: Call) -> EndedCall:
        """Await the end of a call that has begun. The caller may be cancelled; the call continues."""
        task = self._tasks[key_of_call(call)]
        await asyncio.wait([task])
        return EndedCall(call, INTERRUPTED if task.cancelled() else task.result())

    def is_running(self, key: CallKey) -> bool:
        """Return whether a call has begun and not ended."""
        return key in self._tasks and not self._tasks[key].done()

    def running(self) -> list[asyncio.Task[Result]]:
        """Return the tasks of all calls that have not ended."""
        return [task for task in self._tasks.values() if not task.done()]

    def forget(self, key: CallKey) -> None:
        """Drop a call and its result."""
        self._tasks.pop(key, None)

    async def _result_of(self, call: Call) -> Result:
        return await self._perform(call)
