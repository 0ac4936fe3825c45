"""Ticks of a lane: they move the clock of its log when nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from models.batch import Batch, Outputs
from models.log import TICK_KEY
from stream.engine.agent_spec import Stateful
from stream.engine.testing import LaneHarness, MemoryPartition
from tests.support.counting import record, with_agent


def with_timer(due: int | None, *, follows_wall_clock: bool = True) -> Stateful:
    """Return an agent with one timer, which fires at the first tick."""

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            is_done = any(one.key == TICK_KEY for one in batch.records)
            yield Outputs(next_due=None if is_done else due)

    return replace(with_agent(agent), wall_clock=lambda _: follows_wall_clock)


async def test_a_due_timer_moves_the_clock_with_a_tick_while_no_record_arrives() -> None:
    async with LaneHarness(with_timer(due=1_000_500), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        await harness.let_run()
        too_early = list(harness.writer.ticks)
        harness.manual.wall_s = 1_000.6
        harness.fetcher.append(record(1))  # any record makes the lane read its clock again
        await asyncio.wait_for(harness.writer.wrote.wait(), 5)

    assert too_early == []
    topic, partition, ((key, value),) = harness.writer.ticks[0]
    assert (topic, partition, key) == ("events", 0, TICK_KEY)
    assert value == b'{"control":"tick","at":1000600}'


async def test_a_lane_that_opens_with_old_timers_writes_a_tick_while_no_record_arrives() -> None:
    async with LaneHarness(with_timer(due=None), [], MemoryPartition(position=7)) as harness:
        await harness.until(lambda: harness.lane.is_open)
        harness.manual.wall_s += 1
        harness.lane.resume()
        await asyncio.wait_for(harness.writer.wrote.wait(), 5)

    assert [topic for topic, _, _ in harness.writer.ticks] == ["events"]


async def test_a_lane_ticks_again_while_the_clock_of_the_broker_is_slow() -> None:
    async with LaneHarness(with_timer(due=900_000), [record(0)]) as harness:
        await harness.until(lambda: len(harness.writer.ticks) == 1)
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)
        await harness.let_run()
        at_the_same_time = len(harness.writer.ticks)
        harness.manual.wall_s += 1
        harness.fetcher.append(record(2))
        await harness.until(lambda: len(harness.writer.ticks) >= 2)

    assert at_the_same_time == 1


async def test_a_timer_that_has_fired_causes_no_more_ticks() -> None:
    async with LaneHarness(with_timer(due=900_000), [record(0)]) as harness:
        await harness.until(lambda: len(harness.writer.ticks) == 1)
        harness.fetcher.append(record(1, TICK_KEY))
        await harness.until(lambda: harness.partition.position == 2)
        harness.manual.wall_s += 10
        harness.fetcher.append(record(2, TICK_KEY))
        await harness.until(lambda: harness.partition.position == 3)
        await harness.let_run()

    assert len(harness.writer.ticks) == 1


async def test_a_lane_never_moves_the_clock_of_a_feeder() -> None:
    async with LaneHarness(with_timer(due=900_000, follows_wall_clock=False), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.manual.wall_s += 10
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)
        await harness.let_run()

    assert harness.writer.ticks == []
