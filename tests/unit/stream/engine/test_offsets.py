"""Publishing of the group's offsets, for programs that measure lag."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from aiokafka.errors import KafkaError
from faust.types import TP

from stream.engine.memory import MemoryFetcher, RecordingObserver
from stream.engine.offsets import NoticingObserver, OffsetPublisher
from stream.engine.reports import CommitReport

FIRST, SECOND = TP("t.events", 0), TP("t.events", 1)


class RecordingFetcher(MemoryFetcher):
    """A fetcher that keeps each commit of offsets."""

    def __init__(self) -> None:
        super().__init__([])
        self.commits: list[Mapping[TP, int]] = []
        self.failures: list[Exception] = []
        self.committed_again = asyncio.Event()

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Keep a commit, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.commits.append(offsets)
        self.committed_again.set()

    async def next_commit(self) -> Mapping[TP, int]:
        """Return the next commit."""
        self.committed_again.clear()
        await asyncio.wait_for(self.committed_again.wait(), 5)
        return self.commits[-1]


async def test_only_positions_that_have_moved_are_published() -> None:
    fetcher, positions = RecordingFetcher(), {FIRST: 1, SECOND: 1}
    publisher = OffsetPublisher(fetcher, lambda: positions, after_s=0.001)
    publisher.start()
    first = await fetcher.next_commit()
    positions[SECOND] = 2
    publisher.notice()
    second = await fetcher.next_commit()
    await publisher.stop()

    assert (first, second) == ({FIRST: 1, SECOND: 1}, {SECOND: 2})
    assert not publisher.is_running


async def test_a_failed_publication_of_positions_is_logged_and_repeated() -> None:
    fetcher = RecordingFetcher()
    fetcher.failures.append(KafkaError("the group rebalances"))
    publisher = OffsetPublisher(fetcher, lambda: {FIRST: 1}, after_s=0.001)
    publisher.start()

    published = await fetcher.next_commit()
    await publisher.stop()

    assert published == {FIRST: 1}


async def test_nothing_is_looked_at_while_no_lane_commits_and_one_commit_is_enough() -> None:
    fetcher, position, looks = RecordingFetcher(), [1], []

    def positions() -> dict[TP, int]:
        looks.append(position[0])
        return {FIRST: position[0]}

    publisher = OffsetPublisher(fetcher, positions, after_s=0)
    observer = NoticingObserver(RecordingObserver(), publisher.notice)
    publisher.start()
    await fetcher.next_commit()
    for _ in range(50):
        await asyncio.sleep(0)  # lets a publisher look that looks again and again
    assert looks == [1]

    position[0] = 2
    observer.committed(CommitReport("events", 1, 0.0, 0.0, None, Counter(), ()))
    assert await fetcher.next_commit() == {FIRST: 2}
    await publisher.stop()
    assert looks == [1, 2]


async def test_a_lane_that_opens_publishes_its_position_and_a_failure_is_passed_on() -> None:
    fetcher, below = RecordingFetcher(), RecordingObserver()
    publisher = OffsetPublisher(fetcher, lambda: {FIRST: 1} if below.opened_lanes else {}, after_s=0.001)
    observer = NoticingObserver(below, publisher.notice)
    publisher.start()
    observer.opened("events", 0.1)
    assert await fetcher.next_commit() == {FIRST: 1}
    await publisher.stop()

    observer.failed("events", KafkaError("gone"))
    assert (below.opened_lanes, len(below.errors)) == (1, 1)
