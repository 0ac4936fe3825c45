"""Records as they come from a consumer, and the protocol that a consumer implements for lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from faust.types import TP

from models.batch import Record


@dataclass(frozen=True, slots=True)
class ReadTo:
    """Progress of the consumer in one partition.

    Attributes
    ----------
    epoch, sequence
        Epoch of the last seek, and the number of fetches since then.
    position
        Offset of the next fetch. Between the last record and this offset there may be transaction markers and gaps.
    high_watermark
        End of the partition, as the last fetch reported it.
    fetched_ms
        Time at which the broker answered that fetch, by this machine's clock, milliseconds since the epoch.
    """

    epoch: int
    sequence: int
    position: int
    high_watermark: int
    fetched_ms: int = 0


@dataclass(slots=True)
class Fetch:
    """Records of one partition from one fetch.

    Attributes
    ----------
    records
        Records in offset order, at least one.
    epoch
        Number of the seek after which the records were read. Records from before the last seek do not count.
    sequence
        0, 1, 2 ... since that seek, so that the receiver notices a gap.
    """

    records: Sequence[Record]
    epoch: int
    sequence: int


class Fetcher(Protocol):
    """Reader of the partitions of a process, as a member of its consumer group."""

    @property
    def member(self) -> str:
        """Name that the group has given this process; empty while it is no member."""

    @property
    def generation(self) -> int:
        """Number of the group's assignment that this process has; -1 while it is no member."""

    @property
    def failure(self) -> BaseException | None:
        """Error that keeps this process out of its group for good; ``None`` while there is none."""

    def read_to(self, tp: TP) -> ReadTo | None:
        """Return the consumer's progress in a partition; ``None`` before its first fetch."""

    def wake(self) -> None:
        """Let the consumer ask again which partitions are wanted."""

    async def seek(self, tp: TP, offset: int) -> int:
        """Continue a partition at ``offset``; return the epoch of the fetches that follow."""

    async def bounds(self, tp: TP) -> tuple[int, int | None]:
        """Return the offset of the first record, and the offset after the last one; ``None`` if it is not known."""

    async def committed_offset(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit the group's offsets; only a member of the group can do so."""
