"""A partition moves to another worker while the provider is slow: nothing is sent twice, and no outcome is unknown."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from models.delivery.messages import Message, encode_message, message_id
from models.events import decode_event
from models.units import now_ms
from tests.support.brokers import Cluster
from tests.support.letters import letter
from tests.support.mail import FakeMailServer, serving
from tests.support.processes import await_true
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
PARTITIONS = 4
MESSAGES = 16


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server that accepts each e-mail immediately, and answers when ``release`` is called."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        served.hold_from(0)
        yield served


def _messages() -> list[Message]:
    now = now_ms()
    ids = [message_id(f"u{n}", "win_back", "m", now) for n in range(MESSAGES)]
    return [
        letter(id=one, user=f"u{n}", to=f"u{n}@example.com", text="Hi\n", at=now, expires=now + 3_600_000)
        for n, one in enumerate(ids)
    ]


@pytest.mark.kafka
@pytest.mark.slow
async def test_calls_that_end_after_a_rebalance_are_made_once_and_reported_once(
    kafka: Cluster, server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    kafka.create(**dict.fromkeys(("messages.email", "deliveries.email", "outcomes", "events.rejected"), PARTITIONS))
    messages, logs = _messages(), [tmp_path / "first.log", tmp_path / "second.log"]
    await write(kafka.connection, "messages.email", [(m.user.encode(), encode_message(m)) for m in messages])
    arguments = (str(unused_tcp_port), str(tmp_path / "outbox"))

    with running_worker(kafka.connection, logs[0], WORKER, *arguments):
        await asyncio.to_thread(await_true, lambda: server.has(4), 60)
        with running_worker(kafka.connection, logs[1], WORKER, *arguments):
            await asyncio.to_thread(await_true, partial(_has_opened, logs[1]), 60)
            in_flight = len(server.received)
            server.release()
            outcomes = await read_until(kafka.connection, "outcomes", lambda found: len(found) >= MESSAGES, 60)

    reported = Counter((event.message, event.type) for event in (decode_event(record.value) for record in outcomes))
    assert in_flight >= 4
    assert reported == Counter((message.id, "message_sent") for message in messages)
    assert server.recipients == Counter(message.to for message in messages)


def _has_opened(log: Path) -> bool:
    """Return whether a worker has opened its share of the partitions."""
    return log.read_text(errors="replace").count(": open at ") >= PARTITIONS // 2
