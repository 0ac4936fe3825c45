"""A rebuild in a process of its own, which may kill itself: ``... SERVERS PREFIX PARTITIONS [POINT]``.

Points are the moments between two durable writes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer

from stream.cluster.connection import Connection
from stream.engine.committers import TransactionalCommitter
from stream.log.event_log import EventLog
from stream.rebuild import shadow, shadow_topic
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


def dying(function: Callable[..., Any], when: Callable[..., bool], *, before: bool = False) -> Callable[..., Any]:
    """Wrap a function so that the process dies before or after the first call for which ``when`` holds."""

    async def called(self: Any, *arguments: Any, **named: Any) -> Any:
        if before and when(self):
            die()
        found = await function(self, *arguments, **named)
        if when(self):
            die()
        return found

    return called


def is_owner(committer: Any) -> bool:
    return bool(committer._own.state_topic == "profiles")


def is_half_folded(committer: Any) -> bool:
    return bool(committer._own.state_topic == shadow_topic.TOPIC and committer._own.partition == 1)


def plant(point: str) -> None:
    """Make this process die at a point."""
    committer: Any = TransactionalCommitter
    if point == "folding":
        shadow.COMMIT_EVERY_S = 0.0
        committer.commit = dying(committer.commit, is_half_folded)
    elif point == "fenced":
        committer.fence = dying(committer.fence, is_owner)
    elif point == "in the switch":
        producer: Any = AIOKafkaProducer
        producer.commit_transaction = dying(
            producer.commit_transaction, lambda one: "fold-events" in one._txn_manager.transactional_id, before=True
        )
    elif point == "switched":
        committer.commit = dying(committer.commit, is_owner)
    elif point == "woken":
        log: Any = EventLog
        log.write_at = dying(log.write_at, lambda _: True)


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
