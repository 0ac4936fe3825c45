"""All processes on one machine: real broker, real processes, events in, profile and message out."""

from __future__ import annotations

import asyncio
import email
import email.message
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.events import Event
from models.units import now_ms
from stream.installation.running import Installation, await_folding, logged_error, own_ports, running
from stream.log.event_log import EventLog
from stream.lookup.client import UnknownUser, ask_json
from stream.processes.error_lines import SEE_ABOVE
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.support.brokers import ApacheKafka

FILE = """
version: 1
folder: data
rules:
  - name: first_purchase
    category: transactional
    when: {first_purchase: true}
    channels: [email]
"""


@pytest.fixture(scope="module", params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    flags: dict[str, Any] = dict(own_ports())
    if request.param == "kafka":
        broker: ApacheKafka = request.getfixturevalue("kafka_broker")
        flags |= {"kafka.servers": broker.address, "kafka.prefix": "house.", "kafka.partitions": 4}
    home = tmp_path_factory.mktemp("shop")
    (home / "perennial.yaml").write_text(FILE)
    template = home / "templates" / "first_purchase"
    template.mkdir(parents=True)
    (template / "subject.liquid").write_text("Thank you, {{ first_name }}")
    (template / "text.liquid").write_text("Your first order is on its way.")
    (template / "fallback.liquid").write_text("Subject: Thank you\n\nYour first order is on its way.")
    with running(load(home / "perennial.yaml", flags), ("worker",)) as started:
        await_folding(started)
        yield started


async def profile_with(installation: Installation, user: str, orders: int) -> dict[str, Any]:
    where = worker_urls(installation.settings.sections.worker)[:1]
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await ask_json(where, f"/v1/users/{user}")
                if answer["profile"]["orders"] >= orders:
                    return answer
            except UnknownUser:
                pass
            await asyncio.sleep(0.05)


async def test_a_purchase_becomes_a_profile_and_a_mail_in_the_outbox(installation: Installation) -> None:
    settings = installation.settings
    order = Event(id="m2", user="ann", at=now_ms(), type="purchase", order="o1", amount=25_000_000, currency="EUR")
    async with EventLog(settings.connection(), settings.partitions) as log:
        await log.append(
            [
                Event(
                    id="m1",
                    user="ann",
                    at=now_ms(),
                    type="identify",
                    traits={"email": "ann@example.org", "firstName": "Ann"},
                ),
                order,
                order,
            ]
        )

    answer = await profile_with(installation, "ann", 1)

    assert answer["profile"]["spent"] == {"EUR": 25.0}
    [message] = answer["messages"]
    assert message["rule"] == "first_purchase"
    mail = await asyncio.to_thread(mail_in, settings.outbox)
    assert (mail["to"], mail["subject"]) == ("ann@example.org", "Thank you, Ann")


def mail_in(outbox: Path) -> email.message.Message:
    deadline = time.monotonic() + 20
    while not (files := list(outbox.rglob("*.eml"))) and time.monotonic() < deadline:
        time.sleep(0.05)  # nothing reports a new file in a folder
    return email.message_from_bytes(files[0].read_bytes())


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("", ""),
        ("INFO one\nINFO two\n\n", "INFO two"),
        ("perennial: port 1 is taken\nERROR fold refused to start\n", "port 1 is taken"),
        (f"perennial: port 1 is taken\nperennial: fold {SEE_ABOVE}\n", "port 1 is taken"),
    ],
)
def test_the_logged_error_of_a_process_is_the_last_one_that_it_printed(tmp_path: Path, log: str, error: str) -> None:
    before = "perennial: of another day\n"
    (tmp_path / "worker.log").write_text(before + log)

    assert logged_error(tmp_path / "worker.log", len(before)) == error
    assert logged_error(tmp_path / "none.log") == ""
