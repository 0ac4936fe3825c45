"""Quix Streams at the pipeline's job: a stateful function over a streaming dataframe.

It follows the documentation ("Stateful processing"). State by message key is in RocksDB with a changelog topic, at
least once (the default), and ``to_topic`` writes the results.
"""

from __future__ import annotations

from quixstreams import State

from models.events import Event
from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.peers.quix_engine import application
from tests.benchmarks.peers.wire import read_event


def main(task: Task) -> None:
    job = Job()
    app = application(task, "pipeline")
    source = app.topic(task.topic, key_deserializer="bytes", value_deserializer="bytes")
    interactions_out = app.topic(task.name("interactions"), key_serializer="bytes", value_serializer="bytes")
    triggers_out = app.topic(task.name("triggers"), key_serializer="bytes", value_serializer="bytes")

    def decode(value: bytes, key: bytes, timestamp: int, headers: object) -> Event | None:
        task.begin()
        return read_event(key, value)

    def fold(event: Event | None, state: State) -> list[tuple[str, bytes]]:
        written: list[tuple[str, bytes]] = []
        if event is not None:
            profile = unpack(state.get_bytes("profile"))
            interactions, triggers = job.handle(event, profile)
            state.set_bytes("profile", pack(profile))
            written = [("interaction", one) for one in interactions] + [("trigger", one) for one in triggers]
        task.count()
        return written

    outputs = app.dataframe(source).apply(decode, metadata=True).apply(fold, stateful=True, expand=True)
    outputs.filter(lambda output: output[0] == "interaction").apply(lambda output: output[1]).to_topic(interactions_out)
    outputs.filter(lambda output: output[0] == "trigger").apply(lambda output: output[1]).to_topic(triggers_out)
    app.run()


if __name__ == "__main__":
    main(Task.from_arguments())
