"""Reports of a lane about its progress, its failures and its dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from aiokafka.errors import KafkaError

from models.batch import AfterCommit, Batch, Commit, Outputs, Restored
from stream.engine.agent_spec import Agent, Wake
from stream.engine.reports import Phase
from stream.engine.testing import QUICK, LaneHarness
from tests.support.counting import COUNTING, record, records, with_agent


def always_failing(_: Restored, _wake: Wake) -> Agent:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records:
                raise RuntimeError("a bug")
            yield Outputs()

    return agent


async def test_a_lane_that_fails_in_each_run_makes_no_progress_by_opening_again() -> None:
    harness = LaneHarness(replace(COUNTING, agent=always_failing), [record(0)])
    async with harness:
        await harness.until(lambda: len(harness.observer.errors) == 1)
        after_the_first = harness.lane.committed_at
        harness.manual.monotonic_s += 1
        await harness.until(lambda: len(harness.observer.errors) >= 6)
        committed_at, failures = harness.lane.committed_at, harness.lane.failures

    assert committed_at == after_the_first
    assert failures >= 6


async def test_the_time_since_a_commit_begins_when_a_lane_first_opens() -> None:
    harness = LaneHarness(COUNTING)
    harness.partition.fence_gate.clear()
    async with harness:
        await harness.partition.fence_begun.wait()
        harness.manual.monotonic_s = 5.0
        before = harness.lane.committed_at
        harness.partition.fence_gate.set()
        await harness.until(lambda: harness.lane.is_open)
        after = harness.lane.committed_at

    assert (before, after) == (0.0, 5.0)


async def test_a_run_that_lasts_long_enough_resets_the_failures_even_without_a_commit() -> None:
    harness = LaneHarness(COUNTING)
    harness.fetcher.fail_seeks.append(KafkaError("no current assignment"))
    async with harness:
        await harness.until(lambda: harness.lane.phase is Phase.READING)
        young = harness.lane.failures
        harness.manual.monotonic_s += QUICK.steady_s + 1
        old = harness.lane.failures

    assert (young, old) == (1, 0)


async def test_a_lane_with_a_full_agent_waits_on_a_dependency() -> None:
    wakes: list[Wake] = []

    def factory(_: Restored, wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                yield Outputs(Commit(state={b"n": b"1"}), full=bool(batch.records))

        wakes.append(wake)
        return agent

    async with LaneHarness(replace(COUNTING, agent=factory, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        full = harness.lane.report(None)
        wakes[0]()
        await harness.until(lambda: not harness.lane.is_full)

    assert (full.is_full, full.waiting_on_dependency, full.is_idle) == (True, True, True)


async def test_a_lane_waits_on_a_dependency_during_a_commit_and_not_during_calls() -> None:
    async def call() -> None:
        await asyncio.Event().wait()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit(state={b"n": b"1"}), AfterCommit(effects=[call] if batch.records else []))

    harness = LaneHarness(with_agent(agent, has_effects=True), [record(0)])
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        while_committing = harness.lane.phase, harness.lane.waiting_on_dependency
        harness.partition.commit_gate.set()
        await harness.until(lambda: harness.partition.position == 1 and not harness.lane.waiting_on_dependency)
        is_pending = harness.lane.has_pending_effects

    assert while_committing == (Phase.WRITING, True)
    assert is_pending


async def test_a_lane_does_not_wait_on_a_dependency_after_an_old_failure() -> None:
    runs: list[int] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("the broker was away")
        async for _ in batches:
            await asyncio.Event().wait()
            yield Outputs()

    async with LaneHarness(with_agent(agent), [record(0)]) as harness:
        await harness.until(lambda: len(runs) == 2)
        at_first = harness.lane.waiting_on_dependency
        harness.manual.monotonic_s += QUICK.steady_s + 1
        later = harness.lane.waiting_on_dependency

    assert (at_first, later) == (True, False)


async def test_a_lane_that_has_committed_all_fetched_records_has_no_lag() -> None:
    async with LaneHarness(COUNTING, records(3)) as harness:
        before = harness.lane.report(None)
        await harness.until(lambda: harness.partition.position == 3)
        await harness.let_run()
        after = harness.lane.report(harness.fetcher.read_to(harness.tp))

    assert (before.is_open, before.position, before.lag) == (False, None, None)
    assert (after.is_open, after.position, after.lag, after.is_idle) == (True, 3, 0, True)
    assert after.phase is Phase.READING
