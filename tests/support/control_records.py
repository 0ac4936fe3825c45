"""Control records of the log, read back in tests."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.log import Control, decode_control
from stream.cluster.connection import Connection


async def read_controls(connection: Connection, partitions: int = 4) -> list[list[Control]]:
    """Read each partition of ``events``, which must contain only control records."""
    found = []
    for partition in range(partitions):
        place = TopicPartition(connection.topic("events"), partition)
        reader = AIOKafkaConsumer(**connection.client_options(), auto_offset_reset="earliest", fetch_max_wait_ms=20)
        await reader.start()
        try:
            reader.assign([place])
            records = []
            while reader.highwater(place) is None or await reader.position(place) < reader.highwater(place):
                records += (await reader.getmany(place, timeout_ms=200)).get(place, [])
        finally:
            await reader.stop()
        found.append([decode_control(record.value) for record in records])
    return found
