"""Which lanes there are, while a group gives partitions and takes them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faust.types import TP

from stream.cluster.connection import Connection
from stream.engine import lanes as lanes_module
from stream.engine.lanes import Lanes
from tests.support.counting import COUNTING

PLACE = TP("test.events", 3)


class Slow:
    """A lane that ends when it may."""

    live = 0
    most_live = 0
    started = 0
    may_end = asyncio.Event()

    def __init__(self, tp: TP, topic: str, edge: Any, *_: object) -> None:
        self.tp, self.topic, self.edge = tp, topic, edge
        self.ready = self.owes = self.is_started = False

    def start(self) -> None:
        self.is_started = True
        Slow.started += 1
        Slow.live += 1
        Slow.most_live = max(Slow.most_live, Slow.live)

    async def close(self) -> None:
        if self.is_started:
            await Slow.may_end.wait()
            Slow.live -= 1

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def settle(self) -> None: ...


@pytest.fixture
async def lanes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lanes]:
    monkeypatch.setattr(lanes_module, "Lane", Slow)
    Slow.live = Slow.most_live = Slow.started = 0
    Slow.may_end = asyncio.Event()
    monkeypatch.setattr(Lanes, "_publish_offsets", lambda _: asyncio.Event().wait())
    made = Lanes(Connection("127.0.0.1:9", prefix="test."), [COUNTING], "test", None, lambda _: None)  # type: ignore[arg-type]  # nobody observes
    yield made
    Slow.may_end.set()
    await made.close()
    assert Slow.live == 0


@pytest.mark.parametrize("changes", [1, 2, 3, 4])
async def test_a_partition_never_has_two_lanes_however_often_it_goes_and_comes_while_one_ends(
    lanes: Lanes, changes: int
) -> None:
    lanes.assigned([PLACE])
    for there in itertools.islice(itertools.cycle([False, True]), 2 * changes):
        lanes.assigned([PLACE] if there else [])
        await asyncio.sleep(0)
    while_it_ends = Slow.started
    Slow.may_end.set()
    async with asyncio.timeout(10):
        while Slow.started < 2:  # noqa: ASYNC110 - a fake tells nobody
            await asyncio.sleep(0)

    assert (while_it_ends, Slow.started, Slow.most_live) == (1, 2, 1)
