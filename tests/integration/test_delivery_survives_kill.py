"""A delivering worker that is killed or stopped while it hands e-mail over sends nothing twice and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.delivery.messages import encode_message
from models.events import decode_event
from stream.settings.mail_schema import SmtpSection
from tests.support.brokers import Cluster
from tests.support.letters import letters
from tests.support.mail import FakeMailServer, serving
from tests.support.processes import await_true
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
TOPICS = ("messages.email", "deliveries.email", "outcomes", "events.rejected")
PARTITIONS = 2
MESSAGES = 200
ENOUGH = 40


@pytest.fixture
def server(unused_tcp_port: int) -> Iterator[FakeMailServer]:
    """A mail server."""
    with serving(FakeMailServer(), unused_tcp_port) as served:
        yield served


@pytest.mark.slow
async def test_every_message_is_sent_at_most_once_and_has_an_outcome(
    cluster: Cluster, server: FakeMailServer, unused_tcp_port: int, tmp_path: Path
) -> None:
    cluster.create(**dict.fromkeys(TOPICS, PARTITIONS))
    messages, log = letters(MESSAGES), tmp_path / "worker.log"
    await write(cluster.connection, "messages.email", [(m.user.encode(), encode_message(m)) for m in messages])
    arguments = (str(unused_tcp_port), str(tmp_path / "outbox"))

    server.hold_from(ENOUGH)  # so calls are in flight when the worker is killed
    with running_worker(cluster.connection, log, WORKER, *arguments) as worker:
        await asyncio.to_thread(await_true, partial(server.has, ENOUGH + 1), 60)
        worker.kill()
    server.release()
    server.hold_from(2 * ENOUGH)
    with running_worker(cluster.connection, log, WORKER, *arguments) as worker:
        await asyncio.to_thread(await_true, partial(server.has, 2 * ENOUGH + 1), 60)
        worker.terminate()
        server.release()
        exit_code = await asyncio.to_thread(worker.wait, 30)
    with running_worker(cluster.connection, log, WORKER, *arguments):
        outcomes = await read_until(
            cluster.connection, "outcomes", lambda found: len({_event(r).message for r in found}) >= MESSAGES, 60
        )

    reported = {event.message: event.type for event in map(_event, outcomes)}
    unknown = [message for message in messages if reported[message.id] == "message_unknown"]
    assert set(server.recipients.values()) == {1}
    assert set(reported) == {message.id for message in messages}
    assert set(reported.values()) <= {"message_sent", "message_unknown"}
    assert {m.to for m in messages} - {m.to for m in unknown} <= set(server.recipients)
    assert exit_code == 0
    # A worker that is asked to stop waits for its answers, so only calls that the kill interrupted can be unknown.
    assert len(unknown) <= SmtpSection(host="", sender="").connections


def _event(record: Any) -> Any:
    return decode_event(record.value)
