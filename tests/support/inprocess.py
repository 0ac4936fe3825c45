"""A worker inside the test's process, so that its agents can be the test's functions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from stream.cluster.connection import Connection
from stream.engine.agent_spec import AgentSpec
from stream.engine.context import Observer
from stream.transport.app import LaneApp, create_app


@asynccontextmanager
async def running_app(
    connection: Connection,
    specs: Sequence[AgentSpec],
    name: str = "app",
    on_leave: Callable[[str], None] | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[LaneApp]:
    """Run a worker until the end of the block."""
    left: list[str] = []
    app = create_app(name, connection, specs, on_leave=on_leave or left.append, observer=observer)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
    assert left == []


async def until(condition: Callable[[], bool], within_s: float = 15) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a condition has no event to wait for
            await asyncio.sleep(0.01)
