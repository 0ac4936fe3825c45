"""A counting worker: ``python -m tests.support.counting_worker SERVERS PREFIX TRANSACTIONS SESSION_S [THINK_S]``.

With ``THINK_S``, its agent takes this many seconds for every batch, and logs that.
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
from tests.support.counting import COUNTING, count

logger = logging.getLogger(__name__)


def main() -> None:
    servers, prefix, transactions, session_s, *think = sys.argv[1:]
    connection = Connection(
        servers, prefix=prefix, transactions=transactions == "yes", session_timeout_s=float(session_s)
    )

    def thinking(restored: Restored, wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for outputs in count(restored, wake)(batches):
                logger.info("thinking over %d records", len(outputs.commit.records))
                await asyncio.sleep(float(think[0]))
                yield outputs

        return agent

    edge = replace(COUNTING, agent=thinking) if think else COUNTING
    run_worker(create_app("count", connection, [edge]))


if __name__ == "__main__":
    main()
