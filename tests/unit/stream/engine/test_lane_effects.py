"""Effects of a lane: when they begin, how their results reach the agent, and when they are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from aiokafka.errors import KafkaError

from models.batch import AfterCommit, Batch, Commit, Outputs, Restored
from stream.engine.agent_spec import Agent, Stateful, Wake
from stream.engine.testing import LaneHarness
from tests.support.counting import COUNTING, record, with_agent


def wakeable(agent: Agent) -> tuple[Stateful, list[Wake]]:
    """Return an agent with effects, and the functions that wake each of its runs."""
    wakes: list[Wake] = []

    def factory(_: Restored, wake: Wake) -> Agent:
        wakes.append(wake)
        return agent

    return replace(COUNTING, agent=factory, has_effects=True), wakes


async def test_an_effect_begins_after_its_attempt_is_committed_and_its_result_comes_with_the_next_batch() -> None:
    attempts: list[dict[bytes, bytes]] = []
    results: list[object] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async def call() -> str:
            attempts.append(dict(harness.partition.state))
            return "delivered"

        async for batch in batches:
            results.extend(batch.ended)
            if batch.records:
                yield Outputs(Commit(state={b"m1": b"attempted"}), AfterCommit(effects=[call]))

    harness = LaneHarness(with_agent(agent, has_effects=True), [record(0)])
    harness.partition.failures.append(KafkaError("refused"))
    async with harness:
        await harness.until(lambda: bool(results))

    assert attempts == [{b"m1": b"attempted"}]
    assert results == ["delivered"]


async def test_results_arrive_in_the_order_in_which_their_effects_end() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    results: list[object] = []

    async def call(number: int) -> int:
        await gates[number].wait()
        return number

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            results.extend(batch.ended)
            if batch.records:
                yield Outputs(after=AfterCommit(effects=[lambda: call(0), lambda: call(1)]))

    async with LaneHarness(with_agent(agent, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: harness.lane.has_pending_effects)
        gates[1].set()
        await harness.until(lambda: results == [1])
        gates[0].set()
        await harness.until(lambda: len(results) == 2)

    assert results == [1, 0]


async def test_a_result_is_handed_only_to_the_run_that_began_the_effect() -> None:
    runs: list[list[object]] = []
    answer = asyncio.Event()

    async def call() -> str:
        await answer.wait()
        return "late"

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        results: list[object] = []
        runs.append(results)
        async for batch in batches:
            results.extend(batch.ended)
            if not batch.records:
                continue
            if len(runs) == 1 and batch.records[0].offset == 1:
                raise RuntimeError("a crash while the call is in flight")
            yield Outputs(Commit(state={b"m1": b"attempted"}), AfterCommit(effects=[call] if len(runs) == 1 else []))

    async with LaneHarness(with_agent(agent, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: harness.lane.has_pending_effects)
        await harness.let_run()
        harness.fetcher.append(record(1))
        await harness.until(lambda: len(runs) == 2)
        answer.set()
        harness.fetcher.append(record(2))
        await harness.until(lambda: harness.partition.position == 3)

    assert runs == [[], []]


async def test_results_are_committed_even_in_a_pause_and_draining_waits_for_that() -> None:
    provider = asyncio.Event()
    closing: list[bool] = []

    async def call() -> str:
        await provider.wait()
        return "sent"

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            closing.append(batch.closing)
            if batch.records:
                yield Outputs(Commit(state={b"m1": b"attempted"}), AfterCommit(effects=[call]))
            elif batch.ended:
                yield Outputs(Commit(state={b"m1": b"sent"}))

    async with LaneHarness(with_agent(agent, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.state == {b"m1": b"attempted"})
        harness.lane.pause()
        draining = asyncio.create_task(harness.lane.drain())
        await harness.let_run()
        drained_too_early = draining.done()
        provider.set()
        await asyncio.wait_for(draining, 5)

    assert not drained_too_early
    assert harness.partition.state == {b"m1": b"sent"}
    assert closing[-1]


async def test_a_lane_whose_effect_failed_begins_a_new_run_and_drains_without_waiting() -> None:
    async def call() -> None:
        raise RuntimeError("the provider's client broke")

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(after=AfterCommit(effects=[call]))

    async with LaneHarness(with_agent(agent, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: bool(harness.observer.errors))
        harness.lane.pause()
        await asyncio.wait_for(harness.lane.drain(), 5)

    assert str(harness.observer.errors[0]) == "the provider's client broke"


async def test_an_effect_that_hangs_delays_neither_other_effects_nor_records() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            for one in batch.records:
                yield Outputs(Commit(state={b"%d" % one.offset: b"attempted"}), AfterCommit(effects=[hang]))

    async with LaneHarness(with_agent(agent, has_effects=True), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)


async def test_a_due_timer_wakes_the_agent_and_writes_no_tick() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records:
                yield Outputs(Commit(state={b"a": b"waits"}), next_due=1_000_020)
            elif harness.manual.wall_s > 1_000:
                yield Outputs(Commit(state={b"a": b"done"}))

    harness = LaneHarness(with_agent(agent, has_effects=True), [record(0)])
    async with harness:
        await harness.until(lambda: harness.partition.state == {b"a": b"waits"})
        harness.manual.wall_s = 1_000.02
        await harness.until(lambda: harness.partition.state == {b"a": b"done"})

    assert harness.writer.ticks == []


async def test_a_full_agent_receives_wake_ups_but_no_records() -> None:
    sizes: list[int] = []
    has_room = asyncio.Event()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            sizes.append(len(batch.records))
            yield Outputs(Commit(state={b"n": b"%d" % len(sizes)}), full=sum(sizes) > 0 and not has_room.is_set())

    spec, wakes = wakeable(agent)
    async with LaneHarness(spec, [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.fetcher.append(record(1), record(2))
        await harness.until(lambda: harness.fetcher.read_to(harness.tp).position == 3)
        wakes[0]()
        before = len(sizes)
        await harness.until(lambda: len(sizes) > before)
        while_full = sum(sizes)
        has_room.set()
        wakes[0]()
        await harness.until(lambda: sum(sizes) == 3)

    assert while_full == 1
