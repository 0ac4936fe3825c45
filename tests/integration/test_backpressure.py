"""A slow dependency slows down only its own dependents, which keep a bounded part of their input in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.batch import Restored
from models.delivery.messages import Message, encode_message, message_id
from models.delivery.open_messages import MAX_OPEN
from models.events import Channel, Origin, decode_event
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.engine.state import restore
from stream.worker.topology import MAX_DELIVERED
from tests.support.brokers import Cluster
from tests.support.forwarding import forwarding
from tests.support.letters import letter
from tests.support.mail import FakeMailServer, serving
from tests.support.topic_reading import read_until
from tests.support.workers import running_worker

MEBIBYTE = 1 << 20


def memory_of(pid: int, measure: str = "VmRSS") -> int:
    """Return the memory of a process in bytes; with ``VmHWM``, the maximum so far."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[measure].split()[0]) * 1_024


@asynccontextmanager
async def writing(connection: Connection) -> AsyncIterator[Writer]:
    writer = Writer(connection)
    try:
        yield writer
    finally:
        await writer.close()


async def committed(
    connection: Connection, topic: str, enough: Callable[[Restored], bool], within_s: float = 120
) -> Restored:
    """Wait until a lane has committed enough, and return its state."""
    async with asyncio.timeout(within_s):
        while True:
            found = await restore(connection, topic, 0, in_use=connection.transactions)
            if enough(found):
                return found
            await asyncio.sleep(0.2)  # poll: a state topic sends no notification of a commit


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_worker_waits_for_a_slow_broker_with_bounded_memory_and_then_catches_up(
    kafka: Cluster, unused_tcp_port: int, tmp_path: Path
) -> None:
    connection, count, size, log = kafka.connection, 60_000, 2_000, tmp_path / "log"
    kafka.create(events=1, copies=1, profiles=1)

    async with forwarding(connection.servers, unused_tcp_port) as way, writing(connection) as writer:
        with running_worker(connection, log, "tests.support.narrow_worker", str(unused_tcp_port)) as worker:
            await writer.send_to("events", 0, [(b"u0", b"")])
            await committed(connection, "profiles", lambda found: found.position > 0)
            before = memory_of(worker.pid)
            way.bytes_per_s = 4 * MEBIBYTE
            await writer.send_to("events", 0, [(b"u%d" % (n % 100), b"%d" % n + b"." * size) for n in range(1, count)])
            slow = await committed(connection, "profiles", lambda found: found.position > 1)
            slower = await committed(connection, "profiles", lambda found: found.position > slow.position)
            way.bytes_per_s = None
            done = await committed(connection, "profiles", lambda found: found.position >= count)
            grown = memory_of(worker.pid, "VmHWM") - before

    assert slower.position < count / 2
    assert sum(map(int, done.records.values())) == count
    assert grown < 0.75 * count * size, f"{grown / MEBIBYTE:.0f} MiB"


@pytest.fixture
def hanging(unused_tcp_port: int) -> Iterator[int]:
    """The port of a mail server that receives e-mails, and never answers."""
    with serving(FakeMailServer(), unused_tcp_port) as server:
        server.hold_from(0)
        yield unused_tcp_port


def messages(
    channel: Channel, count: int, text: str = "Hello\n", origin: Origin = "live"
) -> list[tuple[bytes, bytes | None]]:
    now = now_ms()
    made: list[Message] = [
        letter(
            id=message_id(f"u{n}", "win_back", channel, now),
            user=f"u{n}",
            channel=channel,
            to=f"u{n}@example.com" if channel == "email" else "+4930901820",
            at=now,
            expires=now + 3_600_000,
            text=text,
            origin=origin,
        )
        for n in range(count)
    ]
    return [(one.user.encode(), encode_message(one)) for one in made]


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_provider_that_hangs_delays_only_its_channel_and_the_messages_in_memory_are_bounded(
    kafka: Cluster, hanging: int, tmp_path: Path
) -> None:
    connection, log = kafka.connection, tmp_path / "log"
    channels = ("messages.email", "messages.sms", "deliveries.email", "deliveries.sms")
    kafka.create(**dict.fromkeys([*channels, "outcomes", "events.rejected"], 1))
    waiting = messages("email", 50_000, text="x" * 2_000)

    arguments = (str(hanging), str(tmp_path / "outbox"), "sms")
    async with writing(connection) as writer:
        with running_worker(connection, log, "tests.support.delivering_worker", *arguments) as worker:
            await writer.send_to("messages.sms", 0, messages("sms", 1, origin="simulate"))
            await read_until(connection, "outcomes", bool, within_s=60)
            before = memory_of(worker.pid)
            await writer.send_to("messages.email", 0, waiting)
            held = await committed(connection, "deliveries.email", lambda found: len(found.records) >= MAX_OPEN)
            await writer.send_to("messages.sms", 0, messages("sms", 51, origin="simulate")[1:])
            outcomes = await read_until(connection, "outcomes", lambda found: len(found) >= 51, within_s=60)
            held = await restore(connection, "deliveries.email", 0, in_use=True)
            grown = memory_of(worker.pid, "VmHWM") - before

    reported = [decode_event(record.value) for record in outcomes]
    assert [(event.channel, event.type) for event in reported] == [("sms", "message_sent")] * 51
    assert len(held.records) == held.position <= MAX_OPEN + MAX_DELIVERED
    assert grown < 0.75 * sum(len(value or b"") for _, value in waiting), f"{grown / MEBIBYTE:.0f} MiB"
