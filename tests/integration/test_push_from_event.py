"""From an event to a device: a rule on the channel push, through the fold, the broker and delivery, to FCM."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.units import now_ms
from stream.cluster import topics
from stream.installation.applying import apply
from stream.installation.commands import perennial
from stream.settings.loading import load
from tests.support.brokers import Cluster, free_ports
from tests.support.fcm import FakeFcm, device, serving_fcm
from tests.support.processes import await_true
from tests.support.topic_reading import write

EVENTS: list[dict[str, Any]] = [
    {"type": "identify", "userId": "u1", "traits": {"push": device(1), "firstName": "Ada", "plan": "first"}},
    {"type": "track", "userId": "u1", "event": "Consent Given", "properties": {"channel": "push"}},
    {"type": "track", "userId": "u1", "event": "Trial Started"},
    {"type": "identify", "userId": "u2", "traits": {"push": device(2), "firstName": "Bo", "plan": "withdrawn"}},
    {"type": "track", "userId": "u2", "event": "Consent Given", "properties": {"channel": "push"}},
    {"type": "track", "userId": "u2", "event": "Unsubscribed"},
    {"type": "track", "userId": "u2", "event": "Trial Started"},
    {"type": "identify", "userId": "u2", "traits": {"plan": "second"}},
    {"type": "track", "userId": "u2", "event": "Consent Given", "properties": {"channel": "push"}},
    {"type": "track", "userId": "u2", "event": "Trial Started"},
]


def settle(home: Path, cluster: Cluster, server: FakeFcm) -> None:
    """Write the settings and the template, and put the rule into use."""
    place = home / "templates" / "welcome"
    place.mkdir(parents=True)
    (place / "subject.liquid").write_text("Welcome {{ first_name }}")
    (place / "text.liquid").write_text("a mail")
    (place / "push.liquid").write_text("Your trial has begun: {{ traits.plan }}.")
    account = server.account
    (home / "firebase.json").write_text(json.dumps({"type": "service_account", **msgspec.structs.asdict(account)}))
    connection = cluster.connection
    topics.create(connection, 4)
    embedded = str(not connection.transactions).lower()
    (home / "perennial.yaml").write_text(
        f"version: 1\nkafka: {{servers: '{connection.servers}', prefix: {connection.prefix}, embedded: {embedded}, "
        f"partitions: 4}}\nmetrics: {{fold: 0, deliver: 0, learn: 0, worker: {free_ports(1)[0]}}}\n"
        "http: {public_url: 'https://shop.example'}\n"
        "delivery:\n  mode: live\n  unsubscribe_secrets: [{env: UNSUBSCRIBE}]\n"
        f"  push: {{fcm: {{service_account: {{file: firebase.json}}, base_url: '{server.url}'}}}}\n"
        "rules: [{name: welcome, when: {event: Trial Started}, channels: [push]}]\n"
    )
    apply(load(home / "perennial.yaml", {}, {}))


@contextmanager
def working(home: Path) -> Iterator[None]:
    """Run a worker that folds and delivers."""
    with (
        (home / "log").open("ab") as log,
        subprocess.Popen(
            perennial("worker", "--processes", "1", "--learn", "0"),
            env={**os.environ, "PERENNIAL_CONFIG": str(home / "perennial.yaml"), "UNSUBSCRIBE": "0123456789abcdef" * 2},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield
        except BaseException:
            print((home / "log").read_text(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(20)


def run(home: Path, server: FakeFcm) -> None:
    with working(home):
        await_true(lambda: len(server.sent) >= 2, 90)


@pytest.mark.slow
async def test_an_event_triggers_a_push_message_which_fcm_gets_and_a_withdrawal_of_everything_stops_it(
    embedded: Cluster, tmp_path: Path
) -> None:
    begun = now_ms() - len(EVENTS)
    records = [
        (event["userId"].encode(), json.dumps({**event, "messageId": f"m{i}", "timestamp": begun + i}).encode())
        for i, event in enumerate(EVENTS)
    ]
    async with serving_fcm(FakeFcm()) as server:
        await asyncio.to_thread(settle, tmp_path, embedded, server)
        await write(embedded.connection, "events.in", records)
        await asyncio.to_thread(run, tmp_path, server)

    texts = {sent["token"]: sent["notification"] for sent in server.sent}
    assert len(server.sent) == 2
    assert texts == {
        device(1): {"title": "Welcome Ada", "body": "Your trial has begun: first."},
        device(2): {"title": "Welcome Bo", "body": "Your trial has begun: second."},
    }
