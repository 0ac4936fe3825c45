"""What rounds are played on.

One Apache Kafka for all of them, its log on a small disk that can be filled; or an embedded broker for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stream.installation.embedded_broker import EmbeddedBroker
from tests.chaos.disk import SmallDisk, may_mount, small_disk
from tests.support.brokers import ApacheKafka

KAFKA = {
    # What a round leaves behind goes at once, and a small disk is not filled by what is only prepared.
    "file.delete.delay.ms": "1000",
    "log.index.size.max.bytes": str(1 << 20),
    "log.segment.delete.delay.ms": "1000",
}

START_WITHIN_S = 180


@dataclass
class Arena:
    """See the module.

    Attributes
    ----------
    kafka
        The broker; stays over all rounds. ``None``: each round has an embedded one, which forgets everything.
    disk
        What its log lies on; ``None`` where none can be mounted.
    folder
        For the files of each round.
    """

    kafka: ApacheKafka | None
    disk: SmallDisk | None
    folder: Path


def kafka_home() -> Path:
    """Where a Kafka distribution stands."""
    return Path(os.environ.get("KAFKA_HOME") or Path.cwd().parent / "shared" / "kafka")


@contextmanager
def a_broker(arena: Arena, folder: Path) -> Iterator[str]:
    """Address of the broker of a round."""
    if arena.kafka is not None:
        yield arena.kafka.address
        return
    with EmbeddedBroker(None, folder) as broker:
        yield broker.address


@contextmanager
def an_arena(folder: Path, *, mount: bool = True) -> Iterator[Arena]:
    """Start the broker that all rounds are played on, its log on a small disk where one can be mounted."""
    (folder / "kafka").mkdir(parents=True)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk")) if mount and may_mount() else None
        properties = KAFKA if disk is None else {**KAFKA, "log.dirs": str(disk.folder / "data")}
        kafka = ApacheKafka(kafka_home(), folder / "kafka", properties)
        kafka.start(START_WITHIN_S)
        stack.callback(kafka.stop)
        yield Arena(kafka, disk, folder)
