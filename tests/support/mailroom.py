"""Delivery of e-mail in memory, behind the folds of :class:`tests.support.persons.Persons`."""

from __future__ import annotations

from collections.abc import Callable

from models.batch import Batch, Output, Restored
from models.delivery.calls import Call, CallTerms
from models.delivery.deliveries import Result, decode_delivery
from models.delivery.messages import Message
from models.delivery.queue import DeliveryQueue
from models.delivery.step import DeliveryStep
from tests.support.event_logs import PartitionRecord
from tests.support.persons import Persons

TOPIC = "messages.email"


def _delivered(_: Call) -> Result:
    return Result("delivered", "250 ok")


class Mailroom:
    """The delivering lanes of all partitions. Messages wait until a test lets some of them leave.

    Parameters
    ----------
    persons
        The folds; outcomes go back to them.

    Attributes
    ----------
    sent
        Messages that a provider has accepted, the first one first.
    """

    def __init__(self, persons: Persons) -> None:
        self.sent: list[Message] = []
        self._persons = persons
        self._states = [Restored(partition=number) for number in range(len(persons.logs))]
        self._logs: list[list[PartitionRecord]] = [[] for _ in self._states]
        self._read = 0
        self._queues = [self._queue(state) for state in self._states]

    def work(self, calls: int = 0, answer: Callable[[Call], Result] = _delivered) -> None:
        """Read what the folds have written, and let at most ``calls`` messages of each partition leave."""
        for output in self._persons.written[self._read :]:
            if output.topic == TOPIC:
                log = self._logs[self._persons.partition_of(output.key.decode())]
                log.append(PartitionRecord(len(log), self._persons.now, output.key, output.value))
        self._read = len(self._persons.written)
        for number, queue in enumerate(self._queues):
            self._work(number, queue, calls, answer)

    def restart(self) -> None:
        """Begin each lane again with its committed state, as after the death of its process."""
        self._queues = [self._queue(state) for state in self._states]

    @property
    def waiting(self) -> int:
        """Number of messages that wait."""
        return sum(queue.waiting for queue in self._queues)

    @property
    def statuses(self) -> dict[str, str]:
        """Status of each message, by id."""
        return {
            key.decode(): decode_delivery(value).status
            for state in self._states
            for key, value in state.records.items()
        }

    def _queue(self, state: Restored) -> DeliveryQueue:
        queue = DeliveryQueue(state.records, state.memo, CallTerms("process"))
        assert queue.resume(queue.step(self._persons.now), lambda *_: False) == []
        return queue

    def _work(self, number: int, queue: DeliveryQueue, calls: int, answer: Callable[[Call], Result]) -> None:
        state, log = self._states[number], self._logs[number]
        step = queue.step(self._persons.now)
        queue.withdraw_stopped(step)
        records = log[state.position :]
        queue.admit(step, Batch(TOPIC, number, records))
        queue.sweep(step)
        begun = queue.begin(step, calls)
        self._commit(number, step, len(log))
        step = queue.step(self._persons.now)
        queue.withdraw_stopped(step)
        for call in begun:
            result = answer(call)
            if result.status == "delivered":
                self.sent.append(call.message)
            queue.settle(step, call.message.id, result)
        queue.sweep(step)
        self._commit(number, step, len(log))

    def _commit(self, number: int, step: DeliveryStep, position: int) -> None:
        self._states[number].apply(step.outputs.commit, position)
        outcomes: list[Output] = [one for one in step.outputs.commit.records if one.topic == "outcomes"]
        self._persons.report(outcomes)
