"""A bare aiokafka loop: read, decode, acknowledge."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event


async def main(task: Task) -> None:
    consumer = AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=task.servers,
        group_id=task.name("engine"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6_000,
    )
    await consumer.start()
    try:
        while not task.done:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=5_000)).values():
                task.begin()
                for record in records:
                    read_event(record.key, record.value)
                task.count(len(records))
            await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(Task.from_arguments()))
