"""One withdrawal for an address of two users in two partitions, with the real door, workers and mail server."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.delivery.suppression import ANNOUNCED, TOPIC, parse_key
from models.events import decode_event
from stream.cluster import topics
from stream.cluster.partitioner import partition_of
from stream.installation.commands import perennial
from stream.log.event_log import EventLog
from stream.log.versions import publish
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor
from stream.settings.loading import Settings, load
from stream.settings.rules import read_configuration
from tests.support.brokers import Cluster, free_ports
from tests.support.mail import FakeMailServer, serving
from tests.support.topic_reading import read_until

PARTITIONS = 4
WITHIN_S = 60.0
ACTS_WITHIN_S = 1.0
ALLOWED_A_DAY = 3
"""Number of marketing e-mails that the cap allows; see ``FILE``."""
ONE, OTHER = "ada", "ada-at-work"
ADDRESS = "ada@shop-customer.example"
FILE = """
version: 1
folder: data
http: {{public_url: "http://127.0.0.1:{door}"}}
delivery:
  mode: live
  smtp: {{host: 127.0.0.1, port: {smtp}, from: "Shop <hello@shop.example>", tls: none}}
rules:
  - name: hello
    when: {{event: Hello}}
  - name: receipt
    category: transactional
    when: {{event: Receipt}}
caps:
  - {{messages: 3, within: 1d}}
"""


@dataclass
class TimedMailbox(FakeMailServer):
    """A mail server that records when each e-mail arrived, on the monotonic clock."""

    came: list[tuple[float, str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content.decode()
        found = re.search(r"List-Unsubscribe: <([^>]+)>", content)
        self.came.append((time.monotonic(), envelope.rcpt_tos[0], found[1] if found else ""))
        return await super().handle_DATA(server, session, envelope)


@dataclass
class RunningShop:
    """A running installation and its door."""

    settings: Settings
    mailbox: TimedMailbox
    session: aiohttp.ClientSession

    async def send(self, *events: Mapping[str, Any]) -> None:
        """Send events in the Segment form, and return when they are acknowledged."""
        async with self.session.post(f"{self.settings.public_url}/v1/batch", json={"batch": events}) as answer:
            assert answer.status == 200, await answer.text()

    async def outcomes(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        records = await read_until(
            self.settings.connection(), "outcomes", lambda found: enough([decode_event(r.value) for r in found])
        )
        return [decode_event(record.value or b"") for record in records]

    async def mails(self, count: int) -> None:
        """Wait until this many e-mails have arrived."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.mailbox.came) < count:  # noqa: ASYNC110 - another thread receives them
                await asyncio.sleep(0.005)


def _settings(cluster: Cluster, folder: Path) -> tuple[Settings, int]:
    door, smtp = free_ports(2)
    (folder / "perennial.yaml").write_text(FILE.format(door=door, smtp=smtp))
    for rule in ("hello", "receipt"):
        template = folder / "templates" / rule
        template.mkdir(parents=True)
        (template / "subject.liquid").write_text(rule)
        (template / "text.liquid").write_text("Hello.")
        (template / "fallback.liquid").write_text("Subject: Hello\n\nHello.")
    connection = cluster.connection
    flags = {
        **{f"metrics.{name}": 0 for name in ("fold", "deliver", "learn", "retrainer", "collector", "worker")},
        "worker.port": 0,
        "http.port": door,
        "kafka.servers": connection.servers,
        "kafka.prefix": connection.prefix,
        "kafka.embedded": not connection.transactions,
        "kafka.partitions": PARTITIONS,
        "kafka.session_timeout": "6s",
    }
    return load(folder / "perennial.yaml", flags), smtp


async def _open(settings: Settings) -> None:
    connection = settings.connection()
    await asyncio.to_thread(topics.create, connection, settings.partitions, 1)
    async with EventLog(connection, settings.partitions) as log:
        await log.ensure_clock("wall")
    await publish(connection, read_configuration(settings))


@contextmanager
def _running(settings: Settings, folder: Path) -> Iterator[None]:
    commands = {
        "fold": ("worker", "--role", "fold"),
        "deliver": ("worker", "--role", "deliver"),
        "collector": ("collector",),
    }
    programs = [
        Program(name, perennial(*words), env=settings.environment(), log=folder / f"{name}.log")
        for name, words in commands.items()
    ]
    try:
        with Supervisor(programs):
            yield
    except BaseException:
        for name in commands:
            print(f"--- {name}\n{(folder / f'{name}.log').read_text(errors='replace')[-8_000:]}")
        raise


async def _until_the_door_answers(shop: RunningShop) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                async with shop.session.get(f"{shop.settings.public_url}/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # the door is starting
            await asyncio.sleep(0.05)


def _hello(user: str, number: int) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": "Hello", "messageId": f"{user}-hello-{number}"}


@pytest.mark.slow
async def test_a_click_of_one_user_stops_marketing_to_all_users_of_that_address_within_a_second(
    cluster: Cluster, tmp_path: Path
) -> None:
    assert partition_of(ONE.encode(), PARTITIONS) != partition_of(OTHER.encode(), PARTITIONS)
    settings, smtp = _settings(cluster, tmp_path)
    await _open(settings)
    with serving(TimedMailbox(), smtp) as mailbox, _running(settings, tmp_path):
        async with aiohttp.ClientSession() as session:
            shop = RunningShop(settings, mailbox, session)
            await _until_the_door_answers(shop)
            for user, written in ((ONE, ADDRESS), (OTHER, ADDRESS.title())):
                await shop.send(
                    {"type": "identify", "userId": user, "traits": {"email": written}},
                    {"type": "track", "userId": user, "event": "Consent Given", "properties": {"channel": "email"}},
                    _hello(user, 0),
                )
            await shop.mails(2)
            link = next(link for _, to, link in mailbox.came if to == ADDRESS)

            async with session.get(link) as page:
                assert page.status == 200
            await shop.send(_hello(OTHER, 1))
            await shop.mails(3)  # opening the page of the link does not unsubscribe

            async with session.post(link, data={"List-Unsubscribe": "One-Click"}) as done:
                assert done.status == 200
            acknowledged = time.monotonic()
            number = 2
            while time.monotonic() < acknowledged + 2 * ACTS_WITHIN_S:
                await shop.send(_hello(OTHER, number), _hello(ONE, number))
                number += 1
                await asyncio.sleep(0.1)
            await shop.send({"type": "track", "userId": OTHER, "event": "Receipt", "messageId": "r1"})
            outcomes = await shop.outcomes(
                lambda found: (
                    any(one.properties["rule"] == "receipt" for one in found)
                    and sum(one.type == "message_suppressed" for one in found) > ALLOWED_A_DAY
                )
            )
            async with session.post(link) as again:
                assert again.status == 200

    late = [at - acknowledged for at, _, _ in mailbox.came[3:]]
    receipts = [one for one in outcomes if one.properties["rule"] == "receipt"]
    suppressed = [one for one in outcomes if one.type == "message_suppressed"]
    assert [one.type for one in receipts] == ["message_sent"]  # a receipt is not marketing
    assert all(at <= ACTS_WITHIN_S for at in late[:-1]), late
    # The cap allows three e-mails a day. More are decided, because suppressed ones do not count for the cap.
    assert len(suppressed) > ALLOWED_A_DAY
    assert {one.user for one in suppressed} == {OTHER}
    assert {one.reason for one in suppressed} == {"suppressed: unsubscribe (marketing)"}
    entries = await read_until(cluster.connection, TOPIC, lambda found: len(found) >= 3)
    assert {parse_key(record.key).reason for record in entries} == {"unsubscribe", ANNOUNCED}
    assert len({record.key for record in entries}) == 2
    assert b"ada@" not in b"".join(record.key + record.value for record in entries)
