"""Speed of one delivering worker, in messages per second: ``python -m tests.benchmarks.deliveries``.

``kafka`` or ``embedded`` chooses the broker. ``outbox`` chooses a folder, ``smtp`` a local mail server that accepts
everything immediately. The program prints messages, seconds, messages per second, the worker's CPU time per message,
and the outcomes by kind.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from models.delivery.messages import Message, encode_message, message_id
from models.events import decode_event
from stream.cluster.connection import Connection
from tests.benchmarks.broker import Kind, a_broker, cpu_seconds
from tests.support.brokers import create_topics, free_ports
from tests.support.topic_reading import read_until, write
from tests.support.workers import running_worker

WORKER = "tests.support.delivering_worker"
PARTITIONS = 4
MESSAGES = 2_000
TOPICS = ("messages.email", "deliveries.email", "outcomes", "events.rejected")


class AcceptingSink:
    """Mail server that accepts everything."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 taken"


def _messages(count: int, origin: str) -> list[Message]:
    now = time.time_ns() // 1_000_000
    return [
        Message(
            id=message_id(f"u{n}", "bench", "m", now),
            user=f"u{n}",
            rule="bench",
            category="marketing",
            channel="email",
            to=f"u{n}@example.com",
            subject="Your cart is waiting",
            text="Hello.\n" * 100,
            html="<p>Hello.</p>" * 100,
            why="a benchmark",
            at=now,
            expires=now + 3_600_000,
            origin=origin,  # type: ignore[arg-type]  # one of ORIGINS
        )
        for n in range(count)
    ]


async def measure(connection: Connection, where: str, count: int, folder: Path) -> str:
    """Deliver ``count`` messages, and measure the time from the first outcome to the last."""
    (port,) = free_ports(1)
    controller = Controller(AcceptingSink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        create_topics(connection, dict.fromkeys(TOPICS, PARTITIONS))
        messages = _messages(count, "live" if where == "smtp" else "simulate")
        records = [(m.user.encode(), encode_message(m)) for m in messages]
        await write(connection, "messages.email", records)
        with running_worker(connection, folder / "worker.log", WORKER, str(port), str(folder / "outbox")) as worker:
            await read_until(connection, "outcomes", bool, 60)
            began, spent = time.perf_counter(), cpu_seconds(worker.pid)
            outcomes = await read_until(connection, "outcomes", lambda found: len(found) >= count, 300)
            seconds, spent = time.perf_counter() - began, cpu_seconds(worker.pid) - spent
    finally:
        controller.stop()
    kinds = Counter(decode_event(record.value or b"").type for record in outcomes)
    pace = f"{count / seconds:,.0f}/s, {spent / count * 1_000:.2f} ms of CPU each"
    return f"{where}: {count} messages in {seconds:.1f} s, {pace}, {dict(kinds)}"


def main() -> None:
    """Measure the combinations from the command line, or all."""
    asked = sys.argv[1:]
    kinds: list[Kind] = ["kafka", "embedded"]
    for kind in [kind for kind in kinds if kind in asked] or kinds:
        with a_broker(kind) as broker, tempfile.TemporaryDirectory() as name:
            for where in [one for one in ("outbox", "smtp") if one in asked] or ("outbox", "smtp"):
                line = asyncio.run(measure(broker.connection(), where, MESSAGES, Path(name)))
                print(f"{broker.name}, {line}", flush=True)


if __name__ == "__main__":
    main()
