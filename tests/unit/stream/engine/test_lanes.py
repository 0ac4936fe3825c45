"""All lanes of a process, while the group assigns partitions and revokes them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
from faust.types import TP

from stream.cluster.connection import Connection
from stream.engine import lanes as lanes_module
from stream.engine.context import Assignment, LaneContext
from stream.engine.lanes import Lanes
from stream.engine.testing import MemoryFetcher, RecordingObserver
from tests.support.counting import COUNTING

PARTITION = TP("test.events", 3)


@dataclass
class StallingLanes:
    """Lanes that close only when a test allows it, and counts of these lanes."""

    started: int = 0
    live: int = 0
    max_live: int = 0
    may_close: asyncio.Event = field(default_factory=asyncio.Event)

    def lane(self, assignment: Assignment, context: LaneContext, _new_committer: object) -> StallingLane:
        """Return a new lane. The tests put this method in place of the class ``Lane``."""
        return StallingLane(self, assignment, context)


class StallingLane:
    """A lane that closes only when a test allows it."""

    has_pending_effects = False
    position = 5

    def __init__(self, lanes: StallingLanes, assignment: Assignment, context: LaneContext) -> None:
        self._lanes = lanes
        self._assignment = assignment
        self._context = context
        self._is_started = False

    def start(self) -> None:
        """Count the start, and report that the lane is ready."""
        self._is_started = True
        self._lanes.started += 1
        self._lanes.live += 1
        self._lanes.max_live = max(self._lanes.max_live, self._lanes.live)
        self._context.on_ready(self._assignment.tp, True)

    async def close(self) -> None:
        """Wait until the lane may close."""
        if self._is_started:
            await self._lanes.may_close.wait()
            self._lanes.live -= 1

    def pause(self) -> None:
        """Report that the lane is not ready."""
        self._context.on_ready(self._assignment.tp, False)

    def resume(self) -> None:
        """Ignore the call."""

    async def drain(self) -> None:
        """Ignore the call."""


@pytest.fixture
async def stalling(monkeypatch: pytest.MonkeyPatch) -> StallingLanes:
    made = StallingLanes()
    monkeypatch.setattr(lanes_module, "Lane", made.lane)
    return made


OnRevoked = Callable[[int, Callable[[list[tuple[bytes, bytes | None]]], Awaitable[None]]], None]


def new_lanes(fetcher: MemoryFetcher, on_revoked: OnRevoked | None = None) -> Lanes:
    """Return lanes of the counting agent, without a broker."""
    spec = replace(COUNTING, on_revoked=on_revoked)
    return Lanes(
        Connection("127.0.0.1:9", prefix="test."), [spec], "test", fetcher, RecordingObserver(), lambda _: None
    )


@pytest.fixture
async def lanes(stalling: StallingLanes) -> AsyncIterator[Lanes]:
    made = new_lanes(MemoryFetcher([]))
    yield made
    stalling.may_close.set()
    await made.close()
    assert stalling.live == 0


async def let_run() -> None:
    """Give all tasks enough turns to finish their work."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("changes", [1, 2, 3, 4])
async def test_a_partition_that_returns_while_its_lane_closes_never_has_two_lanes(
    lanes: Lanes, stalling: StallingLanes, changes: int
) -> None:
    lanes.assigned([PARTITION])
    for is_assigned in itertools.islice(itertools.cycle([False, True]), 2 * changes):
        lanes.assigned([PARTITION] if is_assigned else [])
        await asyncio.sleep(0)
    while_it_closes = stalling.started
    stalling.may_close.set()
    await let_run()

    assert (while_it_closes, stalling.started, stalling.max_live) == (1, 2, 1)


async def test_only_partitions_of_ready_lanes_are_wanted(lanes: Lanes) -> None:
    before = lanes.wanted(), lanes.owns("events", 3)
    lanes.assigned([PARTITION])
    while_assigned = lanes.wanted(), lanes.owns("events", 3), lanes.owns("events", 4)
    lanes.assigned([])
    after = lanes.wanted(), lanes.owns("events", 3)

    assert before == after == (frozenset(), False)
    assert while_assigned == (frozenset({PARTITION}), True, False)


async def test_the_assignment_is_unknown_while_partitions_are_being_reassigned(lanes: Lanes) -> None:
    before = lanes.has_assignment
    lanes.assigned([])
    assigned = lanes.has_assignment
    await lanes.drain()

    assert (before, assigned, lanes.has_assignment) == (False, True, False)


async def test_on_revoked_is_called_after_the_lane_of_a_reassigned_partition_is_closed(
    stalling: StallingLanes,
) -> None:
    revoked: list[int] = []
    lanes = new_lanes(MemoryFetcher([]), lambda partition, _: revoked.append(partition))
    lanes.assigned([PARTITION])
    lanes.assigned([])
    await let_run()
    while_closing = list(revoked)
    stalling.may_close.set()
    await let_run()
    await lanes.close()

    assert (while_closing, revoked) == ([], [3])


async def test_on_revoked_is_not_called_when_the_process_ends(stalling: StallingLanes) -> None:
    revoked: list[int] = []
    lanes = new_lanes(MemoryFetcher([]), lambda partition, _: revoked.append(partition))
    lanes.assigned([PARTITION])
    stalling.may_close.set()
    await lanes.close()
    await let_run()

    assert revoked == []
