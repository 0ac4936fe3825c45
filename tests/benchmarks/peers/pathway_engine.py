"""Pathway: a table of raw messages whose rows a function decodes, in one worker.

It follows the documentation ("Kafka connectors", "User-defined functions", "Null output"). Without
``autogenerate_key``, each message of a user would replace the previous one. The reader commits its position to the
group, as librdkafka does by default.
"""

from __future__ import annotations

import pathway as pw

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event

MAX_BACKLOG = 50_000
"""Maximum number of rows in work; the documentation advises a few tens of thousands for a topic with a backlog."""
COMMIT_MS = 100
"""How long rows are gathered into one step. The first step is read before the stopwatch starts, so it must be short."""
MAX_ROWS = 1_024
"""Maximum number of rows of one call; Pathway evaluates expressions in batches of this size."""


def source(task: Task, name: str, max_backlog: int) -> pw.Table:
    return pw.io.kafka.read(
        {
            "bootstrap.servers": task.servers,
            "group.id": task.name(name),
            "auto.offset.reset": "earliest",
            "session.timeout.ms": "6000",
        },
        topic=task.topic,
        format="raw",
        autogenerate_key=True,
        autocommit_duration_ms=COMMIT_MS,
        max_backlog_size=max_backlog,
        name="events",
    )


def main(task: Task) -> None:
    @pw.udf(max_batch_size=MAX_ROWS)  # type: ignore[untyped-decorator]  # Pathway is installed in another environment
    def decode(keys: list[bytes | None], values: list[bytes | None]) -> list[bool]:
        task.begin()
        decoded = [read_event(key, value) is not None for key, value in zip(keys, values, strict=True)]
        task.count(len(decoded))
        return decoded

    records = source(task, "engine", MAX_BACKLOG)
    pw.io.null.write(records.select(is_event=decode(pw.this.key, pw.this.data)))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(Task.from_arguments())
