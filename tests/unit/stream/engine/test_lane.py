"""A lane by itself: what it commits, in which order, and how it begins anew."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaError

from models.batch import AfterCommit, Batch, Commit, Output, Outputs, Restored
from models.log import TICK_KEY
from stream.engine import lane as lane_module
from stream.engine import wakeups as alarm_module
from stream.engine.agent_spec import Agent, Edge, Wake
from stream.transport.consumer import Delivery
from tests.support.counting import COUNTING, count
from tests.support.memory import Bench, Partition, record


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "BACKOFF_S", (0.001, 0.01))
    monkeypatch.setattr(lane_module, "IDLE_COMMIT_S", 0.02)
    monkeypatch.setattr(alarm_module, "TICK_AGAIN_S", 0.02)


def edge_of(agent: Agent, **changes: object) -> Edge:
    return replace(COUNTING, agent=lambda *_: agent, **changes)  # type: ignore[arg-type]  # a test's own names


def wakeable(agent: Agent) -> tuple[Edge, list[Wake]]:
    """An edge whose agent has effects, and what wakes the agent of each run."""
    wakes: list[Wake] = []

    def factory(_: Restored, wake: Wake) -> Agent:
        wakes.append(wake)
        return agent

    return replace(COUNTING, agent=factory, beats=True), wakes


async def copy(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
    async for batch in batches:
        yield Outputs(Commit([Output("copies", entry.key or b"", entry.value) for entry in batch.records]))


async def test_outputs_state_memo_and_position_are_one_commit() -> None:
    async with Bench(COUNTING, [record(offset, b"u%d" % (offset % 2)) for offset in range(5)]) as bench:
        await bench.until(lambda: bench.partition.position == 5)

    (commit,) = bench.partition.commits
    assert (commit.position, commit.memo, commit.state) == (5, b"5", {b"u0": b"3", b"u1": b"2"})
    assert [output.value for output in commit.records] == [b"0", b"1", b"2", b"3", b"4"]


async def test_it_goes_on_behind_what_was_committed_with_the_state_of_then() -> None:
    before = Partition(position=3, memo=b"3", state={b"u1": b"3"})
    async with Bench(COUNTING, [record(offset) for offset in range(5)], before) as bench:
        await bench.until(lambda: bench.partition.position == 5)

    assert bench.source.seeks == [3]
    assert bench.partition.state == {b"u1": b"5"}
    assert [output.value for output in bench.partition.outputs] == [b"3", b"4"]


async def test_the_restored_state_changes_only_once_it_is_committed_and_before_the_agent_goes_on() -> None:
    seen: list[dict[bytes, bytes]] = []

    def factory(restored: Restored, _wake: Wake) -> Agent:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for _ in batches:
                outputs = Outputs(Commit(state={b"new": b"1", b"old": None}))
                seen.append(dict(restored.records))
                yield outputs
                seen.append(dict(restored.records))

        return agent

    before = Partition(state={b"old": b"1"})
    async with Bench(replace(COUNTING, agent=factory), [record(0)], before) as bench:
        await bench.until(lambda: len(seen) == 2)

    assert seen == [{b"old": b"1"}, {b"new": b"1"}]


async def test_several_yields_for_a_batch_are_several_commits_behind_that_batch() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(Commit(state={b"m1": b"attempted"}))
            yield Outputs(Commit(state={b"m1": b"sent"}))

    async with Bench(edge_of(agent), [record(offset) for offset in range(3)]) as bench:
        await bench.until(lambda: len(bench.partition.commits) == 2)

    assert [(commit.position, commit.state[b"m1"]) for commit in bench.partition.commits] == [
        (3, b"attempted"),
        (3, b"sent"),
    ]


async def test_an_agent_that_stops_in_the_middle_of_a_batch_goes_on_there_after_a_death() -> None:
    read: list[list[int]] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            offsets = [entry.offset for entry in batch.records]
            read.append(offsets)
            if offsets[0] == 0:
                yield Outputs(Commit(state={b"a": b"1"}, position=2))
                raise RuntimeError("a death between two slices")
            yield Outputs(Commit(state={b"a": b"2"}))

    async with Bench(edge_of(agent), [record(offset) for offset in range(4)]) as bench:
        await bench.until(lambda: bench.partition.position == 4)

    assert read == [[0, 1, 2, 3], [2, 3]]
    assert [(commit.position, commit.state) for commit in bench.partition.commits] == [
        (2, {b"a": b"1"}),
        (4, {b"a": b"2"}),
    ]
    assert bench.observer.committed_records == 2, "records are counted by who finishes their batch"


async def test_what_is_yielded_before_the_first_batch_is_committed_at_the_restored_position() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        yield Outputs(Commit(state={b"m1": b"unknown"}))
        async for _ in batches:
            yield Outputs()

    async with Bench(edge_of(agent), [], Partition(position=7)) as bench:
        await bench.until(lambda: len(bench.partition.commits) == 1)

    assert bench.partition.commits[0].position == 7


async def test_a_batch_that_yields_nothing_is_passed_by_the_next_commit() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records[-1].offset == 3:
                yield Outputs(Commit(state={b"a": b"1"}))

    async with Bench(edge_of(agent), [record(offset) for offset in range(4)], chunk=1) as bench:
        await bench.until(lambda: bench.partition.position == 4)

    assert bench.partition.state == {b"a": b"1"}


async def test_a_batch_that_yields_nothing_is_passed_by_itself_when_nothing_more_arrives() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if not batch.records:
                yield Outputs()

    async with Bench(edge_of(agent), [record(0), record(1)], Partition(memo=b"kept")) as bench:
        await bench.until(lambda: bench.partition.position == 2)

    assert (bench.partition.memo, bench.partition.outputs) == (b"kept", [])


@pytest.mark.parametrize(
    "error",
    [KafkaError("refused"), OSError("gone"), ValueError("a bug"), asyncio.CancelledError("by aiokafka itself")],
    ids=repr,
)
async def test_after_a_failed_commit_a_new_life_begins_with_what_is_committed(error: BaseException) -> None:
    before = Partition(failures=[error])
    async with Bench(COUNTING, [record(offset) for offset in range(5)], before) as bench:
        await bench.until(lambda: bench.partition.position == 5)
        failures = bench.lane.failures

    assert bench.observer.errors == [error]
    assert (bench.partition.owners, bench.source.seeks, bench.partition.state) == (2, [0, 0], {b"u1": b"5"})
    assert failures == 0


async def test_after_a_failure_of_the_agent_a_new_life_begins_with_what_is_committed() -> None:
    lives = itertools.count(1)

    def factory(restored: Restored, wake: Wake) -> Agent:
        life, counting = next(lives), count(restored, wake)

        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for outputs in counting(batches):
                yield outputs
                if life == 1:
                    raise RuntimeError("after the commit")

        return agent

    async with Bench(replace(COUNTING, agent=factory), [record(offset) for offset in range(4)], chunk=2) as bench:
        await bench.until(lambda: bench.partition.position == 4)

    assert bench.partition.state == {b"u1": b"4"}
    assert bench.source.seeks == [0, 2]


async def test_a_failed_seek_begins_anew() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.source.fail_seeks.append(KafkaError("no current assignment"))
    async with bench:
        await bench.until(lambda: bench.partition.position == 1)

    assert bench.partition.owners == 2


async def test_an_agent_that_ends_is_a_failure() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs()
            return

    async with Bench(edge_of(agent), [record(0), record(1)], chunk=1) as bench:
        await bench.until(lambda: bool(bench.observer.errors))

    assert "reads on for ever" in str(bench.observer.errors[0])


async def test_who_is_fenced_says_so_and_commits_nothing_more() -> None:
    async with Bench(COUNTING, [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        bench.partition.owners += 1
        bench.source.append(record(1))
        await asyncio.wait_for(bench.fenced.wait(), 5)

    assert (bench.partition.position, bench.partition.state) == (1, {b"u1": b"1"})
    assert bench.observer.errors == []


async def test_who_is_fenced_while_partitions_move_waits_for_the_assignment() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open)
        await asyncio.sleep(0.01)
        bench.lane.pause()
        bench.partition.owners += 1
        bench.partition.gate.set()
        await asyncio.sleep(0.01)
        fenced_while_paused = bench.fenced.is_set()
        bench.lane.resume()
        await asyncio.wait_for(bench.fenced.wait(), 5)

    assert not fenced_while_paused


async def test_a_lane_that_is_closed_in_the_middle_of_a_commit_has_committed_nothing() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open)
        await asyncio.sleep(0.01)
        await bench.lane.close()
        bench.partition.gate.set()

    assert (bench.partition.position, bench.partition.commits, bench.partition.stopped) == (0, [], 1)


async def test_a_paused_lane_begins_no_commit_and_goes_on_when_it_is_resumed() -> None:
    async with Bench(COUNTING, [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        bench.lane.pause()
        bench.source.append(record(1))
        await asyncio.sleep(0.05)
        while_paused = (bench.partition.position, bench.lane.ready)
        bench.lane.resume()
        await bench.until(lambda: bench.partition.position == 2)

    assert while_paused == (1, False)
    assert bench.partition.owners == 1
    assert bench.source.seeks == [0, 1]


async def test_settling_waits_for_the_commit_that_is_on_its_way() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open)
        await asyncio.sleep(0.01)
        settling = asyncio.create_task(bench.lane.settle())
        await asyncio.sleep(0.01)
        settled_too_early = settling.done()
        bench.partition.gate.set()
        await asyncio.wait_for(settling, 5)

    assert not settled_too_early
    assert bench.partition.position == 1


async def test_the_outcome_of_effects_is_committed_even_in_a_pause_and_settling_waits_for_it() -> None:
    provider = asyncio.Event()
    closing: list[bool] = []

    async def call() -> None:
        await provider.wait()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            closing.append(batch.closing)
            if batch.records:
                yield Outputs(Commit(state={b"m1": b"attempted"}), AfterCommit(effects=[call]))
            elif provider.is_set():
                yield Outputs(Commit(state={b"m1": b"sent"}))

    async with Bench(edge_of(agent, beats=True), [record(0)]) as bench:
        await bench.until(lambda: bench.partition.state == {b"m1": b"attempted"})
        bench.lane.pause()
        settling = asyncio.create_task(bench.lane.settle())
        await asyncio.sleep(0.01)
        settled_too_early = settling.done()
        provider.set()
        await asyncio.wait_for(settling, 5)

    assert not settled_too_early
    assert bench.partition.state == {b"m1": b"sent"}
    assert closing[-1]


async def test_a_lane_whose_effects_failed_begins_anew_and_settles_at_once() -> None:
    async def call() -> None:
        raise RuntimeError("the provider's client broke")

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(after=AfterCommit(effects=[call]))

    async with Bench(edge_of(agent, beats=True), [record(0)]) as bench:
        await bench.until(lambda: bool(bench.observer.errors))
        bench.lane.pause()
        await asyncio.wait_for(bench.lane.settle(), 5)


async def test_effects_begin_only_once_their_attempt_is_committed_and_end_with_a_beat() -> None:
    seen: list[dict[bytes, bytes]] = []
    beats: list[int] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async def call() -> None:
            seen.append(dict(bench.partition.state))

        async for batch in batches:
            if batch.records:
                yield Outputs(Commit(state={b"m1": b"attempted"}), AfterCommit(effects=[call]))
            elif seen:
                beats.append(len(batch.records))

    bench = Bench(edge_of(agent, beats=True), [record(0)])
    bench.partition.failures.append(KafkaError("refused"))
    async with bench:
        await bench.until(lambda: bool(beats))

    assert seen == [{b"m1": b"attempted"}]


async def test_one_that_hangs_holds_up_neither_other_effects_nor_records() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            for entry in batch.records:
                yield Outputs(Commit(state={b"%d" % entry.offset: b"attempted"}), AfterCommit(effects=[hang]))

    async with Bench(edge_of(agent, beats=True), [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        bench.source.append(record(1))
        await bench.until(lambda: bench.partition.position == 2)


async def test_a_timer_of_the_wall_clock_that_is_due_gives_a_beat_and_writes_no_tick() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records:
                yield Outputs(Commit(state={b"a": b"waits"}), next_due=1_000_020)
            elif bench.now > 1_000:
                yield Outputs(Commit(state={b"a": b"done"}))

    async with Bench(edge_of(agent, beats=True), [record(0)]) as bench:
        await bench.until(lambda: bench.partition.state == {b"a": b"waits"})
        bench.now = 1_000.02
        await bench.until(lambda: bench.partition.state == {b"a": b"done"})

    assert bench.writer.ticks == []


async def test_an_agent_that_is_woken_gets_a_beat_and_one_that_is_full_no_records() -> None:
    beats: list[int] = []
    room: list[bool] = []

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            beats.append(len(batch.records))
            yield Outputs(Commit(state={b"n": b"%d" % len(beats)}), full=not room)

    edge, wakes = wakeable(agent)
    async with Bench(edge, [record(0)]) as bench:
        await bench.until(lambda: bench.lane.is_open and bool(beats))
        bench.source.append(record(1), record(2))
        await asyncio.sleep(0.02)
        woken = len(beats)
        wakes[0]()
        await bench.until(lambda: len(beats) > woken)
        while_full = sum(beats)
        room.append(True)
        wakes[0]()
        await bench.until(lambda: sum(beats) == 3)

    assert while_full <= 1


async def test_all_that_waits_is_taken_into_the_next_commit() -> None:
    bench = Bench(COUNTING, [record(offset) for offset in range(50)], chunk=10)
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open)
        await asyncio.sleep(0.02)
        bench.partition.gate.set()
        await bench.until(lambda: bench.partition.position == 50)

    assert len(bench.partition.commits) <= 2


async def test_a_batch_is_never_larger_than_allowed() -> None:
    async with Bench(replace(COUNTING, max_records=7), [record(offset) for offset in range(50)]) as bench:
        await bench.until(lambda: bench.partition.position == 50)

    assert max(len(commit.records) for commit in bench.partition.commits) == 7
    assert [output.value for output in bench.partition.outputs] == [b"%d" % offset for offset in range(50)]


async def test_a_full_lane_wants_no_more_until_it_is_drained() -> None:
    bench = Bench(replace(COUNTING, max_records=10), [record(offset) for offset in range(100)], chunk=5)
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open and not bench.lane.ready)
        waiting = bench.lane._inbox.waiting
        bench.partition.gate.set()
        await bench.until(lambda: bench.partition.position == 100)

    assert 20 <= waiting < 30


async def test_a_paced_lane_takes_together_what_arrives_between_two_commits() -> None:
    async with Bench(replace(COUNTING, pace_s=0.2), [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        began = time.monotonic()
        for offset in range(1, 6):
            bench.source.append(record(offset))
            await asyncio.sleep(0.01)
        await bench.until(lambda: bench.partition.position == 6)
        took = time.monotonic() - began

    assert len(bench.partition.commits) == 2
    assert took > 0.15


async def test_broadcasts_leave_after_the_commit_and_before_the_agent_goes_on() -> None:
    seen: list[tuple[int, int]] = []

    async with Bench(COUNTING) as bench:
        pass

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for _ in batches:
            yield Outputs(after=AfterCommit(broadcasts=[(b"\x00use", b"v1")]))
            seen.append((len(bench.partition.commits), len(bench.writer.broadcasts)))

    bench = Bench(edge_of(agent), [record(0)])
    async with bench:
        await bench.until(lambda: bool(seen))

    assert seen == [(1, 1)]
    assert bench.writer.broadcasts == [("events", [(b"\x00use", b"v1")])]


async def test_the_observer_hears_of_records_and_counts_of_each_commit() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(counts={("events_folded", "live"): float(len(batch.records))})
            yield Outputs()

    async with Bench(edge_of(agent), [record(0), record(1)]) as bench:
        await bench.until(lambda: bench.observer.commits == 2)

    assert bench.observer.committed_records == 2
    assert bench.observer.counts == {("events_folded", "live"): 2.0}


async def test_a_delivery_that_was_lost_on_its_way_is_read_again() -> None:
    async with Bench(COUNTING, [record(0)], chunk=1) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        bench.source.lose_next = True
        bench.source.append(record(1), record(2), record(3))
        await bench.until(lambda: bench.partition.position == 4)

    assert [output.value for output in bench.partition.outputs] == [b"0", b"1", b"2", b"3"]
    assert bench.source.seeks == [0, 1]


async def test_a_delivery_from_before_the_last_seek_does_not_count() -> None:
    async with Bench(COUNTING, [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        bench.lane.put(Delivery([record(9)], epoch=bench.source.epoch - 1, sequence=1))
        bench.source.append(record(1))
        await bench.until(lambda: bench.partition.position == 2)

    assert [output.value for output in bench.partition.outputs] == [b"0", b"1"]


def always_failing(_: Restored, _wake: Wake) -> Agent:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            if batch.records:
                raise RuntimeError("a bug")
            yield Outputs()

    return agent


async def test_a_lane_that_fails_in_every_life_shows_no_progress_however_often_it_is_opened() -> None:
    bench = Bench(replace(COUNTING, agent=always_failing), [record(0)])
    async with bench:
        await bench.until(lambda: len(bench.observer.errors) == 1)
        after_the_first = bench.lane.committed_at
        await bench.until(lambda: len(bench.observer.errors) >= 6)
        committed_at, failures = bench.lane.committed_at, bench.lane.failures

    assert committed_at == after_the_first
    assert failures >= 6


async def test_a_lane_that_opens_for_the_first_time_counts_from_there() -> None:
    bench = Bench(COUNTING)
    bench.partition.fence_gate.clear()
    async with bench:
        await asyncio.sleep(0.01)
        before = bench.lane.committed_at
        bench.partition.fence_gate.set()
        await bench.until(lambda: bench.lane.is_open)

        assert bench.lane.committed_at > before


async def test_a_life_that_lasted_is_no_failure_although_nothing_was_there_to_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(COUNTING)
    bench.source.fail_seeks.append(KafkaError("no current assignment"))
    async with bench:
        await bench.until(lambda: bench.lane.is_open and len(bench.source.seeks) == 1)
        young = bench.lane.failures
        monkeypatch.setattr(lane_module, "STEADY_S", 0.01)
        await bench.until(lambda: bench.lane.failures == 0)

    assert young == 1


async def test_nobody_is_fenced_while_partitions_move() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.failures.append(KafkaError("refused"))
    async with bench:
        await bench.until(lambda: bool(bench.observer.errors))  # it waits a moment before its next life
        bench.lane.pause()
        await asyncio.sleep(0.05)
        owners_while_paused = bench.partition.owners
        bench.lane.resume()
        await bench.until(lambda: bench.partition.position == 1)

    assert (owners_while_paused, bench.partition.owners) == (1, 2)


async def test_fencing_that_is_under_way_when_partitions_begin_to_move_is_given_up_and_is_no_failure() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.fence_gate.clear()
    async with bench:
        await asyncio.sleep(0.01)
        bench.lane.pause()
        bench.lane.pause()  # Faust pauses when partitions are revoked, and again when it stops
        await asyncio.wait_for(bench.lane.settle(), 5)
        bench.partition.fence_gate.set()
        await asyncio.sleep(0.05)
        owners_while_paused = bench.partition.owners
        bench.lane.resume()
        await bench.until(lambda: bench.partition.position == 1)

    assert (owners_while_paused, bench.partition.owners, bench.partition.stopped) == (0, 1, 2)
    assert bench.observer.errors == []


async def test_what_is_restored_when_partitions_begin_to_move_is_kept() -> None:
    bench = Bench(COUNTING, [record(0)])
    bench.partition.restore_gate.clear()
    async with bench:
        await bench.until(lambda: bench.partition.owners == 1)
        bench.lane.pause()
        bench.partition.restore_gate.set()
        await bench.until(lambda: bench.lane.is_open)
        bench.lane.resume()
        await bench.until(lambda: bench.partition.position == 1)

    assert bench.partition.owners == 1


async def test_a_position_beyond_the_end_of_the_log_is_refused_and_told_until_the_log_is_back() -> None:
    bench = Bench(COUNTING, [record(offset) for offset in range(3)], Partition(position=7))
    bench.source.end = 3
    async with bench:
        await bench.until(lambda: len(bench.observer.errors) >= 5)
        refused = (bench.lane.is_open, bench.lane.failures >= 5, len(bench.source.seeks))
        bench.source.end = 8
        bench.source.append(record(7))
        await bench.until(lambda: bench.partition.position == 8)

    assert refused == (False, True, 0)
    assert str(bench.observer.errors[0]).startswith("t.events[0]: 7 is to be read next, and the log ends at 3;")


async def test_a_log_that_begins_anew_under_a_lane_ends_its_life_and_nothing_of_it_is_passed() -> None:
    async with Bench(COUNTING, [record(offset) for offset in range(5)], Partition(position=4)) as bench:
        await bench.until(lambda: bench.partition.position == 5)
        bench.source.end = 1
        bench.lane.put(Delivery([record(0)], bench.source.epoch, 1))
        await bench.until(lambda: len(bench.observer.errors) >= 2)

    first, second, *_ = map(str, bench.observer.errors)
    assert first.startswith("t.events[0]: 5 is to be read next, and the log ends before that;")
    assert second.startswith("t.events[0]: 5 is to be read next, and the log ends at 1;")
    assert bench.partition.position == 5


async def test_records_that_retention_took_are_told_before_it_goes_on_behind_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(COUNTING, [record(offset) for offset in range(9, 12)], Partition(position=4))
    bench.source.start, bench.source.end = 9, 12
    async with bench:
        await bench.until(lambda: bench.partition.position == 12)

    (error,) = bench.observer.errors
    assert str(error).startswith("t.events[0]: 4 is to be read next, and the log begins at 9;")
    assert str(error) in caplog.text


async def test_a_lane_that_never_committed_begins_with_what_is_there() -> None:
    bench = Bench(COUNTING, [record(9)])
    bench.source.start, bench.source.end = 9, 10
    async with bench:
        await bench.until(lambda: bench.partition.position == 10)

    assert bench.observer.errors == []


class TestTicks:
    @staticmethod
    def edge(due: int | None, *, wall: bool = True) -> Edge:
        async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
            async for batch in batches:
                done = any(entry.key == TICK_KEY for entry in batch.records)
                yield Outputs(next_due=None if done else due)

        return edge_of(agent, wall_clock=lambda _: wall)

    async def test_a_timer_that_is_due_while_nothing_arrives_moves_the_clock_with_a_tick(self) -> None:
        async with Bench(self.edge(due=1_000_500), [record(0)]) as bench:
            await bench.until(lambda: bench.partition.position == 1)
            await asyncio.sleep(0.03)
            too_early = list(bench.writer.ticks)
            bench.now = 1_000.6
            bench.source.append(record(1))  # whatever arrives makes it look at its clock again
            await asyncio.wait_for(bench.writer.wrote.wait(), 5)

        assert too_early == []
        topic, partition, ((key, value),) = bench.writer.ticks[0]
        assert (topic, partition, key) == ("events", 0, TICK_KEY)
        assert value == b'{"control":"tick","at":1000600}'

    async def test_a_lane_that_opens_on_old_timers_asks_for_them_with_a_tick_where_nothing_arrives(self) -> None:
        async with Bench(self.edge(due=None), [], Partition(position=7)) as bench:
            await bench.until(lambda: bench.lane.is_open)
            bench.now += 1
            bench.lane.resume()
            await asyncio.wait_for(bench.writer.wrote.wait(), 5)

        assert [topic for topic, _, _ in bench.writer.ticks] == ["events"]

    async def test_it_ticks_again_while_the_brokers_clock_stays_behind(self) -> None:
        async with Bench(self.edge(due=900_000), [record(0)]) as bench:
            await bench.until(lambda: len(bench.writer.ticks) == 1)
            await asyncio.sleep(0.03)
            in_the_same_second = len(bench.writer.ticks)
            bench.now += 1
            bench.source.append(record(1))
            await bench.until(lambda: len(bench.writer.ticks) >= 2)

        assert in_the_same_second == 1

    async def test_a_timer_that_has_fired_ticks_no_more(self) -> None:
        async with Bench(self.edge(due=900_000), [record(0)]) as bench:
            await bench.until(lambda: len(bench.writer.ticks) == 1)
            bench.source.append(record(1, TICK_KEY))
            await bench.until(lambda: bench.partition.position == 2)
            bench.now += 10
            bench.lane.resume()
            await asyncio.sleep(0.05)

        assert len(bench.writer.ticks) == 1

    async def test_a_feeders_clock_is_never_moved(self) -> None:
        async with Bench(self.edge(due=900_000, wall=False), [record(0)]) as bench:
            await bench.until(lambda: bench.partition.position == 1)
            await asyncio.sleep(0.05)

        assert bench.writer.ticks == []


async def test_a_lane_whose_agent_wants_no_records_stands_for_a_reason() -> None:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit(state={b"n": b"1"}), full=bool(batch.records))

    edge, wakes = wakeable(agent)
    async with Bench(edge, [record(0)]) as bench:
        await bench.until(lambda: bench.partition.position == 1)
        full = bench.lane.is_full, bench.lane.excused
        wakes[0]()
        await bench.until(lambda: not bench.lane.is_full)

    assert full == (True, True)


async def test_an_answer_of_the_broker_is_an_excuse_and_calls_under_way_for_ever_are_none() -> None:
    async def call() -> None:
        await asyncio.Event().wait()

    async def agent(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            yield Outputs(Commit(state={b"n": b"1"}), AfterCommit(effects=[call] if batch.records else []))

    bench = Bench(edge_of(agent, beats=True), [record(0)])
    bench.partition.gate.clear()
    async with bench:
        await bench.until(lambda: bench.lane.is_open and bench.lane.excused)
        bench.partition.gate.set()
        await bench.until(lambda: bench.partition.position == 1 and not bench.lane.excused)
        settling = asyncio.create_task(bench.lane.settle())
        await asyncio.sleep(0.01)
        owes_a_result = not settling.done()
        settling.cancel()

    assert owes_a_result


async def test_a_failure_excuses_no_lane_that_has_been_open_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stands_still(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        lives.append(1)
        if len(lives) == 1:
            raise OSError("the broker was away")
        async for _ in batches:
            await asyncio.Event().wait()
            yield Outputs()

    lives: list[int] = []
    async with Bench(edge_of(stands_still), [record(0)]) as bench:
        await bench.until(lambda: len(lives) == 2)
        at_first = bench.lane.excused
        monkeypatch.setattr(lane_module, "STEADY_S", 0.01)
        await bench.until(lambda: not bench.lane.excused)

    assert at_first
