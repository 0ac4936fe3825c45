"""What a lane has begun outside of Kafka, such as calls of a provider, and what it still owes a commit about."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

END_WITHIN_S = 1.0
"""How long an effect that is cancelled may take to end."""


class Effects:
    """Runs effects side by side; owed from its beginning until the agent was told of its end, and that is committed.

    Parameters
    ----------
    changed
        Called whenever one has ended.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._running: set[asyncio.Task[None]] = set()
        self._ended = 0
        self._told = 0
        self._error: BaseException | None = None

    @property
    def owed(self) -> int:
        """Effects whose end is not committed yet."""
        return len(self._running) + self._ended + self._told

    @property
    def has_news(self) -> bool:
        """Whether one ended that the agent was not told of."""
        return self._ended > 0

    def begin(self, effects: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Begin them; returns at once."""
        for effect in effects:
            task = asyncio.ensure_future(_end_of(effect()))
            self._running.add(task)
            task.add_done_callback(self._end)

    def tell(self) -> None:
        """Note that the agent hears of all that ended; raises what one of them raised, which is a mistake in it."""
        if self._error is not None:
            raise self._error
        self._told, self._ended = self._told + self._ended, 0

    def told(self) -> None:
        """Note that what the agent had to say about them is committed."""
        self._told = 0

    async def close(self) -> None:
        """Cancel what runs, and forget all."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=END_WITHIN_S)
        self._running.clear()
        self._ended = self._told = 0
        self._error = None

    def _end(self, task: asyncio.Task[None]) -> None:
        if task not in self._running:
            return  # it belongs to a life that is over
        self._running.discard(task)
        self._ended += 1
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = error
        self._changed()


async def _end_of(effect: Awaitable[None]) -> None:
    await effect
