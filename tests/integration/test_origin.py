"""Messages of a replay never reach a provider, whatever the settings allow; messages of live events do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.units import now_ms
from stream.feed.recording import survey
from stream.feed.replaying import replay
from stream.installation.running import Installation, StartOptions, await_folding, own_ports, running
from stream.lookup.client import LookupFailed, ask_json
from stream.settings.loading import load
from stream.settings.worker_addresses import worker_urls
from tests.support.mail import FakeMailServer, serving

pytestmark = pytest.mark.slow

FILE = """
version: 1
folder: data
http: {{public_url: "http://127.0.0.1:8080"}}
delivery:
  mode: live
  smtp: {{host: 127.0.0.1, port: {port}, from: "Shop <shop@example.org>", tls: none}}
rules:
  - {{name: hello, when: {{first_purchase: true}}, channels: [email]}}
"""
USERS = 5


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


@pytest.fixture
def home(tmp_path: Path, unused_tcp_port: int) -> Path:
    (tmp_path / "perennial.yaml").write_text(FILE.format(port=unused_tcp_port))
    template = tmp_path / "templates" / "hello"
    template.mkdir(parents=True)
    (template / "subject.liquid").write_text("Hello")
    (template / "text.liquid").write_text("Good to have you.")
    return tmp_path


@pytest.fixture
def fed(home: Path) -> Iterator[Installation]:
    """An installation whose log a replay feeds."""
    with running(load(home / "perennial.yaml", own_ports()), ("worker",), StartOptions(clock="feeder")) as installation:
        await_folding(installation)
        yield installation


@pytest.fixture
def live(home: Path) -> Iterator[Installation]:
    """An installation of the same home, with its HTTP door."""
    with running(load(home / "perennial.yaml", own_ports()), ("worker", "collector")) as installation:
        await_folding(installation)
        yield installation


def wire_events() -> list[dict[str, Any]]:
    at = now_ms() - 3_600_000
    events: list[dict[str, Any]] = []
    for n in range(USERS):
        user = {"userId": f"u{n}", "timestamp": at + n}
        events += [
            user | {"type": "identify", "traits": {"email": f"u{n}@example.org"}, "messageId": f"i{n}"},
            {
                "type": "consent",
                "user": f"u{n}",
                "channel": "email",
                "granted": True,
                "at": at + n,
                "messageId": f"c{n}",
            },
            user
            | {
                "type": "track",
                "event": "Order Completed",
                "messageId": f"o{n}",
                "properties": {"order_id": f"o{n}", "total": 20, "products": [{"product_id": "mug", "price": 20}]},
            },
        ]
    return events


async def all_users_decided(installation: Installation) -> list[dict[str, Any]]:
    where = worker_urls(installation.settings.sections.worker)[:1]
    async with asyncio.timeout(30):
        while True:
            try:
                found = [await ask_json(where, f"/v1/users/u{n}") for n in range(USERS)]
            except LookupFailed:
                found = []
            if found and all(user["messages"] for user in found):
                return found
            await asyncio.sleep(0.1)


def outbox_has(installation: Installation, mails: int) -> bool:
    deadline = time.monotonic() + 30
    while len(list(installation.settings.outbox.rglob("*.eml"))) < mails:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)  # poll: a folder sends no notification
    return True


async def test_a_replay_into_live_delivery_sends_nothing(fed: Installation, home: Path, server: FakeMailServer) -> None:
    recording = home / "events.jsonl"
    recording.write_text("\n".join(json.dumps(event) for event in wire_events()))

    done = await replay(fed.settings, survey(recording))
    await all_users_decided(fed)

    assert (done.fed, done.rejected) == (3 * USERS, 0)
    assert await asyncio.to_thread(outbox_has, fed, USERS)  # decided and delivered, but only to the outbox
    assert server.received == []


async def test_messages_of_the_same_events_at_the_live_door_are_sent(
    live: Installation, server: FakeMailServer
) -> None:
    http = live.settings.sections.http
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://{http.host}:{http.port}/v1/batch", json={"batch": wire_events()}) as answer:
            assert answer.status == 200, await answer.text()
        await all_users_decided(live)
    async with asyncio.timeout(30):
        while len(server.received) < USERS:  # noqa: ASYNC110 - the server sends no notification
            await asyncio.sleep(0.05)

    assert sorted(mail.recipient for mail in server.received) == [f"u{n}@example.org" for n in range(USERS)]
