"""A real fold whose owner crashes in a commit, on real brokers: exact state, and the same bytes of repeated outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from models.batch import Batch, Checkpoint, Commit, Outputs, Restored
from models.events import Event, OrderLine
from models.fold.partition import PartitionFold
from stream.cluster.connection import Connection
from stream.cluster.transactional_writer import TransactionalWriter
from stream.cluster.writer import Writer
from stream.engine.committers import Committer, OrderedCommitter, Ownership, TransactionalCommitter
from tests.support.brokers import Cluster
from tests.support.event_logs import START, PartitionRecord, written
from tests.support.topic_reading import read_all

TOPICS = ("interactions", "signals")
HALF, EVENTS = 60, 120


class PlannedCrash(Exception):
    """A crash that the test causes."""


def log() -> list[PartitionRecord]:
    """Make a live log of one partition; the first purchase of each user gives a signal."""
    events = []
    for number in range(EVENTS):
        common: dict[str, Any] = {"id": f"m{number}", "user": f"u{number % 9}", "at": START + number}
        if number % 7:
            events.append(Event(**common, type="click", item=f"i{number}"))
        else:
            lines = (OrderLine(f"i{number}", 1, 5_000_000, "shoes"),)
            events.append(Event(**common, type="purchase", order=f"o{number}", amount=5_000_000, lines=lines))
    return written(events)


@asynccontextmanager
async def owning(connection: Connection, writer: Writer) -> AsyncIterator[tuple[Committer, Restored]]:
    own = Ownership(f"{connection.group('fold')}-events-0", 0, "profiles", frozenset(TOPICS))
    committer: Committer = (
        TransactionalCommitter(connection, own)
        if connection.transactions
        else OrderedCommitter(connection, own, writer)
    )
    try:
        await committer.fence()
        yield committer, await committer.restore()
    finally:
        await committer.stop()


async def fold(committer: Committer, state: Restored, records: list[PartitionRecord]) -> Outputs:
    """Fold and commit the records of a log that are not folded yet."""
    rest = [record for record in records if record.offset >= state.position]
    outputs = PartitionFold(state).fold(Batch("events", 0, rest))
    await committer.commit(outputs.commit, state.checkpoint(outputs.commit, len(records)))
    return outputs


async def crash(*_: object) -> None:
    raise PlannedCrash


async def abort_nothing(*_: object) -> None:
    """Abort nothing, because a crashed process cannot abort its transaction."""


@pytest.mark.parametrize("point", ["before the commit", "after the outputs", "after the commit"])
async def test_the_state_is_exact_after_a_crash_at_any_point_and_repeated_outputs_have_the_same_bytes(
    cluster: Cluster, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, records, writer = cluster.connection, log(), Writer(cluster.connection)
    cluster.create(profiles=1, interactions=1, signals=1)
    async with owning(connection, writer) as (committer, state):
        await fold(committer, state, records[:HALF])
    async with owning(connection, writer) as (committer, state):
        with monkeypatch.context() as patch:
            if point == "before the commit":
                patch.setattr(committer, "commit", crash)
            elif point == "after the outputs" and isinstance(committer, TransactionalCommitter):
                patch.setattr(TransactionalWriter, "commit", crash)
                patch.setattr(TransactionalWriter, "abort", abort_nothing)
            elif point == "after the outputs":
                patch.setattr(writer, "send_to", crash)
            else:
                patch.setattr(committer, "commit", _then_crash(committer))
            with pytest.raises(PlannedCrash):
                await fold(committer, state, records)
        # The next owner starts while the connections of the crashed owner are still open.
        async with owning(connection, writer) as (successor, restored):
            if restored.position < len(records):
                await fold(successor, restored, records)
    async with owning(connection, writer) as (_, found):
        undisturbed = Restored()
        undisturbed_outputs = PartitionFold(undisturbed).fold(Batch("events", 0, records))
        undisturbed.apply(undisturbed_outputs.commit)
    await writer.close()

    assert (found.position, found.memo, found.records) == (len(records), undisturbed.memo, undisturbed.records)
    said: Counter[tuple[str, bytes, bytes | None]] = Counter()
    for topic in TOPICS:
        said.update(await outputs_of(connection, topic))
    expected = Counter((output.topic, output.key, output.value) for output in undisturbed_outputs.commit.records)
    repeats = said - expected
    assert said.keys() == expected.keys()
    assert bool(repeats) == (not connection.transactions and point == "after the outputs")


def _then_crash(committer: Committer) -> Any:
    commit = committer.commit

    async def committed(one: Commit, checkpoint: Checkpoint) -> None:
        await commit(one, checkpoint)
        raise PlannedCrash

    return committed


async def outputs_of(connection: Connection, topic: str) -> list[tuple[str, bytes, bytes | None]]:
    found = await read_all(connection, topic)
    return [(topic, record.key, record.value) for record in found]
