"""Offsets of the consumer group, for programs that measure lag; lanes with state never read them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from faust.types import TP

from stream.engine.fetches import Fetcher

logger = logging.getLogger(__name__)

PUBLISH_EVERY_S = 0.1


class OffsetPublisher:
    """Write the positions of lanes as the group's offsets, from time to time.

    Parameters
    ----------
    fetcher
        Member of the group.
    positions
        Returns the positions to publish; none while partitions are being reassigned.
    every_s
        Time between two checks of the positions, seconds.
    """

    def __init__(
        self, fetcher: Fetcher, positions: Callable[[], Mapping[TP, int]], every_s: float = PUBLISH_EVERY_S
    ) -> None:
        self._fetcher = fetcher
        self._positions = positions
        self._every_s = every_s
        self._published: Mapping[TP, int] = {}
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<OffsetPublisher running={self.is_running} partitions={len(self._published)}>"

    @property
    def is_running(self) -> bool:
        """Whether the publisher has been started, and not stopped."""
        return self._task is not None

    def start(self) -> None:
        """Begin, if it does not run; return immediately."""
        if self._task is None:
            self._task = asyncio.create_task(self._publish_again_and_again(), name="publish offsets")

    async def stop(self) -> None:
        """Stop the publisher."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _publish_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            positions = self._positions()
            moved = {tp: position for tp, position in positions.items() if position != self._published.get(tp)}
            if not moved:
                continue
            try:
                await self._fetcher.commit_offsets(moved)
            except Exception as error:  # noqa: BLE001 - no lane depends on these offsets, so a failure is only logged
                logger.info("the group's offsets were not written: %r", error)
            else:
                # partitions that went to another process, and come back later, are published again
                self._published = dict(positions)
