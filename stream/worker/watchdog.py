"""The watchdog ends a worker that stands still although there is work; its supervisor starts another one.

A Kafka consumer is known to stop silently, and a bug may hold an agent forever. Code that blocks the event loop also
blocks every answer about it. Therefore, a thread takes a sample each second, and counts the samples in which a lane
does not move. It counts samples and asks no clock, because a process that was frozen for a while has not stood still.

No worker is ended for the faults of others. A lane may wait for a commit, for its state or for a provider, because
each of these has its own timeout. Everything else that looks like standing still counts only if a separate connection
to Kafka finds records that wait. So no worker is ended because a broker does not answer or is full. A process without
partitions has no lanes that could stand still. For such a process, the watchdog asks the group, and ends the process if
the group has left it out.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import faulthandler
import logging
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.engine.reports import LaneReport
from stream.processes import exits
from stream.processes.heartbeat import HeartbeatWriter
from stream.processes.worker_report import WorkerReport

logger = logging.getLogger(__name__)

SAMPLE_EVERY_S = 1.0
"""Time between two samples, seconds."""
PROBE_WITHIN_S = 5.0
"""How long Kafka may take to answer the watchdog, seconds."""


class Membership(NamedTuple):
    """Place of this process in its group.

    Attributes
    ----------
    group, member
        Id of the group, and the name that it gave this process; the name is empty while it has given none.
    assigned
        Whether the group has said which partitions this process has, even if it has none, and is not about to reassign
        them.
    """

    group: str
    member: str
    assigned: bool


class Sample(NamedTuple):
    """State of a worker at one moment, from its event loop.

    Attributes
    ----------
    lanes
        All lanes of the process.
    report
        Report for the supervisor.
    membership
        Place in the group; ``None`` if the process needs no group.
    """

    lanes: Sequence[LaneReport]
    report: WorkerReport
    membership: Membership | None = None


class Patience(NamedTuple):
    """Limit of the time that a worker may stand still, in samples.

    Attributes
    ----------
    samples
        Number of samples after which standing still is too long.
    every_s
        Time between two samples, seconds.
    """

    samples: int
    every_s: float = SAMPLE_EVERY_S


class Stillness:
    """Counts for each lane the consecutive samples in which it has not moved.

    Parameters
    ----------
    patience
        Number of samples after which a lane stands still.

    Examples
    --------
    >>> from stream.engine.reports import Phase
    >>> lane = LaneReport("events", 0, Phase.READING, True, 5, 9, 4, 0.0, 0, pulse=1)
    >>> stillness = Stillness(patience=2)
    >>> [len(stillness.add_sample([lane])) for _ in range(4)]
    [0, 0, 1, 1]
    >>> stillness.reset(lane)
    >>> len(stillness.add_sample([lane]))
    0
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._seen: dict[tuple[str, int], tuple[object, int]] = {}

    def add_sample(self, lanes: Sequence[LaneReport]) -> list[LaneReport]:
        """Add a sample of all lanes; return those that stand still."""
        before, self._seen = self._seen, {}
        still: list[LaneReport] = []
        for lane in lanes:
            key = lane.topic, lane.partition
            pulse, count = before.get(key, (None, -1))
            count = 0 if lane.waiting_on_dependency or count < 0 or pulse != lane.pulse else count + 1
            self._seen[key] = lane.pulse, count
            if count >= self._patience:
                still.append(lane)
        return still

    def reset(self, lane: LaneReport) -> None:
        """Count a lane from zero again."""
        self._seen.pop((lane.topic, lane.partition), None)


class Probe(Protocol):
    """A separate connection that asks Kafka; called in the watchdog's thread."""

    def records_wait(self, lane: LaneReport) -> bool:
        """Return whether records wait in a lane's partition; ``False`` if Kafka does not answer."""

    def is_left_out(self, membership: Membership) -> bool:
        """Return whether the group continues without this process; ``False`` if Kafka does not answer."""


class Watchdog:
    """Watch one worker from a separate thread.

    Parameters
    ----------
    loop
        The worker's event loop.
    take_sample
        Called in that loop; returns the state of the worker.
    probe
        Asks Kafka.
    patience
        How long the worker may stand still.
    heartbeat
        Pipe to the supervisor; ``None`` if there is no supervisor.
    on_stall
        Called with the reason to end this process; ``None`` ends it with :data:`stream.processes.exits.STALLED`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take_sample: Callable[[], Sample],
        probe: Probe,
        patience: Patience,
        heartbeat: HeartbeatWriter | None = None,
        on_stall: Callable[[str], None] | None = None,
    ) -> None:
        self._loop = loop
        self._take_sample = take_sample
        self._probe = probe
        self._patience = patience
        self._heartbeat = heartbeat
        self._leave = on_stall or _leave
        self._stillness = Stillness(patience.samples)
        self._left_out_samples = 0
        self._over = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __repr__(self) -> str:
        return f"<Watchdog patience={self._patience.samples} running={self._thread.is_alive()}>"

    def start(self) -> None:
        """Begin; return immediately."""
        self._thread.start()

    def stop(self) -> None:
        """End; return immediately, even if a probe is in progress."""
        self._over.set()
        self._soon.set()

    def hurry(self) -> None:
        """Take a sample now, so that the supervisor gets its report immediately."""
        self._soon.set()

    def _watch(self) -> None:
        asked: concurrent.futures.Future[Sample] | None = None
        unanswered = 0
        while not self._pause_is_last():
            asked = asked or self._ask()
            try:
                sample = asked.result(timeout=self._patience.every_s)
            except TimeoutError:
                unanswered += 1
                if unanswered * 2 >= self._patience.samples:  # each of these samples has taken twice as long
                    self._leave_blocked()
                    return
                continue
            except RuntimeError as error:
                logger.info("the watchdog ends: %s", error)  # the loop is closed
                return
            asked, unanswered = None, 0
            if self._heartbeat is not None:
                self._heartbeat.send(sample.report)
            reason = self._stalled(sample.lanes) or self._left_out(sample)
            if reason is not None and not self._over.is_set():
                self._leave(reason)
                return

    def _pause_is_last(self) -> bool:
        self._soon.wait(self._patience.every_s)
        self._soon.clear()
        return self._over.is_set()

    def _ask(self) -> concurrent.futures.Future[Sample]:
        answer: concurrent.futures.Future[Sample] = concurrent.futures.Future()

        def give() -> None:
            try:
                answer.set_result(self._take_sample())
            except Exception as error:  # noqa: BLE001 - raised again in the watchdog's thread
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(give)
        except RuntimeError as error:  # the loop is closed
            answer.set_exception(error)
        return answer

    def _stalled(self, lanes: Sequence[LaneReport]) -> str | None:
        for lane in self._stillness.add_sample(lanes):
            if self._probe.records_wait(lane):
                return (
                    f"{lane.topic}-{lane.partition} has stood still at {lane.position} for {self._patience.samples} s, "
                    f"and records wait after that"
                )
            self._stillness.reset(lane)
        return None

    def _left_out(self, sample: Sample) -> str | None:
        membership = sample.membership
        if membership is None or (sample.lanes and membership.assigned):
            self._left_out_samples = 0
            return None
        self._left_out_samples += 1
        if self._left_out_samples < self._patience.samples:
            return None
        self._left_out_samples = 0
        if not self._probe.is_left_out(membership):
            return None
        return f"{membership.group} has continued without this process for {self._patience.samples} s"

    def _leave_blocked(self) -> None:
        faulthandler.dump_traceback()  # shows where it hangs
        self._leave(f"the event loop has stood still for {self._patience.samples} s")


def _leave(reason: str) -> None:
    exits.leave(reason, exits.STALLED)


_DECIDED = ("Stable", "Empty", "Dead")
"""States of a group that assigns nothing now. Kafka itself soon ends the other states."""


class KafkaProbe:
    """Probe that makes a separate connection for each question.

    Parameters
    ----------
    connection
        The cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def records_wait(self, lane: LaneReport) -> bool:
        """Return whether Kafka has records after a lane's position."""
        from kafka import IsolationLevel, OffsetSpec, TopicPartition

        partition = TopicPartition(self._connection.topic(lane.topic), lane.partition)
        try:
            with admin(self._connection, timeout_s=PROBE_WITHIN_S) as client:
                found = client.list_partition_offsets(
                    {partition: OffsetSpec.LATEST},
                    IsolationLevel.READ_COMMITTED,
                    timeout_ms=int(PROBE_WITHIN_S * 1_000),
                )
        except BrokerUnavailable as error:
            logger.info("the watchdog got no answer from Kafka: %r", error)
            return False
        return int(found[partition].offset) > (lane.position or 0)

    def is_left_out(self, membership: Membership) -> bool:
        """Return whether the group has assigned all partitions, and this process is no member or was not notified.

        A process that stands by is a member, and knows that it has no partitions. kafka-python cannot read the answers
        of the embedded broker about groups, so there the answer is ``False``.
        """
        if not self._connection.transactions:
            return False
        try:
            with admin(self._connection, timeout_s=PROBE_WITHIN_S) as client:
                found = client.describe_groups([membership.group])[membership.group]
        except BrokerUnavailable as error:
            logger.info("the watchdog got no answer from Kafka: %r", error)
            return False
        if found["group_state"] not in _DECIDED:
            return False
        return not membership.assigned or membership.member not in {one["member_id"] for one in found["members"]}
