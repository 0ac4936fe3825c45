"""Bytewax at the pipeline's job: a stateful map by user, in one worker, with recovery.

It follows the documentation ("Stateful operators", "Recovery"). The state of each key is snapshotted into a SQLite
store at the end of every epoch of ten seconds (the default). Bytewax's Kafka sink writes the results.
"""

from __future__ import annotations

from datetime import timedelta

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from models.events import Event
from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.bytewax_engine import CountingSink, source
from tests.benchmarks.peers.job import Job, pack, unpack
from tests.benchmarks.peers.wire import read_event

EPOCH = timedelta(seconds=10)


def main(task: Task) -> None:
    job = Job()
    flow = Dataflow("pipeline")

    def decode(batch: list[KafkaSourceMessage]) -> list[tuple[str, Event]]:
        task.begin()
        events = [read_event(record.key, record.value) for record in batch]
        task.count(events.count(None))  # control records of the log
        return [(event.user, event) for event in events if event is not None]

    def fold(state: bytes | None, event: Event) -> tuple[bytes, tuple[list[bytes], list[bytes]]]:
        profile = unpack(state)
        written = job.handle(event, profile)
        return pack(profile), written

    def messages(which: int) -> object:
        def of(item: tuple[str, tuple[list[bytes], list[bytes]]]) -> list[KafkaSinkMessage]:
            user, written = item
            return [KafkaSinkMessage(user.encode(), value) for value in written[which]]

        return of

    records = op.input("read", flow, source(task))
    folded = op.stateful_map("fold", op.flat_map_batch("decode", records, decode), fold)
    for which, name in enumerate(("interactions", "triggers")):
        out = op.flat_map(f"{name}-of", folded, messages(which))
        op.output(name, out, KafkaSink(brokers=[task.servers], topic=task.name(name)))
    op.output("count", op.map("one", folded, lambda _: 1), CountingSink(task))
    store = task.folder / "recovery"
    store.mkdir()
    init_db_dir(store, 1)
    cli_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(store))


if __name__ == "__main__":
    main(Task.from_arguments())
