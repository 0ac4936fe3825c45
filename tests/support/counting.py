"""An agent that counts each user's events and copies every one of them, so that a lost or repeated event is found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from models.batch import Batch, Commit, Output, Outputs, Restored
from stream.engine.agent_spec import Agent, Stateful, Wake
from stream.engine.testing import MemoryRecord


def record(offset: int, key: bytes = b"u1", value: bytes | None = None, timestamp: int = 0) -> MemoryRecord:
    """Return a record; without a value, the value is the offset."""
    return MemoryRecord(offset, key, b"%d" % offset if value is None else value, timestamp)


def records(count: int) -> list[MemoryRecord]:
    """Return this many records, with offsets from 0."""
    return [record(offset) for offset in range(count)]


def count(restored: Restored, _wake: Wake) -> Agent:
    """Return the agent that counts; its memo is the number of all events."""

    async def count_events(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            changed: dict[bytes, int] = {}
            commit = Commit(memo=b"%d" % (int(restored.memo or b"0") + len(batch.records)))
            for one in batch.records:
                assert one.key is not None
                before = changed.get(one.key)
                if before is None:
                    before = int(restored.records.get(one.key, b"0"))
                changed[one.key] = before + 1
                commit.records.append(Output("copies", one.key, one.value))
            commit.state.update({key: b"%d" % counted for key, counted in changed.items()})
            yield Outputs(commit)

    return count_events


COUNTING = Stateful(name="count_events", topic="events", agent=count, state="profiles", aligned=frozenset({"copies"}))


def with_agent(agent: Agent, *, has_effects: bool = False) -> Stateful:
    """Return the specification of an agent that needs no restored state."""
    return replace(COUNTING, agent=lambda *_: agent, has_effects=has_effects)
