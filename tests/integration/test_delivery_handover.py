"""A partition that goes to another worker while the provider takes its time: nothing twice, and nothing unknown."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from models.delivery.messages import Message, encode_message, message_id
from models.events import decode_event
from tests.support.brokers import Cluster
from tests.support.letters import letter
from tests.support.processes import await_true
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
PARTITIONS = 4
MESSAGES = 16


class Slow:
    """A mail server that takes each e-mail at once, and says so when it is allowed to."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.answers = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.taken[envelope.rcpt_tos[0]] += 1
        while not self.answers:  # noqa: ASYNC110 - it is allowed in another thread
            await asyncio.sleep(0.05)
        return "250 taken"


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def port(slow: Slow, unused_tcp_port: int) -> Iterator[int]:
    controller = Controller(slow, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    yield unused_tcp_port
    slow.answers = True
    controller.stop()


def _messages() -> list[Message]:
    now = time.time_ns() // 1_000_000
    ids = [message_id(f"u{n}", "win_back", "m", now) for n in range(MESSAGES)]
    return [
        letter(id=one, user=f"u{n}", to=f"u{n}@example.com", text="Hi\n", at=now, expires=now + 3_600_000)
        for n, one in enumerate(ids)
    ]


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_call_that_outlasts_a_rebalance_is_heard_by_who_made_it_and_told_by_who_has_its_partition_now(
    kafka: Cluster, slow: Slow, port: int, tmp_path: Path
) -> None:
    kafka.create(**dict.fromkeys(("messages.email", "deliveries.email", "outcomes", "events.rejected"), PARTITIONS))
    messages, logs = _messages(), [tmp_path / "first.log", tmp_path / "second.log"]
    await write(kafka.connection, "messages.email", [(m.user.encode(), encode_message(m)) for m in messages])
    arguments = (str(port), str(tmp_path / "outbox"))

    with running_worker(kafka.connection, logs[0], WORKER, *arguments):
        await asyncio.to_thread(await_true, lambda: slow.taken.total() >= 4, 60)
        with running_worker(kafka.connection, logs[1], WORKER, *arguments):
            await asyncio.to_thread(await_true, partial(_has_opened, logs[1]), 60)
            under_way = slow.taken.total()
            slow.answers = True
            outcomes = await read_until(kafka.connection, "outcomes", lambda found: len(found) >= MESSAGES, 60)

    told = [decode_event(record.value) for record in outcomes]
    assert under_way >= 4
    assert Counter((event.message, event.type) for event in told) == Counter((m.id, "message_sent") for m in messages)
    assert slow.taken == Counter(message.to for message in messages)


def _has_opened(log: Path) -> bool:
    """Whether a worker has taken two partitions over: as many as there are for it."""
    return log.read_text(errors="replace").count(": open at ") >= PARTITIONS // 2
