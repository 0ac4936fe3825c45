"""A delivering worker that is killed or stopped while it hands e-mail over: nothing twice, nothing forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from models.delivery.messages import encode_message
from models.events import decode_event
from stream.delivery.smtp import SmtpSettings
from tests.support.brokers import Cluster
from tests.support.letters import letters
from tests.support.processes import await_true
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
TOPICS = ("messages.email", "deliveries.email", "outcomes", "events.rejected")
PARTITIONS = 2
MESSAGES = 200
ENOUGH = 40


class Counting:
    """A server that takes its time over every e-mail and remembers to whom it came."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def has(self, count: int) -> bool:
        """Whether so many e-mails came."""
        return self.taken.total() >= count

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.taken[envelope.rcpt_tos[0]] += 1
        await asyncio.sleep(0.02)
        return "250 taken"


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def port(counting: Counting, unused_tcp_port: int) -> Iterator[int]:
    controller = Controller(counting, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    yield unused_tcp_port
    controller.stop()


@pytest.mark.slow
async def test_every_message_is_sent_once_at_most_and_every_one_has_an_outcome(
    cluster: Cluster, counting: Counting, port: int, tmp_path: Path
) -> None:
    cluster.create(**dict.fromkeys(TOPICS, PARTITIONS))
    messages, log = letters(MESSAGES), tmp_path / "worker.log"
    await write(cluster.connection, "messages.email", [(m.user.encode(), encode_message(m)) for m in messages])
    arguments = (str(port), str(tmp_path / "outbox"))

    with running_worker(cluster.connection, log, WORKER, *arguments) as worker:
        await asyncio.to_thread(await_true, partial(counting.has, ENOUGH), 60)
        worker.kill()
    with running_worker(cluster.connection, log, WORKER, *arguments) as worker:
        await asyncio.to_thread(await_true, partial(counting.has, 2 * ENOUGH), 60)
        worker.terminate()
        exit_code = await asyncio.to_thread(worker.wait, 30)
    with running_worker(cluster.connection, log, WORKER, *arguments):
        outcomes = await read_until(
            cluster.connection, "outcomes", lambda found: len({_event(r).message for r in found}) >= MESSAGES, 60
        )

    told = {event.message: event.type for event in map(_event, outcomes)}
    unknown = [message for message in messages if told[message.id] == "message_unknown"]
    assert set(counting.taken.values()) == {1}
    assert set(told) == {message.id for message in messages}
    assert set(told.values()) <= {"message_sent", "message_unknown"}
    assert {m.to for m in messages} - {m.to for m in unknown} <= set(counting.taken)
    assert exit_code == 0
    # who is asked to stop waits for the answers that it is owed: only what the kill interrupted can be unknown
    assert len(unknown) <= SmtpSettings("").connections


def _event(record: Any) -> Any:
    return decode_event(record.value)
