"""The public helpers for tests of agents, used in the same way as in a project that extends this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from models.batch import Batch, Commit, Output, Outputs
from stream.engine.agent_spec import Relay
from stream.engine.testing import Crash, MemoryPartition, process
from tests.support.counting import COUNTING, record, records, with_agent


async def test_a_list_of_records_gives_everything_that_became_durable() -> None:
    done = await process(COUNTING, [record(0, b"ann"), record(1, b"bob"), record(2, b"ann")])

    assert (done.position, done.state, done.memo) == (3, {b"ann": b"2", b"bob": b"1"}, b"3")
    assert [output.key for output in done.outputs] == [b"ann", b"bob", b"ann"]


async def test_processing_continues_with_a_partition_that_was_processed_before() -> None:
    partition = await process(COUNTING, records(3))

    await process(COUNTING, records(5), partition=partition)

    assert (partition.position, partition.state) == (5, {b"u1": b"5"})


async def test_a_commit_is_lost_by_a_crash_before_it_and_kept_by_a_crash_after_it() -> None:
    before = MemoryPartition()
    with pytest.raises(TimeoutError):
        await process(
            COUNTING,
            records(1),
            partition=before,
            crashes=[Crash(number, "before commit") for number in range(1, 100)],
            within_s=0.05,
        )
    after = await process(COUNTING, records(1), crashes=[Crash(1, "after commit")])

    assert (before.position, before.state) == (0, {})
    assert (after.position, after.state, len(after.commits)) == (1, {b"u1": b"1"}, 1)


async def test_an_agent_without_state_is_driven_in_the_same_way() -> None:
    async def copy(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit([Output("copies", one.key or b"", one.value) for one in batch.records]))

    done = await process(Relay(name="copy", topics=("events",), agent=lambda *_: copy), records(3))

    assert (len(done.outputs), done.state) == (3, {})


async def test_an_agent_that_hangs_is_reported_with_a_timeout() -> None:
    async def never(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            await asyncio.Event().wait()
            yield Outputs()

    with pytest.raises(TimeoutError):
        await process(with_agent(never), records(1), within_s=0.05)


async def test_a_crash_that_did_not_happen_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"commit=100.* did not happen: there were [12] commits"):
        await process(COUNTING, records(1), crashes=[Crash(100, "before commit")])


async def test_the_failure_of_an_agent_is_named_when_the_time_is_over() -> None:
    async def failing(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(position_of(batch))

    def position_of(batch: Batch) -> Commit:
        raise ZeroDivisionError(f"boom at {batch.records[0].offset}")

    message = r"committed to 0 of 1 within 0\.2 s; the last run failed with .*boom at 0"
    with pytest.raises(TimeoutError, match=message) as error:
        await process(with_agent(failing), records(1), within_s=0.2)

    assert isinstance(error.value.__cause__, ZeroDivisionError)
