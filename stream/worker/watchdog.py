"""Ends a worker that stands still although there is work: its supervisor starts another one.

A Kafka consumer is known to stop silently, a bug may hold an agent for ever, and what blocks the event loop blocks
every answer about it as well. So a thread looks every second whether each lane moves, and counts the seconds in which
it does not. It counts looks and asks no clock: a process that was frozen for a while has not stood still.

Nobody is ended for what others do: a lane that waits for a commit, for its state or for a provider is bounded by their
own time limits, and whatever else looks like standing still is believed only when a connection of its own to Kafka
finds records that wait. So a broker that is away or full ends no worker. A process to which nothing is assigned has no
lanes that could stand still: there the group is asked, and a process ends that the group goes on without.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import faulthandler
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.processes import exits
from stream.processes.heartbeat import HeartbeatWriter

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PROBE_WITHIN_S = 5.0


class Watched(Protocol):
    """What the watchdog wants to know of a lane; :class:`stream.engine.lanes.LaneReport` is one."""

    @property
    def topic(self) -> str:
        """Logical topic."""

    @property
    def partition(self) -> int:
        """Its number."""

    @property
    def position(self) -> int | None:
        """Offset behind the last committed record."""

    @property
    def excused(self) -> bool:
        """Whether it waits for something that has its own time limit, or has nothing to do."""

    @property
    def pulse(self) -> object:
        """Changes whenever the lane, or the reading of its partition, has moved."""


class Membership(NamedTuple):
    """Where this process stands in its group.

    Attributes
    ----------
    group, member
        Id of the group, and the name that it gave this process; empty while it has given none.
    assigned
        Whether the group has said which partitions are this process's, if only that none is, and is not about to say it
        anew.
    """

    group: str
    member: str
    assigned: bool


class Report(NamedTuple):
    """What the event loop answers to a look.

    Attributes
    ----------
    lanes
        All of this process.
    told
        What the supervisor shall know.
    membership
        Where it stands in its group; ``None``: it needs none.
    """

    lanes: Sequence[Watched]
    told: Mapping[str, Any]
    membership: Membership | None = None


class Stillness:
    """Counts for how many looks in a row each lane has not moved.

    Parameters
    ----------
    patience
        After so many it stands still.

    Examples
    --------
    >>> from types import SimpleNamespace as Lane
    >>> lane = Lane(topic="events", partition=0, position=5, excused=False, pulse=1)
    >>> still = Stillness(patience=2)
    >>> [len(still.look([lane])) for _ in range(4)]
    [0, 0, 1, 1]
    >>> still.forgive(lane)
    >>> len(still.look([lane]))
    0
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._seen: dict[tuple[str, int], tuple[object, int]] = {}

    def look(self, lanes: Sequence[Watched]) -> list[Watched]:
        """Note how the lanes stand; returns those that stand still."""
        before, self._seen = self._seen, {}
        still: list[Watched] = []
        for lane in lanes:
            place = lane.topic, lane.partition
            pulse, looks = before.get(place, (None, -1))
            looks = 0 if lane.excused or looks < 0 or pulse != lane.pulse else looks + 1
            self._seen[place] = lane.pulse, looks
            if looks >= self._patience:
                still.append(lane)
        return still

    def forgive(self, lane: Watched) -> None:
        """Begin its count anew."""
        self._seen.pop((lane.topic, lane.partition), None)


class Watchdog:
    """Watches one worker from a thread of its own.

    Parameters
    ----------
    loop
        The worker's event loop.
    ask
        Called in it; tells how things stand.
    records_wait
        Whether records wait in a lane's partition, found over a connection of its own; ``False`` where Kafka does not
        answer. Called in the watchdog's thread.
    left_out
        Whether a group goes on without this process, found in the same way.
    patience
        Looks, a second apart, after which standing still is too long.
    beats
        Where the supervisor listens.
    on_stall
        Ends this process.
    every_s
        Seconds between two looks.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Callable[[], Report],
        records_wait: Callable[[Watched], bool],
        left_out: Callable[[Membership], bool],
        *,
        patience: int,
        beats: HeartbeatWriter | None = None,
        on_stall: Callable[[str], None] | None = None,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._loop = loop
        self._ask = ask
        self._records_wait = records_wait
        self._left_out = left_out
        self._idle_looks = 0
        self._patience = patience
        self._beats = beats
        self._leave = on_stall or _leave
        self._every_s = every_s
        self._stillness = Stillness(patience)
        self._over = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once, also where a probe is on its way."""
        self._over.set()
        self._soon.set()

    def hurry(self) -> None:
        """Look now: there is something that the supervisor should know at once."""
        self._soon.set()

    def _watch(self) -> None:
        asked: concurrent.futures.Future[Report] | None = None
        unanswered = 0
        while not self._pause_is_last():
            asked = asked or self._put_question()
            try:
                report = asked.result(timeout=self._every_s)
            except TimeoutError:
                unanswered += 1
                if unanswered * 2 >= self._patience:  # each of these looks has lasted twice as long
                    self._leave_blocked()
                    return
                continue
            except RuntimeError as error:
                log.info("the watchdog ends: %s", error)  # the loop is closed
                return
            asked, unanswered = None, 0
            if self._beats is not None:
                self._beats.send(report.told)
            stalled = self._stalled(report.lanes) or self._outside(report)
            if stalled is not None and not self._over.is_set():
                self._leave(stalled)
                return

    def _pause_is_last(self) -> bool:
        self._soon.wait(self._every_s)
        self._soon.clear()
        return self._over.is_set()

    def _put_question(self) -> concurrent.futures.Future[Report]:
        answer: concurrent.futures.Future[Report] = concurrent.futures.Future()

        def tell() -> None:
            try:
                answer.set_result(self._ask())
            except Exception as error:  # noqa: BLE001 - raised again where it was asked
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError as error:  # the loop is closed
            answer.set_exception(error)
        return answer

    def _stalled(self, lanes: Sequence[Watched]) -> str | None:
        for lane in self._stillness.look(lanes):
            if self._records_wait(lane):
                return (
                    f"{lane.topic}-{lane.partition} has stood still at {lane.position} for {self._patience} s, "
                    f"and records wait behind that"
                )
            self._stillness.forgive(lane)
        return None

    def _outside(self, report: Report) -> str | None:
        membership = report.membership
        if membership is None or (report.lanes and membership.assigned):
            self._idle_looks = 0
            return None
        self._idle_looks += 1
        if self._idle_looks < self._patience:
            return None
        self._idle_looks = 0
        if not self._left_out(membership):
            return None
        return f"{membership.group} has gone on without this process for {self._patience} s"

    def _leave_blocked(self) -> None:
        faulthandler.dump_traceback()  # where it hangs
        self._leave(f"the event loop has stood still for {self._patience} s")


def _leave(reason: str) -> None:
    exits.leave(reason, exits.STALLED)


def records_wait(connection: Connection, lane: Watched) -> bool:
    """Whether Kafka, asked over a connection of its own, has records behind a lane's position."""
    from kafka import IsolationLevel, OffsetSpec, TopicPartition

    place = TopicPartition(connection.topic(lane.topic), lane.partition)
    try:
        with admin(connection, timeout_s=PROBE_WITHIN_S) as client:
            found = client.list_partition_offsets(
                {place: OffsetSpec.LATEST}, IsolationLevel.READ_COMMITTED, timeout_ms=int(PROBE_WITHIN_S * 1_000)
            )
    except BrokerUnavailable as error:
        log.info("the watchdog got no answer from Kafka: %r", error)
        return False
    return int(found[place].offset) > (lane.position or 0)


_DECIDED = ("Stable", "Empty", "Dead")
"""States of a group that shares nothing anew; Kafka itself ends the others soon, whoever hangs in them."""


def left_out(connection: Connection, membership: Membership) -> bool:
    """Whether Kafka says that a group has decided who has what, and this process has no part in it, or hears of none.

    One that stands by is a member, and knows that nothing is its own. What the embedded broker says of groups
    kafka-python cannot read.
    """
    if not connection.transactions:
        return False
    try:
        with admin(connection, timeout_s=PROBE_WITHIN_S) as client:
            found = client.describe_groups([membership.group])[membership.group]
    except BrokerUnavailable as error:
        log.info("the watchdog got no answer from Kafka: %r", error)
        return False
    if found["group_state"] not in _DECIDED:
        return False
    return not membership.assigned or membership.member not in {one["member_id"] for one in found["members"]}
