"""The state of a partition at a time in the past is read from the log, up to that time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from models.batch import Record
from models.log import opening
from models.units import DAY, HOUR
from stream.cluster.connection import Connection
from stream.rebuild import past
from stream.rebuild.past import NotThere, past_state
from tests.support.event_logs import START, PartitionRecord, written
from tests.support.segment_logs import VIEWERS, folded, segment_log, segments_in_use, tick, viewed

CONTENTS = (segments_in_use(1, VIEWERS), tick(0), viewed("u1", 0), tick(HOUR), viewed("u1", HOUR), tick(DAY))


@pytest.fixture
def read_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[PartitionRecord]], list[int]]:
    """Replace the log by records; return the offsets that were read."""

    def give(records: list[PartitionRecord]) -> list[int]:
        offsets: list[int] = []

        async def read(
            connection: Connection, partition: int, planned: Callable[[int], None]
        ) -> AsyncGenerator[Sequence[Record]]:
            del connection
            assert partition == 3
            planned(len(records))
            for record in records:
                offsets.append(record.offset)
                yield [record]

        monkeypatch.setattr(past, "read_whole_log", read)
        return offsets

    return give


async def test_the_log_is_read_up_to_the_time_and_no_further(
    read_to: Callable[[list[PartitionRecord]], list[int]],
) -> None:
    records = segment_log(*CONTENTS)
    offsets, totals, moves = read_to(records), list[int](), list[tuple[int, int]]()

    state = await past_state(
        Connection("none:1"), 3, START + HOUR - 1, totals.append, lambda *moved: moves.append(moved)
    )

    assert state.records == folded(*CONTENTS[:3], tick(HOUR - 1)).records
    assert (offsets, totals) == ([0, 1, 2, 3, 4], [7])
    assert moves[-1] == (4, START)


async def test_a_time_that_the_log_has_not_reached_is_refused(
    read_to: Callable[[list[PartitionRecord]], list[int]],
) -> None:
    read_to(segment_log(*CONTENTS))

    with pytest.raises(NotThere, match="not reached 2026-01-03T00:00:00Z; its partition 3 ends at 2026-01-02T00:00"):
        await past_state(Connection("none:1"), 3, START + 2 * DAY, lambda _: None, lambda *_: None)


async def test_on_a_wall_clock_timers_fire_after_the_newest_record(
    read_to: Callable[[list[PartitionRecord]], list[int]],
) -> None:
    contents = (opening("wall"), segments_in_use(1, VIEWERS), viewed("u1", 0), viewed("u1", 1))
    read_to(written(contents))

    before, after = [
        await past_state(Connection("none:1"), 3, START + at, lambda _: None, lambda *_: None) for at in (HOUR, DAY)
    ]

    assert before.records.keys() == after.records.keys()
    assert before.records != after.records
