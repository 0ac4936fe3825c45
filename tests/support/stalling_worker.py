"""A worker with a watchdog, and with an agent or with calls that make no progress.

Start it with ``python -m tests.support.stalling_worker SERVERS PREFIX TRANSACTIONS SESSION_S MODE STALL_AFTER_S``.
MODE is one of these:

- ``awaits``: at the first batch, the agent waits for an event that never comes.
- ``blocks``: at the first batch, the agent blocks the event loop.
- ``calls``: at each batch with records, the agent begins a call that is never answered, and continues.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

from models.batch import Batch, Outputs, Restored
from stream.cluster.connection import Connection
from stream.engine.agent_spec import Agent, Wake
from stream.transport.app import create_app, run_worker
from stream.worker.process import watched
from stream.worker.state import WorkerState
from tests.support.counting import COUNTING, count

logger = logging.getLogger(__name__)


def main() -> None:
    servers, prefix, transactions, session_s, how, stall_after_s = sys.argv[1:]
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )

    async def call() -> None:
        logger.info("calling")
        await asyncio.Event().wait()

    def stalling(restored: Restored, wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for outputs in count(restored, wake)(batches):
                while how == "blocks":
                    pass
                if how == "awaits":
                    await asyncio.Event().wait()
                if outputs.commit.records:
                    outputs.after.effects = [call]
                yield outputs

        return agent

    app = create_app("count", connection, [replace(COUNTING, agent=stalling, has_effects=True)])

    async def watching() -> None:
        with watched(WorkerState(app), connection, float(stall_after_s)):
            await asyncio.Event().wait()

    app.at_once.append(watching)
    run_worker(app)


if __name__ == "__main__":
    main()
