"""Quix Streams: a streaming dataframe that decodes every event; offsets are committed as Quix does by default."""

from __future__ import annotations

from quixstreams import Application

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event


def application(task: Task, name: str) -> Application:
    return Application(
        broker_address=task.servers,
        consumer_group=task.name(name),
        auto_offset_reset="earliest",
        state_dir=task.folder,
        loglevel="ERROR",
        consumer_extra_config={"session.timeout.ms": 6_000},
    )


def main(task: Task) -> None:
    app = application(task, "engine")
    source = app.topic(task.topic, key_deserializer="bytes", value_deserializer="bytes")

    def decode(value: bytes, key: bytes, timestamp: int, headers: object) -> None:
        task.begin()
        read_event(key, value)
        task.count()

    app.dataframe(source).update(decode, metadata=True)
    app.run()


if __name__ == "__main__":
    main(Task.from_arguments())
