"""The real fold on real brokers, whose owner dies in a commit: the state is exact, and what repeats is the same."""

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
from stream.cluster.writer import Writer
from stream.engine.committers import Committer, OrderedCommitter, Ownership, TransactionalCommitter
from tests.support.brokers import Cluster
from tests.support.event_logs import START, Written, written
from tests.support.topic_reading import read_until

TOPICS = ("interactions", "signals")
HALF, EVENTS = 60, 120


class Died(Exception):
    """Here the process ended."""


def log() -> list[Written]:
    """A live log of one partition; of who buys first there is a signal."""
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


async def fold(committer: Committer, state: Restored, records: list[Written]) -> Outputs:
    """Fold and commit what is not folded yet of a log."""
    rest = [record for record in records if record.offset >= state.position]
    outputs = PartitionFold(state).fold(Batch("events", 0, rest))
    await committer.commit(outputs.commit, state.checkpoint(outputs.commit, len(records)))
    return outputs


async def die(*_: object) -> None:
    raise Died


async def say_nothing(*_: object) -> None:
    """Abort nothing: who is dead cannot."""


@pytest.mark.parametrize("point", ["before the commit", "behind the outputs", "behind the commit"])
async def test_the_state_is_exact_wherever_its_owner_dies_and_outputs_repeat_at_most_with_the_same_bytes(
    cluster: Cluster, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, records, writer = cluster.connection, log(), Writer(cluster.connection)
    cluster.create(profiles=1, interactions=1, signals=1)
    async with owning(connection, writer) as (committer, state):
        await fold(committer, state, records[:HALF])
    async with owning(connection, writer) as (committer, state):
        with monkeypatch.context() as patch:
            if point == "before the commit":
                patch.setattr(committer, "commit", die)
            elif point == "behind the outputs" and isinstance(committer, TransactionalCommitter):
                patch.setattr(committer._producer, "commit_transaction", die)
                patch.setattr(committer, "_abort", say_nothing)
            elif point == "behind the outputs":
                patch.setattr(writer, "send_to", die)
            else:
                patch.setattr(committer, "commit", _and_die(committer))
            with pytest.raises(Died):
                await fold(committer, state, records)
        # its successor comes while it is still there
        async with owning(connection, writer) as (successor, restored):
            if restored.position < len(records):
                await fold(successor, restored, records)
    async with owning(connection, writer) as (_, found):
        quiet = Restored()
        calm = PartitionFold(quiet).fold(Batch("events", 0, records))
        quiet.apply(calm.commit)
    await writer.close()

    assert (found.position, found.memo, found.records) == (len(records), quiet.memo, quiet.records)
    said: Counter[tuple[str, bytes, bytes | None]] = Counter()
    for topic in TOPICS:
        said.update(await outputs_of(connection, topic))
    expected = Counter((output.topic, output.key, output.value) for output in calm.commit.records)
    repeats = said - expected
    assert said.keys() == expected.keys()
    assert bool(repeats) == (not connection.transactions and point == "behind the outputs")


def _and_die(committer: Committer) -> Any:
    commit = committer.commit

    async def committed(one: Commit, checkpoint: Checkpoint) -> None:
        await commit(one, checkpoint)
        raise Died

    return committed


async def outputs_of(connection: Connection, topic: str) -> list[tuple[str, bytes, bytes | None]]:
    found = await read_until(connection, topic, lambda _: False, within_s=1.5)
    return [(topic, record.key, record.value) for record in found]
