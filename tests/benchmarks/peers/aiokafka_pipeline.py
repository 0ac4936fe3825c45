"""A bare aiokafka loop at the pipeline's job: profiles in a dict and in a compacted topic, offsets after the writes.

The loop follows the examples of aiokafka ("batch consumer", "manual commit", "local state"). It handles the records of
one fetch, sends and flushes everything, and then commits the offsets: at least once.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.peers.wire import read_event


async def main(task: Task) -> None:
    job, profiles = Job(), dict[bytes, bytes]()
    consumer = AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=task.servers,
        group_id=task.name("pipeline"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6_000,
    )
    producer = AIOKafkaProducer(bootstrap_servers=task.servers, linger_ms=5, max_batch_size=128 * 1024)
    await consumer.start()
    await producer.start()
    try:
        while not task.done:
            for records in (await consumer.getmany(timeout_ms=1_000, max_records=2_000)).values():
                task.begin()
                for record in records:
                    event = read_event(record.key, record.value)
                    if event is None:
                        continue
                    profile = unpack(profiles.get(record.key))
                    interactions, triggers = job.handle(event, profile)
                    profiles[record.key] = packed = pack(profile)
                    await producer.send(task.name("profiles"), packed, key=record.key)
                    for interaction in interactions:
                        await producer.send(task.name("interactions"), interaction, key=record.key)
                    for trigger in triggers:
                        await producer.send(task.name("triggers"), trigger, key=record.key)
                await producer.flush()
                task.count(len(records))
            await consumer.commit()
    finally:
        await producer.stop()
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(Task.from_arguments()))
