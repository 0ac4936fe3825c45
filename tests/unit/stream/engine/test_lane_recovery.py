"""Recovery of a lane: the end of a run, and the beginning of the next one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaError

from models.batch import Batch, Outputs, Restored
from stream.engine.agent_spec import Agent, Wake
from stream.engine.testing import Crash, LaneHarness, MemoryPartition, process
from tests.support.counting import COUNTING, count, record, records, with_agent


@pytest.mark.parametrize(
    "error",
    [KafkaError("refused"), OSError("gone"), ValueError("a bug"), asyncio.CancelledError("by aiokafka itself")],
    ids=repr,
)
async def test_a_new_run_begins_with_the_committed_state_after_a_failed_commit(error: BaseException) -> None:
    before = MemoryPartition(failures=[error])
    async with LaneHarness(COUNTING, records(5), before) as harness:
        await harness.until(lambda: harness.partition.position == 5)
        failures = harness.lane.failures

    assert harness.observer.errors == [error]
    assert (harness.partition.owners, harness.fetcher.seeks, harness.partition.state) == (2, [0, 0], {b"u1": b"5"})
    assert failures == 0


@pytest.mark.parametrize("when", ["before commit", "after commit"])
async def test_each_record_counts_once_for_any_point_at_which_the_process_dies(when: str) -> None:
    spec = replace(COUNTING, max_records=2)
    crashes = [Crash(number, when) for number in (1, 3, 4)]  # type: ignore[arg-type]  # both are allowed

    done = await process(spec, records(10), crashes=crashes)

    assert done.state == {b"u1": b"10"}
    assert [output.value for output in done.outputs] == [b"%d" % offset for offset in range(10)]
    assert done.owners == 4


async def test_a_new_run_begins_with_the_committed_state_after_a_failure_of_the_agent() -> None:
    runs = itertools.count(1)

    def factory(restored: Restored, wake: Wake) -> Agent:
        number, counting = next(runs), count(restored, wake)

        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for outputs in counting(batches):
                yield outputs
                if number == 1:
                    raise RuntimeError("after the commit")

        return agent

    async with LaneHarness(replace(COUNTING, agent=factory), records(4), max_fetch=2) as harness:
        await harness.until(lambda: harness.partition.position == 4)

    assert harness.partition.state == {b"u1": b"4"}
    assert harness.fetcher.seeks == [0, 2]


async def test_a_failed_seek_begins_a_new_run() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.fetcher.fail_seeks.append(KafkaError("no current assignment"))
    async with harness:
        await harness.until(lambda: harness.partition.position == 1)

    assert harness.partition.owners == 2


async def test_an_agent_that_ends_is_a_failure() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs()
            return

    async with LaneHarness(with_agent(agent), records(2), max_fetch=1) as harness:
        await harness.until(lambda: bool(harness.observer.errors))

    assert "reads until it is closed" in str(harness.observer.errors[0])


async def test_a_fenced_lane_reports_it_and_commits_nothing_more() -> None:
    async with LaneHarness(COUNTING, [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.partition.owners += 1
        harness.fetcher.append(record(1))
        await asyncio.wait_for(harness.fenced.wait(), 5)

    assert (harness.partition.position, harness.partition.state) == (1, {b"u1": b"1"})
    assert harness.observer.errors == []


async def test_a_fenced_lane_waits_until_partitions_are_assigned() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        harness.lane.pause()
        harness.partition.owners += 1
        harness.partition.commit_gate.set()
        await harness.until(lambda: harness.partition.stopped == 1)
        await harness.let_run()
        fenced_while_paused = harness.fenced.is_set()
        harness.lane.resume()
        await asyncio.wait_for(harness.fenced.wait(), 5)

    assert not fenced_while_paused


async def test_a_lane_that_is_closed_during_a_commit_has_committed_nothing() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        await harness.lane.close()
        harness.partition.commit_gate.set()
        await harness.let_run()

    partition = harness.partition
    assert (partition.attempts, partition.position, partition.commits, partition.stopped) == (1, 0, [], 1)
