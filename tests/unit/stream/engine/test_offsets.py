"""Publishing of the group's offsets, for programs that measure lag."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka.errors import KafkaError
from faust.types import TP

from stream.engine.offsets import OffsetPublisher
from stream.engine.testing import MemoryFetcher

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
    publisher = OffsetPublisher(fetcher, lambda: positions, every_s=0.001)
    publisher.start()
    first = await fetcher.next_commit()
    positions[SECOND] = 2
    second = await fetcher.next_commit()
    await publisher.stop()

    assert (first, second) == ({FIRST: 1, SECOND: 1}, {SECOND: 2})
    assert not publisher.is_running


async def test_a_failed_publication_of_positions_is_logged_and_repeated() -> None:
    fetcher = RecordingFetcher()
    fetcher.failures.append(KafkaError("the group rebalances"))
    publisher = OffsetPublisher(fetcher, lambda: {FIRST: 1}, every_s=0.001)
    publisher.start()

    published = await fetcher.next_commit()
    await publisher.stop()

    assert published == {FIRST: 1}
