"""Perennial: lanes whose agent decodes every event; group offsets are committed after each batch."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from models.batch import Batch, Outputs, Restored
from stream.cluster.connection import Connection
from stream.engine.agent_spec import Agent, Relay, Wake
from stream.transport.app import create_app, run_worker
from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event


def main(task: Task) -> None:
    def factory(_: Restored, _wake: Wake) -> Agent:
        async def decode(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                task.begin()
                for record in batch.records:
                    read_event(record.key, record.value)
                task.count(len(batch.records))
                yield Outputs()

        return decode

    prefix, _, logical = task.topic.rpartition(".")
    connection = Connection(task.servers, prefix=f"{prefix}.", session_timeout_s=6)
    spec = Relay(name="decode", topics=(logical,), agent=factory)
    run_worker(
        create_app(task.name("engine").removeprefix(connection.prefix), connection, [spec]), level=logging.WARNING
    )


if __name__ == "__main__":
    main(Task.from_arguments())
