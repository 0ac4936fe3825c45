"""An agent that counts each user's events and copies every one of them: what is lost or twice shows."""

from __future__ import annotations

from collections.abc import AsyncIterator

from models.batch import Batch, Commit, Output, Outputs, Restored
from stream.engine.agent_spec import Agent, Edge, Wake


def count(restored: Restored, _wake: Wake) -> Agent:
    async def count_events(batches: AsyncIterator[Batch]) -> AsyncIterator[Outputs]:
        async for batch in batches:
            changed: dict[bytes, int] = {}
            outputs = Outputs(Commit(memo=b"%d" % (int(restored.memo or b"0") + len(batch.records))))
            for record in batch.records:
                assert record.key is not None
                before = changed.get(record.key)
                if before is None:
                    before = int(restored.records.get(record.key, b"0"))
                changed[record.key] = before + 1
                outputs.commit.records.append(Output("copies", record.key, record.value))
            outputs.commit.state.update({key: b"%d" % counted for key, counted in changed.items()})
            yield outputs

    return count_events


COUNTING = Edge(name="count_events", topics=("events",), agent=count, state="profiles", aligned=frozenset({"copies"}))
