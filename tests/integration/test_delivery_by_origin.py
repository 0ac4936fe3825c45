"""From the wire to a mail server: live messages reach the person, and replayed messages reach no one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path

import msgspec
import pytest

from agents.deliver_messages import deliver_messages
from models.batch import Batch, Restored
from models.configuration.compiled import encode
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.events import ORIGINS, Event, Origin
from models.log import Use, opening
from models.source import Received, Source
from models.wire import decode
from stream.delivery.channels import open_channel
from tests.support.event_logs import START, fold_log, written
from tests.support.letters import files
from tests.support.mail import FakeMailServer, live_mail, serving

WIRE = [
    {"type": "identify", "userId": "u1", "traits": {"email": "ada@example.com", "firstName": "Ada"}},
    {"type": "track", "userId": "u1", "event": "Consent Given", "properties": {"channel": "email"}},
    {"type": "track", "userId": "u1", "event": "Trial Started", "properties": {"plan": "pro"}},
]


def _events(origin: Origin) -> list[Event]:
    return [
        decode(
            json.dumps({**event, "messageId": f"m{i}", "timestamp": START + i}).encode(),
            Received(Source("events.in", 0, i), START + i, origin),
        )
        for i, event in enumerate(WIRE)
    ]


def _messages(events: list[Event]) -> list[bytes]:
    """Fold the events, and return the messages for ``messages.email``."""
    rules = {"rules": [{"name": "welcome", "when": {"event": "Trial Started", "where": {"plan": "pro"}}}]}
    content = encode(parse(rules, {"welcome": Template("Welcome {{ first_name }}", "Hello.")}))
    use = Use(name="configuration", version=1, content=msgspec.Raw(content))
    log = written([opening("wall"), use, *events])
    _, given = fold_log(log, repeat(100))
    records = [record for outputs in given for record in outputs.commit.records if record.topic == "messages.email"]
    return [record.value for record in records if record.value is not None]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_only_live_messages_reach_the_mail_server(unused_tcp_port: int, tmp_path: Path, origin: Origin) -> None:
    settings = live_mail(unused_tcp_port, tmp_path)
    records = written((b"u1", value) for value in _messages(_events(origin)))
    dispatcher, state = open_channel("email", settings, now=lambda: START + 1000), Restored()

    async def batches() -> AsyncIterator[Batch]:
        yield Batch("messages.email", 0, records)

    with serving(FakeMailServer(), unused_tcp_port) as server:
        async for outputs in deliver_messages(batches(), state=state, dispatcher=dispatcher, now=lambda: START + 1000):
            state.apply(outputs.commit)
            await asyncio.gather(*(effect() for effect in outputs.after.effects))
        await dispatcher.close()

    live = origin == "live"
    assert len(records) == 1
    assert [mail.recipient for mail in server.received] == (["ada@example.com"] if live else [])
    assert len(files(tmp_path)) == (0 if live else 1)


def test_one_replayed_event_is_enough_to_keep_a_users_messages_in_the_outbox() -> None:
    identify, consent, trial = _events("live")
    replayed = msgspec.structs.replace(identify, origin="replay")

    (value,) = _messages([replayed, consent, trial])

    assert msgspec.json.decode(value)["origin"] == "replay"
