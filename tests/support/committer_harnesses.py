"""Harnesses of all kinds of committers, so that the same checks run on each of them.

A new committer is tested as soon as it is listed in :data:`HARNESSES`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.engine.committers import Committer, OrderedCommitter, Ownership, RelayCommitter, TransactionalCommitter
from stream.engine.memory import MemoryCommitter, MemoryPartition
from tests.support.brokers import Cluster
from tests.support.topic_reading import read_until

OUTPUTS = "copies"
"""Topic of the outputs. Like the topic of the state, it has one partition."""


@dataclass(frozen=True)
class CommitterHarness:
    """One partition, and everything that its committers need.

    Attributes
    ----------
    make
        Makes a committer of the partition.
    outputs
        Waits until at least this many outputs are committed, and returns their values.
    """

    make: Callable[[], Committer]
    outputs: Callable[[int], Awaitable[list[bytes]]]


@dataclass(frozen=True)
class CommitterKind:
    """One kind of committer.

    Attributes
    ----------
    committer
        Its class.
    open
        Opens a harness on a broker.
    fixture
        Name of the fixture with its broker; ``None`` if it needs no broker.
    has_state
        Whether it stores state and memo.
    fences
        Whether a new owner stops the commits of the previous owner.
    """

    committer: type
    open: Callable[[Cluster | None], AbstractAsyncContextManager[CommitterHarness]]
    fixture: str | None
    has_state: bool = True
    fences: bool = False


async def _read_outputs(connection: Connection, count: int) -> list[bytes]:
    found = await read_until(connection, OUTPUTS, lambda records: len(records) >= count, within_s=30)
    return [record.value for record in found]


@asynccontextmanager
async def _on_a_broker(
    cluster: Cluster | None, make: Callable[[Connection, Writer], Committer]
) -> AsyncIterator[CommitterHarness]:
    assert cluster is not None
    connection = cluster.connection
    cluster.create(copies=1, profiles=1)
    writer = Writer(connection)
    try:
        yield CommitterHarness(lambda: make(connection, writer), lambda count: _read_outputs(connection, count))
    finally:
        await writer.close()


def _owned(connection: Connection) -> Ownership:
    return Ownership(f"{connection.group('fold')}-events-0", 0, "profiles", frozenset({OUTPUTS}))


def _transactional(cluster: Cluster | None) -> AbstractAsyncContextManager[CommitterHarness]:
    return _on_a_broker(cluster, lambda connection, _: TransactionalCommitter(connection, _owned(connection)))


def _ordered(cluster: Cluster | None) -> AbstractAsyncContextManager[CommitterHarness]:
    return _on_a_broker(cluster, lambda connection, writer: OrderedCommitter(connection, _owned(connection), writer))


def _relay(cluster: Cluster | None) -> AbstractAsyncContextManager[CommitterHarness]:
    offsets: list[int] = []

    async def read() -> int | None:
        return offsets[-1] if offsets else None

    async def move(offset: int) -> None:
        offsets.append(offset)

    return _on_a_broker(cluster, lambda _, writer: RelayCommitter(writer, 0, read, move, aligned=frozenset({OUTPUTS})))


@asynccontextmanager
async def _memory(_: Cluster | None) -> AsyncIterator[CommitterHarness]:
    partition = MemoryPartition()

    async def outputs(_: int) -> list[bytes]:
        return [output.value or b"" for output in partition.outputs]

    yield CommitterHarness(lambda: MemoryCommitter(partition), outputs)


HARNESSES: Mapping[str, CommitterKind] = {
    "transactional": CommitterKind(TransactionalCommitter, _transactional, "kafka", fences=True),
    "ordered": CommitterKind(OrderedCommitter, _ordered, "embedded"),
    "relay": CommitterKind(RelayCommitter, _relay, "embedded", has_state=False),
    "memory": CommitterKind(MemoryCommitter, _memory, None, fences=True),
}
"""All kinds of committers by name."""
