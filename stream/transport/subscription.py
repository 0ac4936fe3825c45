"""Subscription of a worker: it joins its group once its agents listen. Faust itself always waits a second instead."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.manager import TableManager
from faust.transport.conductor import Conductor


class BatchConductor(Conductor):  # type: ignore[misc]  # Faust's types are skipped
    """Conductor that knows when agents listen to all topics of the lanes.

    Attributes
    ----------
    complete
        Set when agents listen to all topics of the lanes. A worker that subscribed earlier would read too few topics
        for 45 seconds.
    """

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.complete = asyncio.Event()

    def add(self, topic: Any) -> None:
        """Register a topic that an agent listens to."""
        super().add(topic)
        if self.app.transport.listener.topics <= {name for added in self for name in added.topics}:
            self.complete.set()


class NoTables(TableManager):  # type: ignore[misc]  # Faust's types are skipped
    """Table manager of an app without tables. Faust subscribes, and accepts assignments, once its tables are ready."""

    async def on_start(self) -> None:
        """Start the subscription once agents listen; Faust's method always waits a second."""
        if not await self.wait_for_stopped(self.app.topics.complete):
            await self._update_channels()
            await self.recovery.start()
