"""Bytewax: a dataflow that decodes every event, in one worker."""

from __future__ import annotations

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from tests.benchmarks.peers.answer import Task
from tests.benchmarks.peers.wire import read_event

BATCH = 10_000


class Counted(StatelessSinkPartition[int]):  # type: ignore[misc]  # Bytewax is installed in another environment
    """Sink at the end of the dataflow, which Bytewax requires."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def write_batch(self, items: list[int]) -> None:
        self.task.count(len(items))


class CountingSink(DynamicSink[int]):  # type: ignore[misc]  # for the same reason
    def __init__(self, task: Task) -> None:
        self.task = task

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Counted:
        return Counted(self.task)


def source(task: Task) -> KafkaSource:
    return KafkaSource(brokers=[task.servers], topics=[task.topic], batch_size=BATCH, tail=True)


def main(task: Task) -> None:
    flow = Dataflow("engine")

    def decode(batch: list[KafkaSourceMessage]) -> list[int]:
        task.begin()
        return [read_event(record.key, record.value) is not None for record in batch]

    records = op.input("read", flow, source(task))
    op.output("count", op.flat_map_batch("decode", records, decode), CountingSink(task))
    cli_main(flow)


if __name__ == "__main__":
    main(Task.from_arguments())
