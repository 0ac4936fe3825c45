"""A campaign over many users through a worker on a broker: the worker is killed in the middle, and starts again."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from models.batch import Batch, Restored
from models.configuration.campaigns.definition import Campaign
from models.configuration.compiled import Configuration, encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.campaigns.orders import is_held_out, share_of
from models.events import Event, encode_event
from models.fold.partition import PartitionFold
from models.log import EVENTS, Use, encode_control, opening
from models.units import SECOND, now_ms
from stream.cluster.connection import Connection
from stream.cluster.topics import create
from stream.log.campaigns import give_order
from stream.log.event_log import EventLog
from tests.benchmarks import worker
from tests.benchmarks.broker import Broker
from tests.benchmarks.feeding import feed
from tests.support.campaign_logs import start
from tests.support.event_logs import PartitionRecord
from tests.support.topic_reading import read_all

RULE = "campaign/sale"
PATIENCE_S = 240.0
"""How long to wait for a step of the run, seconds."""
_SETTLE_S = 3.0


class CampaignPlan(NamedTuple):
    """A run.

    Attributes
    ----------
    users, partitions
        Number of users and of partitions.
    over, wait
        Time over which the campaign is spread, and time after the first percent, seconds.
    probes
        Number of triggered messages per second beside the campaign.
    before
        Time for which they are measured before the campaign, seconds.
    kills
        Number of times at which the worker is killed.
    """

    users: int
    partitions: int = 8
    over: int = 60
    wait: int = 5
    probes: int = 10
    before: int = 10
    kills: int = 1


@dataclass
class CampaignOutcome:
    """The content of the topics after the run.

    Attributes
    ----------
    decisions
        Decisions about the campaign, by user.
    expected
        The expected outcome or reason of each user of the audience.
    differences
        Differences from a fold of the same log without a worker.
    repeated_bytes
        Number of records that exist twice with the same bytes; only a broker without transactions may have them.
    late_before, late_during
        Time from a triggering event to its message, before the campaign and while it was sent, milliseconds, sorted.
    early
        Number of users beyond the first percent who were decided before its time was over.
    seconds
        Time from the order to the last decision.
    """

    decisions: dict[str, list[str]] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    repeated_bytes: int = 0
    late_before: list[float] = field(default_factory=list)
    late_during: list[float] = field(default_factory=list)
    early: int = 0
    seconds: float = 0.0

    @property
    def skipped(self) -> list[str]:
        """Users of the audience without a decision."""
        return sorted(user for user in self.expected if user not in self.decisions)

    @property
    def repeated(self) -> list[str]:
        """Users with several decisions."""
        return sorted(user for user, found in self.decisions.items() if len(found) > 1)

    @property
    def wrong(self) -> list[str]:
        """Users with another decision than expected."""
        wanted = self.expected
        return sorted(user for user, found in self.decisions.items() if found[0] != wanted.get(user))


def configuration(plan: CampaignPlan) -> Configuration:
    """Return the configuration: the campaign, and a rule whose messages are triggered meanwhile."""
    text = Template(subject="Hello {{ traits.plan }}", text="T. {{ unsubscribe_url }}", fallback="Subject: H\n\nT.")
    campaign = {
        "name": "sale",
        "audience": {"trait": "plan", "is": "pro"},
        "send": "sale",
        "pace": {"over": f"{plan.over}s", "first": ["1%", {"then_wait": f"{plan.wait}s"}]},
        "holdout": "5%",
    }
    rule = {"name": "receipt", "category": "transactional", "when": {"event": "Probe"}}
    return parse({"campaigns": [campaign], "rules": [rule]}, {"sale": text, "receipt": text})


def users(plan: CampaignPlan) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield id, traits and consent of each user."""
    for number in range(plan.users):
        traits = {"plan": "free" if number % 10 == 9 else "pro", "email": f"u{number}@example.org"}
        yield f"u{number}", traits, number % 7 != 0


def expected(plan: CampaignPlan, campaign: Campaign) -> dict[str, str]:
    """Return the outcome or reason for each user of the audience."""
    found: dict[str, str] = {}
    for user, traits, has_consent in users(plan):
        if traits["plan"] == "pro":
            found[user] = "held_out" if is_held_out(campaign, user) else "sent" if has_consent else "no_consent"
    return found


async def run(broker: Broker, plan: CampaignPlan, folder: Path) -> CampaignOutcome:
    """Run the campaign, and compare what the topics have with a fold of the log."""
    connection, applied = broker.connection(), configuration(plan)
    campaign = applied.campaigns[0]
    await asyncio.to_thread(create, connection, plan.partitions)
    await feed(connection, connection.topic(EVENTS), plan.partitions, _history(plan, applied))
    outcome = CampaignOutcome(expected=expected(plan, campaign))
    process = worker.start("fold", connection, plan.partitions, folder)
    try:
        await _until(lambda: process.sample().folded >= 2 * plan.users, "folding the users")
        async with _probing(connection, plan) as probes:
            await asyncio.sleep(plan.before)
            ordered = now_ms()
            await give_order(connection, plan.partitions, start(campaign))
            for number in range(plan.kills):
                at = ordered + (plan.wait + plan.over * (number + 1) / (plan.kills + 1)) * SECOND
                await asyncio.sleep(max(0.0, (at - now_ms()) / SECOND))
                process.kill()
                process = worker.start("fold", connection, plan.partitions, folder)
            await asyncio.sleep(max(0.0, (ordered + (plan.wait + plan.over) * SECOND - now_ms()) / SECOND))
            await _until_decided(connection, len(outcome.expected))
        await asyncio.sleep(_SETTLE_S)
    finally:
        process.stop()
    await _compare(connection, plan, campaign, ordered, outcome)
    outcome.late_before, outcome.late_during = await probes.lateness(connection, ordered)
    return outcome


def _history(plan: CampaignPlan, applied: Configuration) -> Iterator[tuple[bytes, bytes]]:
    yield encode_control(opening("wall"))
    yield encode_control(Use("configuration", 1, msgspec.Raw(encode(applied))))
    now = now_ms() - 60 * SECOND
    for user, traits, has_consent in users(plan):
        known = Event(id=f"i-{user}", user=user, type="identify", at=now, traits=traits)
        said = Event(id=f"c-{user}", user=user, type="consent", at=now, channel="email", granted=has_consent)
        yield user.encode(), encode_event(known)
        yield user.encode(), encode_event(said)


class TriggerProbes:
    """Events that trigger messages, and the times at which they were written, by user, milliseconds."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"TriggerProbes({len(self.written)} written)"

    async def lateness(self, connection: Connection, ordered: int) -> tuple[list[float], list[float]]:
        """Return the times until the messages were in their topic: of events before the order, and after it."""
        found: tuple[list[float], list[float]] = ([], [])
        for record in await read_all(connection, "messages.email"):
            message = json.loads(record.value)
            at = self.written.get(message.get("user", ""))
            if at is not None:
                found[at >= ordered].append(float(record.timestamp - at))
        return sorted(found[0]), sorted(found[1])


@asynccontextmanager
async def _probing(connection: Connection, plan: CampaignPlan) -> AsyncIterator[TriggerProbes]:
    probes = TriggerProbes()

    async def write() -> None:
        async with EventLog(connection, plan.partitions) as log:
            for number in range(1_000_000):
                user, at = f"p{number}", now_ms()
                traits = {"email": f"{user}@example.org"}
                await log.append(
                    [
                        Event(id=f"t-{user}", user=user, type="identify", at=at, traits=traits),
                        Event(id=f"e-{user}", user=user, type="custom", name="Probe", at=at, trust="server"),
                    ]
                )
                probes.written[user] = at
                await asyncio.sleep(1 / plan.probes)

    task = asyncio.create_task(write())
    try:
        yield probes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition: Any, doing: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(doing)
        await asyncio.sleep(0.2)


async def _until_decided(connection: Connection, number: int) -> None:
    """Wait until the decisions about this number of users are in their topic, or until patience ends."""
    end = time.monotonic() + PATIENCE_S
    for _ in iter(lambda: time.monotonic() < end, False):
        if len({key for key, _ in await _decided(connection)}) >= number:
            return
        await asyncio.sleep(1)


async def _decided(connection: Connection) -> list[tuple[bytes, bytes]]:
    return [(one.key, one.value) for one in await read_all(connection, "decisions") if _is_of_campaign(one.value)]


def _is_of_campaign(value: bytes | None) -> bool:
    return value is not None and bool(json.loads(value).get("rule") == RULE)


async def _compare(
    connection: Connection, plan: CampaignPlan, campaign: Campaign, ordered: int, outcome: CampaignOutcome
) -> None:
    found = await _decided(connection)
    log: dict[int, list[PartitionRecord]] = {}
    for record in await read_all(connection, EVENTS):
        one = PartitionRecord(record.offset, record.timestamp, record.key, record.value)
        log.setdefault(record.partition, []).append(one)
    wanted = [pair for number, records in log.items() for pair in _folded(number, records)]
    once, again = Counter(found), Counter(wanted)
    outcome.repeated_bytes = len(found) - len(once)
    missing, further = again.keys() - once.keys(), once.keys() - again.keys()
    outcome.differences = [f"missing: {pair!r}" for pair in missing] + [f"further: {pair!r}" for pair in further]
    last = 0
    for key, value in once:
        decision = json.loads(value)
        user = key.decode()
        outcome.decisions.setdefault(user, []).append(decision.get("reason") or decision["outcome"])
        last = max(last, decision["at"])
        is_first = share_of(campaign.name, user) < campaign.pace.first
        outcome.early += not is_first and decision["at"] < ordered + campaign.pace.then_wait
    outcome.seconds = (last - ordered) / SECOND


def _folded(partition: int, records: list[PartitionRecord]) -> Iterator[tuple[bytes, bytes]]:
    state = Restored(partition=partition)
    fold = PartitionFold(state)
    for begin in range(0, len(records), 500):
        batch = Batch(EVENTS, partition, records[begin : begin + 500])
        for outputs in fold.slices(batch):
            state.apply(outputs.commit, state.checkpoint(outputs.commit, batch.records[-1].offset + 1).position)
            for topic, key, value in outputs.commit.records:
                if topic == "decisions" and value is not None and _is_of_campaign(value):
                    yield key or b"", value
