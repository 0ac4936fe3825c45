"""Offsets of the consumer group, for programs that measure lag; lanes with state never read them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from faust.types import TP

from stream.engine.context import Observer
from stream.engine.fetches import Fetcher
from stream.engine.reports import CommitReport

logger = logging.getLogger(__name__)

PUBLISH_AFTER_S = 0.1
"""How long after a change of a position the publication begins, seconds."""


class OffsetPublisher:
    """Write the positions of lanes as the group's offsets, soon after they have changed.

    Parameters
    ----------
    fetcher
        Member of the group.
    positions
        Returns the positions to publish; none while partitions are being reassigned.
    after_s
        How long after a change the publication begins, seconds.
    """

    def __init__(
        self, fetcher: Fetcher, positions: Callable[[], Mapping[TP, int]], after_s: float = PUBLISH_AFTER_S
    ) -> None:
        self._fetcher = fetcher
        self._positions = positions
        self._after_s = after_s
        self._published: Mapping[TP, int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<OffsetPublisher running={self.is_running} partitions={len(self._published)}>"

    @property
    def is_running(self) -> bool:
        """Whether the publisher has been started, and not stopped."""
        return self._task is not None

    def start(self) -> None:
        """Begin, if it does not run, and publish what has changed; return immediately."""
        self.notice()
        if self._task is None:
            self._task = asyncio.create_task(self._publish_again_and_again(), name="publish offsets")

    def notice(self) -> None:
        """Record that a position has changed, or is about to change within :data:`PUBLISH_AFTER_S`."""
        self._changed.set()

    async def stop(self) -> None:
        """Stop the publisher."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _publish_again_and_again(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(self._after_s)
            self._changed.clear()
            positions = self._positions()
            moved = {tp: position for tp, position in positions.items() if position != self._published.get(tp)}
            if not moved:
                continue
            try:
                await self._fetcher.commit_offsets(moved)
            except Exception as error:  # noqa: BLE001 - no lane depends on these offsets, so a failure is only logged
                logger.info("the group's offsets were not written: %r", error)
                self.notice()
            else:
                # partitions that went to another process, and come back later, are published again
                self._published = dict(positions)


class NoticingObserver:
    """An observer that passes everything on to another one, and notices when a position has changed.

    Parameters
    ----------
    observer
        The other observer.
    notice
        Called after each event that may have changed a position.
    """

    def __init__(self, observer: Observer, notice: Callable[[], None]) -> None:
        self._observer = observer
        self._notice = notice

    def opened(self, topic: str, seconds: float) -> None:
        """Called when a lane is about to have a position."""
        self._observer.opened(topic, seconds)
        self._notice()

    def committed(self, report: CommitReport) -> None:
        """Called when a lane has committed."""
        self._observer.committed(report)
        self._notice()

    def failed(self, topic: str, error: BaseException) -> None:
        """Called when a run of a lane has failed."""
        self._observer.failed(topic, error)
