"""How long a message takes: strangers buy for the first time, at a fixed rate, and each is thanked by mail."""

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
"""Beginning of the user ids of those who come to be measured; they are in no other figure."""

_ANSWER_WITHIN_S = 10.0


def newcomer(number: int, now: int) -> list[Event]:
    """A stranger who says who they are, agrees to everything, and buys for the first time."""
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
    """Send first purchases open-loop, and wait for their messages.

    Parameters
    ----------
    connection
        The cluster; workers run, and a rule answers the first purchase by e-mail.
    partitions
        Of the log.
    now
        The log's clock, milliseconds.
    rate
        Purchases a second, at their times, whatever became of those before.
    seconds
        How long.

    Returns
    -------
    Latency or None
        ``None`` where no message came at all.
    """
    count = int(rate * seconds)
    places = partitions_of(connection, "messages.email", partitions)
    options = ReadOptions(begin="end", wait_ms=20)
    async with EventLog(connection, partitions) as log, TopicReader(connection, places, options) as reader:
        for place in places:
            await reader.position(place)  # from here on; the end must be known before the first purchase
        acknowledged: dict[str, float] = {}
        readable: dict[str, float] = {}
        people = [newcomer(number, now) for number in range(count)]
        await log.append([event for person in people for event in person[:2]])
        reading = asyncio.create_task(_read(reader, readable, count))
        began = time.perf_counter() + 0.2
        buying = []
        for number, person in enumerate(people):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            buying.append(asyncio.create_task(_buy(log, person[2], acknowledged)))
        await asyncio.gather(*buying)
        await asyncio.wait([reading], timeout=_ANSWER_WITHIN_S)
        reading.cancel()
        await asyncio.wait([reading])
    took = [(readable[user] - at) * 1000 for user, at in acknowledged.items() if user in readable]
    if not took:
        return None
    return Latency(
        p50=_quantile(took, 0.5), p99=_quantile(took, 0.99), worst=max(took), rate=rate, sent=count, answered=len(took)
    )


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
                user = decode_message(record.value or b"").user
                if user.startswith(NEWCOMER):
                    readable.setdefault(user, stamp)


def _quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(np.asarray(values), share))
