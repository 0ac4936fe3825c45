"""A worker subscribes only after its agents listen to all topics of its lanes. The test needs no broker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from models.batch import Batch, Outputs, Restored
from stream.cluster.connection import Connection
from stream.engine.agent_spec import Agent, Relay, Wake
from stream.transport.app import create_app
from stream.transport.subscription import BatchConductor, NoTables


def reading(name: str, *topics: str) -> Relay:
    async def agent(batches: AsyncIterator[Batch]) -> AsyncGenerator[Outputs]:
        async for _ in batches:
            yield Outputs()

    def restored(_: Restored, _wake: Wake) -> Agent:
        return agent

    return Relay(name=name, topics=topics, agent=restored)


async def test_agents_listen_to_all_topics_before_the_worker_subscribes() -> None:
    app = create_app("fold", Connection("127.0.0.1:1"), [reading("first", "a", "b"), reading("second", "c")])
    topics = app.topics
    assert isinstance(topics, BatchConductor)
    assert isinstance(app.tables, NoTables)

    topics.add(app.topic("perennial.c", acks=False))
    assert not topics.complete.is_set()
    topics.add(app.topic("perennial.a", "perennial.b", acks=False))
    assert topics.complete.is_set()
