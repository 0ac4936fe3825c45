"""Stock Faust at the pipeline's job: a table of profiles with its changelog, one event at a time.

It follows the documentation ("Tables", "Agents"): the agent reads and writes a table, and sends the results with
``topic.send``. The table is in memory, which is faster than RocksDB; its changelog makes it durable.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.faust_engine import application, run
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.peers.wire import read_event


def main(task: Task) -> None:
    job = Job()
    app = application(task, "pipeline")
    source = app.topic(task.topic, key_serializer="raw", value_serializer="raw")
    interactions_out = app.topic(task.name("interactions"), key_serializer="raw", value_serializer="raw")
    triggers_out = app.topic(task.name("triggers"), key_serializer="raw", value_serializer="raw")
    profiles = app.Table(
        "profiles",
        partitions=task.partitions,
        key_type=bytes,  # stored as bytes, not as JSON
        value_type=bytes,
        changelog_topic=app.topic(task.name("profiles"), key_serializer="raw", value_serializer="raw"),
    )

    async def fold(values: Any) -> None:
        async for key, value in values.items():
            task.begin()
            event = read_event(key, value)
            if event is not None:
                profile = unpack(profiles.get(key))
                interactions, triggers = job.handle(event, profile)
                profiles[key] = pack(profile)
                for interaction in interactions:
                    await interactions_out.send(key=key, value=interaction)
                for trigger in triggers:
                    await triggers_out.send(key=key, value=trigger)
            task.count()

    app.agent(source, name="fold")(fold)
    run(app)


if __name__ == "__main__":
    main(Task.from_arguments())
