"""Pauses of a lane: its actions while partitions are being reassigned."""

from __future__ import annotations

import asyncio

from aiokafka.errors import KafkaError

from stream.engine.reports import Phase
from stream.engine.testing import LaneHarness
from tests.support.counting import COUNTING, record


async def test_a_paused_lane_begins_no_commit_and_continues_when_it_is_resumed() -> None:
    async with LaneHarness(COUNTING, [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.lane.pause()
        harness.fetcher.append(record(1))
        await harness.let_run()
        while_paused = (harness.partition.attempts, harness.lane.is_ready)
        harness.lane.resume()
        await harness.until(lambda: harness.partition.position == 2)

    assert while_paused == (1, False)
    assert harness.partition.owners == 1
    assert harness.fetcher.seeks == [0, 1]


async def test_records_that_were_fetched_before_a_pause_wait_for_its_end() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.fetcher.read_to(harness.tp).position == 2)
        harness.lane.pause()
        harness.partition.commit_gate.set()
        await harness.until(lambda: harness.partition.position == 1)
        await harness.let_run()
        attempts_while_paused = harness.partition.attempts
        harness.lane.resume()
        await harness.until(lambda: harness.partition.position == 2)

    assert attempts_while_paused == 1


async def test_draining_waits_for_the_commit_in_progress() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        draining = asyncio.create_task(harness.lane.drain())
        await harness.let_run()
        drained_too_early = draining.done()
        harness.partition.commit_gate.set()
        await asyncio.wait_for(draining, 5)

    assert not drained_too_early
    assert harness.partition.position == 1


async def test_no_owner_is_fenced_while_partitions_are_being_reassigned() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.failures.append(KafkaError("refused"))
    async with harness:
        await harness.until(lambda: bool(harness.observer.errors))  # the lane backs off before its next run
        harness.lane.pause()
        await harness.until(lambda: harness.lane.phase is Phase.WAITING)
        await harness.let_run()
        owners_while_paused = harness.partition.owners
        harness.lane.resume()
        await harness.until(lambda: harness.partition.position == 1)

    assert (owners_while_paused, harness.partition.owners) == (1, 2)


async def test_a_reassignment_interrupts_fencing_without_counting_as_a_failure() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.fence_gate.clear()
    async with harness:
        await harness.partition.fence_begun.wait()
        harness.lane.pause()
        harness.lane.pause()  # Faust pauses when partitions are revoked, and again when it stops
        await asyncio.wait_for(harness.lane.drain(), 5)
        harness.partition.fence_gate.set()
        await harness.until(lambda: harness.lane.phase is Phase.WAITING)
        await harness.let_run()
        owners_while_paused = harness.partition.owners
        harness.lane.resume()
        await harness.until(lambda: harness.partition.position == 1)

    assert (owners_while_paused, harness.partition.owners, harness.partition.stopped) == (0, 1, 2)
    assert harness.observer.errors == []


async def test_a_reassignment_does_not_interrupt_a_restore() -> None:
    harness = LaneHarness(COUNTING, [record(0)])
    harness.partition.restore_gate.clear()
    async with harness:
        await harness.until(lambda: harness.lane.phase is Phase.RESTORING)
        harness.lane.pause()
        harness.partition.restore_gate.set()
        await harness.until(lambda: harness.lane.is_open)
        harness.lane.resume()
        await harness.until(lambda: harness.partition.position == 1)

    assert harness.partition.owners == 1
