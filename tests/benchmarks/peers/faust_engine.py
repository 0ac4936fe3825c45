"""Stock Faust: an agent that decodes every event; Faust acknowledges.

It uses Faust's defaults with two exceptions: the topics exist already, and there is no web server. The session of its
group is short, because the embedded broker delays a join to a group for half a session.
"""

from __future__ import annotations

from typing import Any

import faust

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event


def application(task: Task, name: str) -> faust.App:
    return faust.App(
        task.name(name),
        broker=f"kafka://{task.servers}",
        store="memory://",
        topic_partitions=task.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=task.folder,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
    )


def run(app: faust.App) -> None:
    app.Worker(loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


def main(task: Task) -> None:
    app = application(task, "engine")
    source = app.topic(task.topic, key_serializer="raw", value_serializer="raw")

    async def decode(values: Any) -> None:
        async for key, value in values.items():
            task.begin()
            read_event(key, value)
            task.count()

    app.agent(source, name="decode")(decode)
    run(app)


if __name__ == "__main__":
    main(Task.from_arguments())
