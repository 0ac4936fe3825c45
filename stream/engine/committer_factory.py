"""The choice of a committer, by the kind of agent and by the features of the broker."""

from __future__ import annotations

import asyncio
import functools

from stream.cluster.connection import Connection, transactional_id
from stream.cluster.writer import Writer
from stream.engine.agent_spec import Stateful
from stream.engine.committers import Committer, OrderedCommitter, Ownership, RelayCommitter, TransactionalCommitter
from stream.engine.context import Assignment
from stream.engine.fetches import Fetcher

MAX_RESTORES = 2
"""Maximum number of restores that read records at the same time.

While one waits for the broker, the other one reads. The other restores come later, so that the first partitions are
ready long before the last ones.
"""


class CommitterFactory:
    """Maker of the committers of all lanes of a process.

    Parameters
    ----------
    connection
        The cluster.
    application
        First part of every transactional id. It must never change for an installation.
    writer
        The process's idempotent producer.
    fetcher
        Member of the group, for the offsets of relays.
    """

    def __init__(self, connection: Connection, application: str, writer: Writer, fetcher: Fetcher) -> None:
        self._connection = connection
        self._application = application
        self._writer = writer
        self._fetcher = fetcher
        self._slots = asyncio.Semaphore(MAX_RESTORES)

    def make(self, assignment: Assignment) -> Committer:
        """Return a new committer for one run of a lane."""
        spec, tp = assignment.spec, assignment.tp
        if not isinstance(spec, Stateful):
            return RelayCommitter(
                self._writer,
                tp.partition,
                functools.partial(self._fetcher.committed_offset, tp),
                lambda offset: self._fetcher.commit_offsets({tp: offset}),
                spec.aligned,
            )
        own = Ownership(
            transactional_id=transactional_id(self._application, assignment.topic, tp.partition),
            partition=tp.partition,
            state_topic=spec.state,
            aligned=spec.aligned,
            slots=self._slots,
        )
        if self._connection.transactions:
            return TransactionalCommitter(self._connection, own)
        return OrderedCommitter(self._connection, own, self._writer)
