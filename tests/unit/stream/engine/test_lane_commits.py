"""Commits of a lane: their durable content, and its order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from models.batch import AfterCommit, Batch, Commit, Outputs, Restored
from stream.engine.agent_spec import Agent, Wake
from stream.engine.run_reader import NO_REST_ABOVE
from stream.engine.testing import QUICK, LaneHarness, MemoryPartition
from tests.support.counting import COUNTING, record, records, with_agent


async def test_outputs_state_memo_and_position_are_one_commit() -> None:
    async with LaneHarness(COUNTING, [record(offset, b"u%d" % (offset % 2)) for offset in range(5)]) as harness:
        await harness.until(lambda: harness.partition.position == 5)

    (commit,) = harness.partition.commits
    assert (commit.position, commit.memo, commit.state) == (5, b"5", {b"u0": b"3", b"u1": b"2"})
    assert [output.value for output in commit.records] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_lane_continues_after_the_last_commit_with_the_committed_state() -> None:
    before = MemoryPartition(position=3, memo=b"3", state={b"u1": b"3"})
    async with LaneHarness(COUNTING, records(5), before) as harness:
        await harness.until(lambda: harness.partition.position == 5)

    assert harness.fetcher.seeks == [3]
    assert harness.partition.state == {b"u1": b"5"}
    assert [output.value for output in harness.partition.outputs] == [b"3", b"4"]


async def test_the_restored_state_changes_after_the_commit_and_before_the_agent_continues() -> None:
    seen: list[dict[bytes, bytes]] = []

    def factory(restored: Restored, _wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for _ in batches:
                outputs = Outputs(Commit(state={b"new": b"1", b"old": None}))
                seen.append(dict(restored.records))
                yield outputs
                seen.append(dict(restored.records))

        return agent

    before = MemoryPartition(state={b"old": b"1"})
    async with LaneHarness(replace(COUNTING, agent=factory), [record(0)], before) as harness:
        await harness.until(lambda: len(seen) == 2)

    assert seen == [{b"old": b"1"}, {b"new": b"1"}]


async def test_several_yields_for_one_batch_are_several_commits_after_that_batch() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(Commit(state={b"m1": b"attempted"}))
            yield Outputs(Commit(state={b"m1": b"sent"}))

    async with LaneHarness(with_agent(agent), records(3)) as harness:
        await harness.until(lambda: len(harness.partition.commits) == 2)

    assert [(commit.position, commit.state[b"m1"]) for commit in harness.partition.commits] == [
        (3, b"attempted"),
        (3, b"sent"),
    ]


async def test_an_agent_that_stops_in_the_middle_of_a_batch_continues_there_after_a_crash() -> None:
    read: list[list[int]] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            offsets = [one.offset for one in batch.records]
            read.append(offsets)
            if offsets[0] == 0:
                yield Outputs(Commit(state={b"a": b"1"}, position=2))
                raise RuntimeError("a crash between two slices")
            yield Outputs(Commit(state={b"a": b"2"}))

    async with LaneHarness(with_agent(agent), records(4)) as harness:
        await harness.until(lambda: harness.partition.position == 4)

    assert read == [[0, 1, 2, 3], [2, 3]]
    assert [(commit.position, commit.state) for commit in harness.partition.commits] == [
        (2, {b"a": b"1"}),
        (4, {b"a": b"2"}),
    ]


async def test_records_are_counted_by_the_commit_that_completes_their_batch() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(Commit(state={b"a": b"1"}, position=2))
            yield Outputs(Commit(state={b"a": b"2"}))

    async with LaneHarness(with_agent(agent), records(4)) as harness:
        await harness.until(lambda: len(harness.observer.commits) == 2)

    assert [report.records for report in harness.observer.commits] == [0, 4]


async def test_outputs_before_the_first_batch_are_committed_at_the_restored_position() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        yield Outputs(Commit(state={b"m1": b"unknown"}))
        async for _ in batches:
            yield Outputs()

    async with LaneHarness(with_agent(agent), [], MemoryPartition(position=7)) as harness:
        await harness.until(lambda: len(harness.partition.commits) == 1)

    assert harness.partition.commits[0].position == 7


async def test_the_position_of_a_batch_without_outputs_is_part_of_the_next_commit() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records[-1].offset == 3:
                yield Outputs(Commit(state={b"a": b"1"}))

    async with LaneHarness(with_agent(agent), records(4), max_fetch=1) as harness:
        await harness.until(lambda: harness.partition.position == 4)

    assert harness.partition.state == {b"a": b"1"}


async def test_a_lane_commits_the_position_of_a_batch_without_outputs_while_no_record_arrives() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if not batch.records:
                yield Outputs()

    async with LaneHarness(with_agent(agent), records(2), MemoryPartition(memo=b"kept")) as harness:
        await harness.until(lambda: harness.partition.position == 2)

    assert (harness.partition.memo, harness.partition.outputs) == (b"kept", [])


async def test_all_records_that_wait_are_part_of_the_next_commit() -> None:
    harness = LaneHarness(COUNTING, records(50), max_fetch=10)
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        await harness.until(lambda: harness.fetcher.read_to(harness.tp).position == 50)
        harness.partition.commit_gate.set()
        await harness.until(lambda: harness.partition.position == 50)

    assert len(harness.partition.commits) <= 2


async def test_a_batch_is_never_larger_than_the_maximum() -> None:
    async with LaneHarness(replace(COUNTING, max_records=7), records(50)) as harness:
        await harness.until(lambda: harness.partition.position == 50)

    assert max(len(commit.records) for commit in harness.partition.commits) == 7
    assert [output.value for output in harness.partition.outputs] == [b"%d" % offset for offset in range(50)]


async def test_broadcasts_are_written_after_the_commit_and_before_the_agent_continues() -> None:
    seen: list[tuple[int, int]] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(after=AfterCommit(broadcasts=[(b"\x00use", b"v1")]))
            seen.append((len(harness.partition.commits), len(harness.writer.broadcasts)))

    harness = LaneHarness(with_agent(agent), [record(0)])
    async with harness:
        await harness.until(lambda: bool(seen))

    assert seen == [(1, 1)]
    assert harness.writer.broadcasts == [("events", [(b"\x00use", b"v1")])]


async def test_the_observer_receives_the_records_and_counts_of_each_commit() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(counts={("events_folded", "live"): float(len(batch.records))})
            yield Outputs()

    async with LaneHarness(with_agent(agent), records(2)) as harness:
        await harness.until(lambda: len(harness.observer.commits) == 2)

    assert [(report.records, report.counts) for report in harness.observer.commits] == [
        (2, {("events_folded", "live"): 2.0}),
        (0, {}),
    ]


async def test_a_commit_reports_the_age_and_the_times_of_its_batch() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            harness.manual.monotonic_s += 2.0
            yield Outputs(Commit(state={b"a": b"1"}))

    harness = LaneHarness(with_agent(agent), [record(0, timestamp=77), record(1, timestamp=88)])
    async with harness:
        await harness.until(lambda: bool(harness.observer.commits))

    (report,) = harness.observer.commits
    assert (report.topic, report.compute_seconds, report.seconds, report.oldest_stamp) == ("events", 2.0, 0.0, 77)


@pytest.mark.parametrize("pace_s", [0.0, 60.0])
async def test_a_lane_with_a_pace_takes_all_records_that_arrived_since_the_last_batch(pace_s: float) -> None:
    async with LaneHarness(replace(COUNTING, pace_s=pace_s), [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        for offset in range(1, 6):
            harness.fetcher.append(record(offset))
            await harness.let_run()
        too_early = len(harness.partition.commits) - 1
        harness.manual.monotonic_s += 60.0
        harness.fetcher.append(record(6))
        await harness.until(lambda: harness.partition.position == 7)

    assert (too_early, len(harness.partition.commits)) == ((0, 2) if pace_s else (5, 7))


async def test_a_lane_rests_for_as_long_as_its_commit_took_and_then_takes_all_that_arrived() -> None:
    async with LaneHarness(COUNTING, [record(0)], times=replace(QUICK, max_rest_s=10.0)) as harness:
        await _commit_slowly(harness, seconds=4.0)
        for offset in (1, 2, 3):
            harness.fetcher.append(record(offset))
            await harness.let_run()
        during_rest = len(harness.partition.commits)
        harness.manual.monotonic_s += 4.0
        harness.fetcher.append(record(4))
        await harness.until(lambda: harness.partition.position == 5)

    assert (during_rest, len(harness.partition.commits)) == (1, 2)


async def test_a_lane_rests_no_longer_than_the_maximum() -> None:
    async with LaneHarness(COUNTING, [record(0)], times=replace(QUICK, max_rest_s=1.0)) as harness:
        await _commit_slowly(harness, seconds=4.0)
        harness.manual.monotonic_s += 1.0
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)


async def test_a_lane_with_many_waiting_records_does_not_rest() -> None:
    spec = replace(COUNTING, max_records=NO_REST_ABOVE)
    async with LaneHarness(spec, [record(0)], times=replace(QUICK, max_rest_s=10.0)) as harness:
        await _commit_slowly(harness, seconds=4.0)
        for one in records(NO_REST_ABOVE + 2)[1:]:
            harness.fetcher.append(one)
        await harness.until(lambda: harness.partition.position > 1)


async def _commit_slowly(harness: LaneHarness, seconds: float) -> None:
    """Commit the first batch of a lane, and let the commit take this time."""
    harness.partition.commit_gate.clear()
    await harness.partition.commit_begun.wait()
    harness.manual.monotonic_s += seconds
    harness.partition.commit_gate.set()
    await harness.until(lambda: harness.partition.position == 1)
    await harness.let_run()
