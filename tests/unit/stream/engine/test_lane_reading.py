"""Reading of a lane: lost fetches, full buffers, and logs that were deleted or created again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.engine.fetches import Fetch
from stream.engine.testing import LaneHarness, MemoryPartition
from tests.support.counting import COUNTING, record, records


async def test_a_full_lane_is_not_ready_until_its_records_are_taken() -> None:
    harness = LaneHarness(replace(COUNTING, max_records=10), records(100), max_fetch=5)
    harness.partition.commit_gate.clear()
    async with harness:
        await harness.partition.commit_begun.wait()
        await harness.until(lambda: not harness.lane.is_ready)
        waiting = harness.lane.report(None).buffered
        harness.partition.commit_gate.set()
        await harness.until(lambda: harness.partition.position == 100)

    assert 20 <= waiting < 30


async def test_a_lost_fetch_is_read_again() -> None:
    async with LaneHarness(COUNTING, [record(0)], max_fetch=1) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.fetcher.lose_next = True
        harness.fetcher.append(record(1), record(2), record(3))
        await harness.until(lambda: harness.partition.position == 4)

    assert [output.value for output in harness.partition.outputs] == [b"0", b"1", b"2", b"3"]
    assert harness.fetcher.seeks == [0, 1]


async def test_a_fetch_from_before_the_last_seek_does_not_count() -> None:
    async with LaneHarness(COUNTING, [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.lane.put(Fetch([record(9)], epoch=harness.fetcher.epoch - 1, sequence=1))
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)

    assert [output.value for output in harness.partition.outputs] == [b"0", b"1"]


async def test_a_position_after_the_end_of_the_log_is_refused_until_the_log_is_back() -> None:
    harness = LaneHarness(COUNTING, records(3), MemoryPartition(position=7))
    harness.fetcher.end = 3
    async with harness:
        await harness.until(lambda: len(harness.observer.errors) >= 5)
        refused = (harness.lane.is_open, harness.lane.failures >= 5, len(harness.fetcher.seeks))
        harness.fetcher.end = 8
        harness.fetcher.append(record(7))
        await harness.until(lambda: harness.partition.position == 8)

    assert refused == (False, True, 0)
    assert str(harness.observer.errors[0]).startswith(
        "t.events[0]: the next offset to read is 7, but the log ends at 3;"
    )


async def test_a_lane_whose_log_begins_again_ends_its_run_and_skips_no_record() -> None:
    async with LaneHarness(COUNTING, records(5), MemoryPartition(position=4)) as harness:
        await harness.until(lambda: harness.partition.position == 5)
        harness.fetcher.end = 1
        harness.lane.put(Fetch([record(0)], harness.fetcher.epoch, 1))
        await harness.until(lambda: len(harness.observer.errors) >= 2)

    first, second, *_ = map(str, harness.observer.errors)
    assert first.startswith("t.events[0]: the next offset to read is 5, but the log ends before that;")
    assert second.startswith("t.events[0]: the next offset to read is 5, but the log ends at 1;")
    assert harness.partition.position == 5


async def test_a_lane_whose_position_is_not_in_the_log_compares_the_bounds_again() -> None:
    async with LaneHarness(COUNTING, [record(0)]) as harness:
        await harness.until(lambda: harness.partition.position == 1)
        harness.lane.report_out_of_range(harness.fetcher.epoch)
        await harness.until(lambda: bool(harness.observer.errors))
        harness.fetcher.append(record(1))
        await harness.until(lambda: harness.partition.position == 2)

    assert str(harness.observer.errors[0]) == "t.events[0] has no record at the next offset to read"
    assert harness.partition.owners == 2


async def test_records_that_retention_deleted_are_reported_before_the_lane_continues_after_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = LaneHarness(COUNTING, [record(offset) for offset in range(9, 12)], MemoryPartition(position=4))
    harness.fetcher.start, harness.fetcher.end = 9, 12
    async with harness:
        await harness.until(lambda: harness.partition.position == 12)

    (error,) = harness.observer.errors
    assert str(error).startswith("t.events[0]: the next offset to read is 4, but the log begins at 9;")
    assert str(error) in caplog.text


async def test_a_lane_that_never_committed_begins_with_the_first_stored_record() -> None:
    harness = LaneHarness(COUNTING, [record(9)])
    harness.fetcher.start, harness.fetcher.end = 9, 10
    async with harness:
        await harness.until(lambda: harness.partition.position == 10)

    assert harness.observer.errors == []
