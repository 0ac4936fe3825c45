"""Latency of messages: new users buy for the first time, at a fixed rate, and each gets an e-mail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np

from models.delivery.messages import decode_message
from models.delivery.notices import is_notice
from models.events import MICROS, Event, OrderLine
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import ReadOptions, TopicReader, partitions_of
from stream.demo.summary import Latency
from stream.log.event_log import EventLog

NEWCOMER = "newcomer-"
"""Beginning of the ids of the new users, who count in no other figure."""

_ANSWER_WITHIN_S = 10.0
"""How long to wait for the last messages, seconds."""


def newcomer(number: int, now: int) -> list[Event]:
    """Return the events of a new user who identifies, gives consent, and buys for the first time."""
    user = f"{NEWCOMER}{number:05d}"

    def identity(what: str) -> str:
        return f"{user}-{what}"

    traits = {"email": f"{user}@shoppers.example", "firstName": "Nova", "timezone": "UTC"}
    order = (OrderLine("tea-000", 1, 9 * MICROS, "tea"),)
    return [
        Event(id=identity("identify"), user=user, type="identify", at=now, origin="simulate", traits=traits),
        Event(id=identity("consent"), user=user, type="consent", at=now, origin="simulate", granted=True, reason="box"),
        Event(
            id=identity("purchase"), user=user, type="purchase", at=now, origin="simulate",
            order=f"o-{user}", amount=9 * MICROS, lines=order,
        ),
    ]  # fmt: skip


async def measure(
    connection: Connection, partitions: int, now: int, *, rate: float = 50.0, seconds: float = 4.0
) -> Latency | None:
    """Send first purchases open-loop, and measure how long it takes until their messages are readable.

    Parameters
    ----------
    connection
        Cluster in which workers run, with a rule that answers the first purchase by e-mail.
    partitions
        Number of the log's partitions.
    now
        Time of the log's clock, milliseconds.
    rate
        Purchases per second. Each is sent at its time, whether earlier ones are answered or not.
    seconds
        Duration of the load.

    Returns
    -------
    Latency or None
        ``None`` if no message came.
    """
    people = [newcomer(number, now) for number in range(int(rate * seconds))]
    acknowledged: dict[str, float] = {}
    readable: dict[str, float] = {}
    places = partitions_of(connection, "messages.email", partitions)
    options = ReadOptions(begin="end", wait_ms=20)
    async with EventLog(connection, partitions) as log, TopicReader(connection, places, options) as reader:
        for place in places:
            await reader.position(place)  # the end must be known before the first purchase
        await log.append([event for person in people for event in person[:2]])
        reading = asyncio.create_task(_read(reader, readable, len(people)))
        await _buy_open_loop(log, [person[2] for person in people], rate, acknowledged)
        await asyncio.wait([reading], timeout=_ANSWER_WITHIN_S)
        reading.cancel()
        await asyncio.wait([reading])
    took = [(readable[user] - at) * 1000 for user, at in acknowledged.items() if user in readable]
    if not took:
        return None
    return Latency(
        p50=_quantile(took, 0.5), p99=_quantile(took, 0.99), worst=max(took),
        rate=rate, sent=len(people), answered=len(took),
    )  # fmt: skip


async def _buy_open_loop(
    log: EventLog, purchases: Sequence[Event], rate: float, acknowledged: dict[str, float]
) -> None:
    """Send each purchase at its time, and record when it was acknowledged."""
    began = time.perf_counter() + 0.2
    buying = []
    for number, purchase in enumerate(purchases):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        buying.append(asyncio.create_task(_buy(log, purchase, acknowledged)))
    await asyncio.gather(*buying)


async def _buy(log: EventLog, purchase: Event, acknowledged: dict[str, float]) -> None:
    await log.append([purchase])
    acknowledged[purchase.user] = time.perf_counter()


async def _read(reader: TopicReader, readable: dict[str, float], wanted: int) -> None:
    while len(readable) < wanted:
        batches = await reader.poll(timeout_ms=1_000)
        stamp = time.perf_counter()
        for records in batches.values():
            for record in records:
                if is_notice(record.value):
                    continue
                message = decode_message(record.value or b"")
                # A journey may send a message as soon as a newcomer gives consent, before the purchase.
                if message.user.startswith(NEWCOMER) and message.category == "transactional":
                    readable.setdefault(message.user, stamp)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(np.asarray(values), share))
