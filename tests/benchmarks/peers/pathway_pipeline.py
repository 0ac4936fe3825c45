"""Pathway at the pipeline's job: a stateful reducer by user, in one worker, with persistence.

It follows the documentation ("Stateful reducers", "Persistence", "Kafka connectors"). The reducer gets all rows that a
user has in one step. Their order is not specified, so the reducer sorts them by time. Each new state of a user becomes
a row of a stream, and ``pw.io.kafka.write`` writes the outputs in it, sorted again. Rows count as handled when their
states have left the reducer. Without a licence key, Pathway persists its input and recomputes the state from it after
a restart; snapshots of the state need a key.
"""

from __future__ import annotations

from typing import Any

import pathway as pw

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.peers.pathway_engine import source
from tests.benchmarks.peers.wire import read_event

MAX_BACKLOG = 10_000
"""Maximum number of rows in work. The outputs of the last step are written after the last row is counted."""
SNAPSHOT_MS = 10_000
Outputs = tuple[tuple[int, bytes], ...]
"""Outputs of one user in one step, with their order."""
State = tuple[bytes, int, Outputs, Outputs]
"""Profile and number of rows so far of one user, with the interactions and triggers of the last step."""


def main(task: Task) -> None:
    job = Job()

    @pw.reducers.stateful_many  # type: ignore[untyped-decorator]  # Pathway is installed in another environment
    def fold(state: State | None, rows: list[tuple[list[bytes], int]]) -> State:
        task.begin()
        packed, handled = state[:2] if state else (None, 0)
        profile = unpack(packed)
        events = [read_event(key, value) for (key, value), times in rows for _ in range(times)]
        interactions: list[bytes] = []
        triggers: list[bytes] = []
        for event in sorted(filter(None, events), key=lambda event: event.at):
            written, caused = job.handle(event, profile)
            interactions += written
            triggers += caused
        return pack(profile), handled + len(events), tuple(enumerate(interactions)), tuple(enumerate(triggers))

    def count(key: pw.Pointer, row: dict[str, Any], time: int, is_addition: bool) -> None:
        if is_addition:
            task.count(row["handled"] - task.handled)

    records = source(task, "pipeline", MAX_BACKLOG)
    folded = records.groupby(pw.this.key).reduce(pw.this.key, state=fold(pw.this.key, pw.this.data))
    state = pw.declare_type(State, pw.this.state)
    users = folded.select(pw.this.key, handled=state[1], interactions=state[2], triggers=state[3])
    changes = users.to_stream()
    for name in ("interactions", "triggers"):
        numbered = changes.select(pw.this.key, output=pw.this[name]).flatten(pw.this.output)
        outputs = numbered.select(pw.this.key, order=pw.this.output[0], value=pw.this.output[1])
        pw.io.kafka.write(
            outputs,
            {"bootstrap.servers": task.servers},
            task.name(name),
            format="raw",
            key=outputs.key,
            value=outputs.value,
            headers=[outputs.order],  # only what the message holds can sort it
            sort_by=[outputs.order],
        )
    pw.io.subscribe(users.reduce(handled=pw.reducers.sum(pw.this.handled)), on_change=count)
    store = pw.persistence.Backend.filesystem(task.folder / "state")
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(store, snapshot_interval_ms=SNAPSHOT_MS),
    )


if __name__ == "__main__":
    main(Task.from_arguments())
