"""A rebuild in a separate process, which may kill itself: ``... SERVERS PREFIX PARTITIONS [POINT]``.

A point is a moment between two durable writes. At this point the process kills itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from models.batch import Checkpoint, Commit
from stream.cluster.connection import Connection
from stream.cluster.transactional_writer import TransactionalWriter
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.log.event_log import EventLog
from stream.rebuild import shadow, shadow_topic, switch
from stream.rebuild.process import Rebuild, Rebuilt
from stream.rebuild.shadow import code_in_use

POINTS = ("folding", "fenced", "in the switch", "switched", "woken")


class NoListener:
    """A listener that ignores the progress of a rebuild."""

    def planned(self, records: int) -> None: ...

    def folded(self, partition: int, position: int, now: int) -> None: ...

    def switched(self, done: Rebuilt) -> None: ...


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class SecondPassDies(TransactionalCommitter):
    """A shadow's committer that dies after the first commit of records of the second pass."""

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        await super().commit(commit, checkpoint)
        if msgspec.msgpack.decode(checkpoint.memo, type=shadow.ShadowMemo).is_second and checkpoint.position:
            die()


class SecondShadowDies(TransactionalCommitter):
    """A shadow's committer that dies after the first commit of partition 1."""

    def __init__(self, connection: Connection, own: Ownership) -> None:
        super().__init__(connection, own)
        self._partition = own.partition

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        await super().commit(commit, checkpoint)
        if self._partition == 1:
            die()


class DiesAfterFence(TransactionalCommitter):
    """An owner's committer that dies as soon as it has fenced the running lane."""

    async def fence(self) -> None:
        await super().fence()
        die()


class DiesInCommit(TransactionalCommitter):
    """An owner's committer that dies after it has written everything and before it commits the transaction."""

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        writer: Any = TransactionalWriter
        writer.commit = die_now
        await super().commit(commit, checkpoint)


class DiesAfterCommit(TransactionalCommitter):
    """An owner's committer that dies as soon as it has committed the switch."""

    async def commit(self, commit: Commit, checkpoint: Checkpoint) -> None:
        await super().commit(commit, checkpoint)
        die()


async def die_now(*_: Any) -> None:
    die()


def plant(point: str) -> None:
    """Make this process kill itself at a point."""
    owners: dict[str, type[TransactionalCommitter]] = {
        "fenced": DiesAfterFence,
        "in the switch": DiesInCommit,
        "switched": DiesAfterCommit,
    }
    if point == "second pass":
        setattr(shadow, "TransactionalCommitter", SecondPassDies)  # noqa: B010 - only this program changes it
    elif point == "folding":
        shadow.COMMIT_EVERY_S = 0.0
        setattr(shadow, "TransactionalCommitter", SecondShadowDies)  # noqa: B010 - only this program changes it
    elif point == "woken":
        setattr(EventLog, "write_at", woken_and_dead)  # noqa: B010 - only this program changes it
    else:
        setattr(switch, "TransactionalCommitter", owners[point])  # noqa: B010 - only this program changes it


_write_at = EventLog.write_at


async def woken_and_dead(log: EventLog, records: Sequence[tuple[int, bytes, bytes]]) -> None:
    await _write_at(log, records)
    die()


def main() -> None:
    servers, prefix, partitions, *point = sys.argv[1:]
    if point:
        plant(point[0])
    connection = Connection(servers, prefix=prefix, session_timeout_s=6)
    shadow_topic.make(connection, int(partitions), 1)
    for one in asyncio.run(Rebuild(connection, int(partitions), code_in_use(), NoListener()).run()):
        print(one.outcome, flush=True)


if __name__ == "__main__":
    main()
