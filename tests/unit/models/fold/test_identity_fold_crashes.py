"""Processes die at every commit of both partitions while a visitor logs in; each event still counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agents.fold_customers import fold_customers
from agents.route_events import route_events
from models.events import Event, encode_event
from models.fold.unlinked import SplitSource
from models.identity.split_plan import plan_split
from models.identity.splitting import PairOfIds
from models.log import encode_control, opening
from models.profile.codec import unpack
from models.profile.state import Customer
from stream.engine.testing import Crash, MemoryPartition, MemoryRecord, Relay, Stateful, process

VISITOR, USER = "anonymous:a1", "u1"
AT = 1_700_000_000_000
FOLD = Stateful(
    name="fold",
    topic="events",
    state="profiles",
    max_records=2,
    agent=lambda state, wake: lambda batches: fold_customers(batches, state=state),
)
ROUTER = Relay(name="route", topics=("outcomes",), max_records=1, agent=lambda state, wake: route_events)


def happens(number: int, user: str, type_: Any, **more: Any) -> Event:
    return Event(id=f"m{number}", user=user, type=type_, at=AT + number, item="sku1", **more)


class Log:
    """One partition of the log, with the commits of the lane that reads it."""

    def __init__(self) -> None:
        self.records: list[MemoryRecord] = []
        self.partition = MemoryPartition()
        self.add(*encode_control(opening("wall")))

    def add(self, key: bytes | None, value: bytes | None) -> None:
        offset = len(self.records)
        self.records.append(MemoryRecord(offset, key, value, AT + offset))

    def tell(self, *events: Event) -> None:
        for event in events:
            self.add(event.user.encode(), encode_event(event))

    def fold(self, crashes: Sequence[Crash] = ()) -> list[tuple[bytes, bytes]]:
        """Fold up to the end, with crashes, and return the new records of ``outcomes``."""
        before = len(self.partition.outputs)
        asyncio.run(process(FOLD, self.records, partition=self.partition, crashes=crashes))
        found = self.partition.outputs[before:]
        return [(one.key, one.value) for one in found if one.topic == "outcomes" and one.value is not None]

    def user(self, user: str) -> Customer:
        return unpack(self.partition.state[user.encode()])


def routed(records: Sequence[tuple[bytes, bytes]], target: Log) -> None:
    """Let the router write records into a log."""
    waiting = [MemoryRecord(offset, *one, timestamp=AT + 100) for offset, one in enumerate(records)]
    partition = asyncio.run(process(ROUTER, waiting))
    for output in partition.outputs:
        target.add(output.key, output.value)


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
@pytest.mark.parametrize("commit", [1, 2])
def test_a_visitor_is_merged_once_wherever_a_process_dies(moment: Any, commit: int) -> None:
    visitors, users = Log(), Log()
    visitors.tell(*(happens(number, VISITOR, "click") for number in range(4)))
    users.tell(*(happens(number, USER, "click") for number in range(10, 13)))
    users.tell(happens(20, USER, "identify", anonymous=VISITOR))
    visitors.fold()
    routed(users.fold([Crash(commit, moment)]), visitors)
    visitors.tell(happens(5, VISITOR, "click"), happens(5, VISITOR, "click"), happens(6, VISITOR, "click"))
    crash = Crash(visitors.partition.attempts + commit, moment)
    routed(visitors.fold([crash]), users)
    users.fold([Crash(users.partition.attempts + 1, moment)])

    assert users.user(USER).facts.events == {"click": 9, "identify": 1}
    assert visitors.user(VISITOR).facts.events == {}


@pytest.mark.parametrize("moment", ["before commit", "after commit"])
@pytest.mark.parametrize("has_moved_on", [False, True])
def test_a_link_is_split_once_wherever_a_process_dies(moment: Any, has_moved_on: bool) -> None:
    """The visitor may have logged in as another user since; then the content of the record goes there."""
    logs = {VISITOR: Log(), USER: Log(), "u2": Log()}
    logs[VISITOR].tell(*(happens(number, VISITOR, "click") for number in range(4)))
    logs[USER].tell(happens(10, USER, "click"), happens(20, USER, "identify", anonymous=VISITOR))
    routed(logs[USER].fold(), logs[VISITOR])
    logs[VISITOR].tell(happens(5, VISITOR, "click"), happens(6, VISITOR, "click"))
    routed(logs[VISITOR].fold(), logs[USER])
    logs[USER].fold()
    if has_moved_on:
        logs["u2"].tell(happens(30, "u2", "identify", anonymous=VISITOR))
        routed(logs["u2"].fold(), logs[VISITOR])
        routed(logs[VISITOR].fold(), logs["u2"])
    pair = PairOfIds(USER, VISITOR)
    plan = plan_split(pair, logs[USER].user(USER).identity, logs[VISITOR].user(VISITOR).identity, AT + 900, "s1")
    for user in (VISITOR, USER):
        log = logs[user]
        source = SplitSource(plan, 0)
        source.take(log.records)
        log.add(*encode_control(source.fold.control(plan, user, 6)))
        log.tell(happens(40, user, "click"))
        commits = log.partition.attempts
        routed(log.fold([Crash(commits + 1, moment)]), logs["u2"])
    logs["u2"].fold()

    assert logs[USER].user(USER).facts.events == {"click": 2, "identify": 1}
    assert logs[VISITOR].user(VISITOR).facts.events == ({} if has_moved_on else {"click": 7})
    if has_moved_on:
        assert logs["u2"].user("u2").facts.events == {"click": 7, "identify": 1}
