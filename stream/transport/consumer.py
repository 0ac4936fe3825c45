"""Fetches through Faust: one fetch of one partition is one Faust event, delivered to lanes that are ready.

This is a subclass of Faust's aiokafka transport. Faust keeps the group, the assignment and the agents. It reads no
offsets, commits none and seeks nowhere, because lanes do that.
"""

from __future__ import annotations

import asyncio
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from stream.cluster.connection import Connection
from stream.engine.fetches import Fetch
from stream.transport.consumer_thread import BatchThread, FetchListener, GroupListener
from stream.transport.subscription import BatchConductor


class BatchConsumer(driver.Consumer):  # type: ignore[misc]  # Faust's types are skipped
    """Consumer that moves fetches into Faust's agents, and replaces everything in Faust that uses offsets."""

    RebalanceListener = GroupListener

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Skip the seek, because lanes seek."""

    async def wait_empty(self) -> None:
        """Wait until the lanes are drained. Faust calls this when partitions are revoked, and when it stops."""
        await self.transport.listener.drain()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Commit nothing, because Faust would commit offsets after events that are not processed."""
        return False

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Skip the check of acknowledgements, because there are none. Lanes know their own progress."""

    async def on_stop(self) -> None:
        """Close the lanes while the consumer still exists, then let it leave the group."""
        await self.transport.listener.close()
        await super().on_stop()

    async def _drain_messages(self, fetcher: Any) -> None:
        listener: FetchListener = self.transport.listener
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                    continue
                for tp, fetch in await self._thread.in_thread(self._thread.fetch(listener)):
                    await self.callback(_message(tp, fetch, self.app.consumer_generation_id))
        except asyncio.CancelledError:
            # During a rebalance, Faust treats a cancellation as a crash. A process that is asked to stop at that time
            # would end as if it had failed.
            if not self.app.should_stop:
                raise
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                listener.reading_failed(error)
        except Exception as error:  # noqa: BLE001 - after any error, a worker that can read nothing must end
            listener.reading_failed(error)


def _message(tp: TP, fetch: Fetch, generation: int) -> ConsumerMessage:
    """Return one Faust message for a whole fetch; Faust reads its place and time, and passes its value on."""
    last = fetch.records[-1]
    return ConsumerMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1_000,
        timestamp_type=0,
        headers=(),
        key=last.key,
        value=fetch,
        checksum=None,
        tp=tp,
        generation_id=generation,  # Faust drops the records that were read before the last rebalance
    )


class SilentProducer(driver.Producer):  # type: ignore[misc]  # Faust's types are skipped
    """A producer that never connects, because nothing is sent through Faust."""

    async def on_start(self) -> None:
        """Ignore the call."""

    async def on_stop(self) -> None:
        """Ignore the call."""

    async def flush(self) -> None:
        """Ignore the call."""


class BatchTransport(driver.Transport):  # type: ignore[misc]  # Faust's types are skipped
    """The transport of a worker; set as ``app.transport``.

    Parameters
    ----------
    app
        The Faust app.
    connection
        The cluster.
    listener
        The lanes.
    """

    Conductor = BatchConductor
    Consumer = BatchConsumer
    Producer = SilentProducer

    def __init__(self, app: faust.App, connection: Connection, listener: FetchListener) -> None:
        self.connection = connection
        self.listener = listener
        super().__init__(app.conf.broker, app)
