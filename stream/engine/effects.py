"""Effects of a lane, such as calls of a provider: they run while the lane works, and its agent gets their results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from models.batch import Effect

MAX_CANCELLING_S = 1.0
"""Maximum time that a cancelled effect may take to end, seconds."""


class EffectRunner:
    """Run effects concurrently, in one run of a lane.

    An effect is pending from its start until the outputs that follow from its end are committed.

    Parameters
    ----------
    on_end
        Called whenever an effect has ended.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._running: set[asyncio.Task[object]] = set()
        self._ended: list[object] = []
        self._handed_over = 0
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<EffectRunner running={len(self._running)} ended={len(self._ended)} handed_over={self._handed_over}>"

    @property
    def pending(self) -> int:
        """Number of effects that have begun, and whose consequences are not committed."""
        return len(self._running) + len(self._ended) + self._handed_over

    @property
    def has_ended(self) -> bool:
        """Whether an effect has ended, and the agent has not received its result."""
        return bool(self._ended) or self._error is not None

    def begin(self, effects: Iterable[Effect]) -> None:
        """Begin effects; return immediately."""
        for effect in effects:
            task = asyncio.ensure_future(_result_of(effect()))  # the call itself begins the effect
            self._running.add(task)
            task.add_done_callback(self._end)

    def hand_over(self) -> tuple[object, ...]:
        """Return the results that the agent does not have yet, in the order in which the effects ended.

        Raises
        ------
        Exception
            The error of an effect. It is a mistake in the effect, because an effect returns its failures as results.
        """
        if self._error is not None:
            raise self._error
        results = tuple(self._ended)
        self._handed_over += len(results)
        self._ended.clear()
        return results

    def confirm(self) -> None:
        """Record that the outputs that follow from all results handed over are committed."""
        self._handed_over = 0

    async def close(self) -> None:
        """Cancel the effects that run, and forget all results."""
        running, self._running = self._running, set()
        self._ended.clear()
        self._handed_over = 0
        self._error = None
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=MAX_CANCELLING_S)

    def _end(self, task: asyncio.Task[object]) -> None:
        if task not in self._running:
            return  # its run has ended
        self._running.discard(task)
        if task.cancelled():
            self._error = RuntimeError("an effect was cancelled, but not by its lane")
        elif (error := task.exception()) is not None:
            self._error = error
        else:
            self._ended.append(task.result())
        self._on_end()


async def _result_of(begun: Awaitable[object]) -> object:
    return await begun
