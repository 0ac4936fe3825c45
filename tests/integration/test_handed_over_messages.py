"""Marketing that waits at delivery when its visitors log in is sent once to each person, although processes die."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest

from models.batch import Record
from models.delivery.notices import HOLD_KEY, ChannelPaused, encode_notice
from models.engage.decisions import Decision
from models.events import ANONYMOUS, REPORTED, Event, decode_event
from stream.cluster import topics
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, partitions_of
from stream.log.event_log import EventLog
from stream.log.versions import publish
from stream.worker.topology import fold_agents
from tests.support.brokers import Cluster
from tests.support.inprocess import running_app
from tests.support.login_shop import configuration
from tests.support.mail import FakeMailServer, serving
from tests.support.processes import await_true
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
PARTITIONS, PEOPLE, EARLY = 2, 30, 15
RULE = {"name": "hello", "when": {"event": "hello"}, "template": "plain", "expires_after": "1d"}


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


def arrives(number: int) -> list[Event]:
    """Return the events of a visitor who gives an address and consent, and causes a message."""
    user, at = f"{ANONYMOUS}a{number}", time.time_ns() // 1_000_000
    return [
        Event(id=f"i{number}", user=user, type="identify", at=at, traits={"email": f"a{number}@example.com"}),
        Event(id=f"c{number}", user=user, type="consent", at=at, granted=True),
        Event(id=f"h{number}", user=user, type="custom", at=at, name="hello"),
    ]


def login(number: int) -> Event:
    at = time.time_ns() // 1_000_000
    return Event(id=f"l{number}", user=f"u{number}", type="identify", at=at, anonymous=f"{ANONYMOUS}a{number}")


async def set_pause(connection: Connection, *, paused: bool) -> None:
    """Pause or resume delivery."""
    for partition in range(PARTITIONS):
        record = (HOLD_KEY, encode_notice(ChannelPaused(paused=paused)))
        await write(connection, "messages.email", [record], partition)


def again(records: Sequence[Record]) -> dict[str, str]:
    """Return the decisions about messages that were handed over: their ids, and those of the replaced messages."""
    decisions = [msgspec.json.decode(one.value or b"", type=Decision) for one in records]
    return {one.id: one.replaces for one in decisions if one.replaces}


def outcomes(records: Sequence[Record]) -> list[Event]:
    """Return the outcomes of messages among the records of ``outcomes``."""
    return [event for one in records if (event := decode_event(one.value or b"")).type in REPORTED]


def ended(records: Sequence[Record]) -> dict[str, str]:
    """Return for each person whose message was sent, or may have been sent, the type of the outcome."""
    found = [event for event in outcomes(records) if event.type in ("message_sent", "message_unknown")]
    return {event.user.removeprefix(ANONYMOUS)[1:]: event.type for event in found}


async def read(connection: Connection, topic: str) -> list[Record]:
    """Return all records of a topic."""
    async with TopicReader(connection, partitions_of(connection, topic, PARTITIONS)) as reader:
        return [one async for _, records in reader.read_to_end() for one in records]


@asynccontextmanager
async def folded(connection: Connection) -> AsyncIterator[EventLog]:
    """Run a fold with the rule, and open its log."""
    topics.create(connection, PARTITIONS)
    async with EventLog(connection, PARTITIONS) as log, running_app(connection, fold_agents(), name="fold"):
        await log.ensure_clock("wall")
        await publish(connection, configuration(rules=[RULE]))
        yield log


@pytest.mark.slow
async def test_each_person_gets_the_message_once_under_one_of_the_two_ids(
    cluster: Cluster, server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    connection, log_file = cluster.connection, tmp_path / "worker.log"
    arguments = (str(unused_tcp_port), str(tmp_path / "outbox"))
    async with folded(connection) as log:
        await set_pause(connection, paused=True)
        await log.append([event for number in range(PEOPLE) for event in arrives(number)])
        await read_until(connection, "messages.email", lambda found: len(found) >= PEOPLE + PARTITIONS, 60)
        with running_worker(connection, log_file, WORKER, *arguments) as worker:
            await log.append([login(number) for number in range(EARLY)])
            await read_until(connection, "outcomes", lambda found: len(outcomes(found)) > 2, 60)
            worker.kill()
        with running_worker(connection, log_file, WORKER, *arguments) as worker:
            await read_until(connection, "decisions", lambda found: len(again(found)) >= EARLY, 60)
            assert server.received == []
            await set_pause(connection, paused=False)
            await log.append([login(number) for number in range(EARLY, PEOPLE)])
            await asyncio.to_thread(await_true, partial(server.has, 5), 60)
            worker.kill()
        with running_worker(connection, log_file, WORKER, *arguments):
            await read_until(connection, "outcomes", lambda found: len(ended(found)) >= PEOPLE, 60)
    await _check(connection, server)


async def _check(connection: Connection, server: FakeMailServer) -> None:
    """Check that no one got two messages, and that no message was both sent and decided again."""
    reported, decided = await read(connection, "outcomes"), again(await read(connection, "decisions"))
    unknown = {f"a{number}@example.com" for number, kind in ended(reported).items() if kind == "message_unknown"}
    assert set(server.recipients.values()) == {1}
    assert {f"a{number}@example.com" for number in range(PEOPLE)} - server.recipients.keys() <= unknown
    assert len(set(decided.values())) == len(decided) >= EARLY
    sent = {event.message for event in outcomes(reported) if event.type == "message_sent"}
    assert sent.isdisjoint(decided.values())
