"""Trials of a configuration on the log of a broker, and a look ahead from the state of its workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import Event
from models.log import Tick, encode_control, is_control
from models.units import DAY, HOUR, MINUTE
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog
from stream.log.versions import publish
from stream.rebuild.trial import PlanComparison, look_ahead, try_log
from stream.transport.app import LaneApp
from stream.worker.topology import fold_agents
from tests.support.brokers import Cluster
from tests.support.event_logs import START
from tests.support.inprocess import running_app, until

PARTITIONS = 2
USERS = [f"u{number}" for number in range(12)]


class _Progress:
    """A receiver of the progress of a trial, which checks its order."""

    def __init__(self) -> None:
        self.partitions: list[int] = []
        self.positions: list[int] = []

    def planned(self, partition: int, records: int) -> None:
        assert records > 0
        self.partitions.append(partition)
        self.positions = []

    def folded(self, position: int, now: int) -> None:
        assert now >= 0
        self.positions.append(position)
        assert all(one < other for one, other in pairwise(self.positions))


def _reminding(after: str) -> Configuration:
    template = Template(subject="Your cart", text="It is still here. {{ unsubscribe_url }}")
    rules = [{"name": "cart", "when": {"cart_left": {"for": after}}, "expires_after": "3d"}]
    return parse({"timezone": "UTC", "rules": rules}, {"cart": template})


def _events() -> list[Event]:
    found = []
    for number, user in enumerate(USERS):
        at = START + number
        found.append(Event(id=f"i{user}", user=user, type="identify", at=at, traits={"email": f"{user}@example.org"}))
        found.append(Event(id=f"c{user}", user=user, type="consent", at=at, granted=True, channel="email"))
        found.append(Event(id=f"a{user}", user=user, type="cart_add", at=at, item="mug"))
    return found


def _has_folded_all(app: LaneApp) -> bool:
    states = [app.lanes.restored("events", partition) for partition in range(PARTITIONS)]
    users = sum(not is_control(key) for state in states if state is not None for key in state.records)
    return users == len(USERS) and all(lane.lag == 0 for lane in app.lanes.snapshot())


async def _sent_ahead(connection: Connection) -> AsyncIterator[tuple[str, int]]:
    for partition in range(PARTITIONS):
        async for _, _, decisions in look_ahead(connection, partition, DAY):
            for decision in decisions:
                if decision.outcome == "sent":
                    yield decision.user, decision.at - START


async def test_the_log_shows_what_changes_and_the_state_shows_what_comes(cluster: Cluster) -> None:
    present, proposed = _reminding("5h"), _reminding("8h")
    await asyncio.to_thread(topics.create, cluster.connection, PARTITIONS)
    async with EventLog(cluster.connection, PARTITIONS) as log:
        await log.ensure_clock("feeder")
        await publish(cluster.connection, present)
        await log.broadcast(*encode_control(Tick(at=START)))
        await log.append(_events())
        await log.broadcast(*encode_control(Tick(at=START + HOUR)))
        async with running_app(cluster.connection, fold_agents()) as app:
            await until(lambda: _has_folded_all(app))

        ahead: list[tuple[str, int]] = []
        async with asyncio.timeout(15):
            while len(ahead) < len(USERS):  # Kafka may show a commit some milliseconds after it has acknowledged it
                ahead = [one async for one in _sent_ahead(cluster.connection)]
        # The clock of a look ahead moves minute by minute.
        assert sorted(ahead) == sorted(
            (user, 5 * HOUR + (MINUTE if number else 0)) for number, user in enumerate(USERS)
        )

        for hour in range(2, 10):
            await log.broadcast(*encode_control(Tick(at=START + hour * HOUR)))
        progress = _Progress()
        found, span = await try_log(
            cluster.connection, PARTITIONS, PlanComparison(present, proposed, last=DAY), progress
        )
    assert found.totals == {"moved": len(USERS)}
    assert found.sent == {"cart": [len(USERS), len(USERS)]}
    assert (span.until, progress.partitions) == (START + 9 * HOUR, [0, 1])
