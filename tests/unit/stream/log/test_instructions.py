"""An instruction to all processes, such as ``pause``, is written into every partition of the log."""

from __future__ import annotations

from models.log import Instruction, decode_control, opening
from stream.log.instructions import give
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until


async def test_an_order_is_in_every_partition_after_the_clock(embedded: Cluster) -> None:
    embedded.create(events=3)

    await give(embedded.connection, 3, "pause", "email")
    records = await read_until(embedded.connection, "events", lambda found: len(found) >= 6)

    said = {(record.partition, record.offset): decode_control(record.value or b"") for record in records}
    assert {said[partition, 0] for partition in range(3)} == {opening("wall")}
    assert {said[partition, 1] for partition in range(3)} == {Instruction("pause", "email")}
