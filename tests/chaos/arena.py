"""Brokers on which rounds are played.

All rounds share one Apache Kafka, whose log is on a small disk that can be filled. On the embedded broker, each round
has a new broker.
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
    # Delete the files of a round after one second. Otherwise the next rounds would fill the small disk without a fault.
    "file.delete.delay.ms": "1000",
    "log.index.size.max.bytes": str(1 << 20),
    "log.segment.delete.delay.ms": "1000",
}

START_WITHIN_S = 180


@dataclass
class Arena:
    """Broker and folder that rounds share.

    Attributes
    ----------
    kafka
        The broker of all rounds. ``None``: each round has an embedded broker, which loses everything when it ends.
    disk
        Disk of the broker's log; ``None`` if none can be mounted.
    folder
        Folder for the files of each round.
    """

    kafka: ApacheKafka | None
    disk: SmallDisk | None
    folder: Path


def kafka_home() -> Path:
    """Return the folder of the Kafka distribution."""
    return Path(os.environ.get("KAFKA_HOME") or Path.cwd().parent / "shared" / "kafka")


@contextmanager
def a_broker(arena: Arena, folder: Path) -> Iterator[str]:
    """Yield the address of a round's broker."""
    if arena.kafka is not None:
        yield arena.kafka.address
        return
    with EmbeddedBroker(None, folder) as broker:
        yield broker.address


@contextmanager
def an_arena(folder: Path, *, mount: bool = True) -> Iterator[Arena]:
    """Start the broker that all rounds share, with its log on a small disk if one can be mounted."""
    (folder / "kafka").mkdir(parents=True)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk")) if mount and may_mount() else None
        properties = KAFKA if disk is None else {**KAFKA, "log.dirs": str(disk.folder / "data")}
        kafka = ApacheKafka(kafka_home(), folder / "kafka", properties)
        kafka.start(START_WITHIN_S)
        stack.callback(kafka.stop)
        yield Arena(kafka, disk, folder)
