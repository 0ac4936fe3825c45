"""When a worker joins its group: as soon as its agents listen, and not after a fixed second as in Faust."""

from __future__ import annotations

import asyncio
from typing import Any

from faust.tables.manager import TableManager
from faust.transport.conductor import Conductor


class BatchConductor(Conductor):  # type: ignore[misc]  # Faust's types are skipped
    """Knows when everything that the lanes read is listened to.

    Attributes
    ----------
    complete
        Set then. Who subscribed earlier would read too little for 45 seconds.
    """

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.complete = asyncio.Event()

    def add(self, topic: Any) -> None:
        """Register what an agent listens to."""
        super().add(topic)
        if self.app.transport.listener.topics <= {name for added in self for name in added.topics}:
            self.complete.set()


class NoTables(TableManager):  # type: ignore[misc]  # Faust's types are skipped
    """Faust subscribes, and takes assignments, when its tables are there; there are none here."""

    async def on_start(self) -> None:
        """Let Faust subscribe when there is something to subscribe to; its own gives agents a second to begin."""
        if not await self.wait_for_stopped(self.app.topics.complete):
            await self._update_channels()
            await self.recovery.start()
