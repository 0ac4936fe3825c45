"""Checks that every committer must pass, each on the kind of broker for which it was written."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import ProducerFenced

from models.batch import Checkpoint, Commit, Output, Restored
from models.errors import OutputTooLarge
from stream.cluster.writer import MAX_RECORD_BYTES
from stream.engine import committers, memory
from stream.engine.committers import Committer
from tests.support.committer_harnesses import HARNESSES, OUTPUTS, CommitterHarness, CommitterKind


def kinds(kinds: Mapping[str, CommitterKind]) -> list[object]:
    """Return the kinds as parameters; those on Apache Kafka get the mark ``kafka``."""
    return [
        pytest.param(kind, id=name, marks=[pytest.mark.kafka] if kind.fixture == "kafka" else [])
        for name, kind in kinds.items()
    ]


every_kind = pytest.mark.parametrize("kind", kinds(HARNESSES))
with_state = pytest.mark.parametrize("kind", kinds({name: kind for name, kind in HARNESSES.items() if kind.has_state}))
with_fencing = pytest.mark.parametrize("kind", kinds({name: kind for name, kind in HARNESSES.items() if kind.fences}))


@pytest.fixture
async def harness(kind: CommitterKind, request: pytest.FixtureRequest) -> AsyncIterator[CommitterHarness]:
    """One partition on the broker of this kind of committer."""
    cluster = None if kind.fixture is None else request.getfixturevalue(kind.fixture)
    async with kind.open(cluster) as opened:
        yield opened


@asynccontextmanager
async def owning(harness: CommitterHarness) -> AsyncIterator[tuple[Committer, Restored]]:
    """Take the partition over, and release it afterwards."""
    committer = harness.make()
    try:
        await committer.fence()
        yield committer, await committer.restore()
    finally:
        await committer.stop()


def copy(value: bytes) -> Commit:
    """Return a commit with one output."""
    return Commit([Output(OUTPUTS, b"u1", value)])


def test_every_committer_is_listed() -> None:
    methods = {name for name, _ in inspect.getmembers(Committer, inspect.isfunction) if not name.startswith("_")}
    found = {
        one
        for module in (committers, memory)
        for _, one in inspect.getmembers(module, inspect.isclass)
        if one is not Committer and all(hasattr(one, name) for name in methods)
    }

    assert found == {kind.committer for kind in HARNESSES.values()}


@every_kind
async def test_the_first_owner_begins_with_nothing(harness: CommitterHarness) -> None:
    async with owning(harness) as (_, restored):
        pass

    assert restored == Restored()


@every_kind
async def test_the_next_owner_continues_at_the_position_of_the_last_commit(harness: CommitterHarness) -> None:
    async with owning(harness) as (committer, _):
        await committer.commit(copy(b"1"), Checkpoint(5))
        await committer.commit(Commit(), Checkpoint(9))
    async with owning(harness) as (_, restored):
        pass

    assert restored.position == 9


@every_kind
async def test_outputs_are_readable_in_their_sequence_after_their_commit(harness: CommitterHarness) -> None:
    values = [b"%d" % number for number in range(20)]
    async with owning(harness) as (committer, _):
        await committer.commit(Commit([Output(OUTPUTS, b"u1", value) for value in values[:10]]), Checkpoint(1))
        await committer.commit(Commit([Output(OUTPUTS, b"u1", value) for value in values[10:]]), Checkpoint(2))
        found = await harness.outputs(20)

    assert found == values


@every_kind
async def test_an_output_that_is_too_large_is_refused_before_anything_is_written(harness: CommitterHarness) -> None:
    too_large = Output(OUTPUTS, b"u1", b"x" * (MAX_RECORD_BYTES + 1))
    async with owning(harness) as (committer, _):
        with pytest.raises(OutputTooLarge, match=OUTPUTS):
            await committer.commit(Commit([Output(OUTPUTS, b"u1", b"refused"), too_large]), Checkpoint(1))
        await committer.commit(copy(b"accepted"), Checkpoint(2))
    async with owning(harness) as (_, restored):
        found = await harness.outputs(1)

    assert (found, restored.position) == ([b"accepted"], 2)


@every_kind
async def test_a_committer_is_released_even_if_it_never_took_the_partition_over(harness: CommitterHarness) -> None:
    await harness.make().stop()

    async with owning(harness) as (committer, _):
        await committer.commit(copy(b"1"), Checkpoint(1))


@every_kind
async def test_a_debugger_shows_the_kind_of_a_committer(harness: CommitterHarness, kind: CommitterKind) -> None:
    committer = harness.make()
    shown = repr(committer)
    await committer.stop()

    assert kind.committer.__name__ in shown


@with_state
async def test_the_next_owner_restores_state_and_memo_of_the_last_commit(harness: CommitterHarness) -> None:
    async with owning(harness) as (committer, _):
        await committer.commit(Commit(state={b"u1": b"1", b"u2": b"2"}), Checkpoint(5, b"memo"))
        await committer.commit(Commit(state={b"u2": None, b"u3": b"3"}), Checkpoint(9, b"memo2"))
    async with owning(harness) as (_, restored):
        pass

    assert (restored.memo, restored.records) == (b"memo2", {b"u1": b"1", b"u3": b"3"})


@with_state
async def test_position_and_memo_come_from_the_checkpoint_and_not_from_the_commit(harness: CommitterHarness) -> None:
    async with owning(harness) as (committer, _):
        await committer.commit(Commit(memo=b"open", position=1), Checkpoint(5, b"filled in"))
    async with owning(harness) as (_, restored):
        pass

    assert (restored.position, restored.memo) == (5, b"filled in")


@with_fencing
async def test_a_previous_owner_cannot_commit_any_more(harness: CommitterHarness) -> None:
    async with owning(harness) as (previous, _):
        await previous.commit(copy(b"1"), Checkpoint(1))
        async with owning(harness) as (owner, _):
            with pytest.raises(ProducerFenced):
                await previous.commit(Commit([Output(OUTPUTS, b"u1", b"fenced")], {b"u1": b"fenced"}), Checkpoint(2))
            await owner.commit(copy(b"2"), Checkpoint(2))
    async with owning(harness) as (_, restored):
        found = await harness.outputs(2)

    assert (found, restored.position, restored.records) == ([b"1", b"2"], 2, {})
