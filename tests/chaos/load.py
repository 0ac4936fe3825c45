"""Load of the simulated shop, over HTTP and into ``events.in``, and a record of what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
import zlib

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from models import wire
from models.events import Event
from models.storefront.storefront import Storefront
from stream.cluster.connection import Connection
from tests.chaos.lives import now_ms
from tests.chaos.logins import Logins

logger = logging.getLogger(__name__)

SHOPPERS = 400
HOUSEHOLDS = 40
"""Number of households; each has one e-mail address."""
DAYS = 120
START_MS = 1_767_571_200_000
CLICK_EVERY_S = 0.04
AGAIN_S = 0.2
ANSWER_WITHIN_MS = 60_000
"""How long to wait for an answer, milliseconds; a broker whose disk is full stays away for a while."""
REPEATED = 0.08
MALFORMED = 0.004
MAX_WAITING = 400
"""Maximum number of bursts that wait for an answer. When it is reached, events that become due are not sent."""


def patient(connection: Connection) -> AIOKafkaProducer:
    """Return a producer that waits for a broker that is away for a while, and drops no record."""
    return AIOKafkaProducer(
        **connection.client_options(),
        enable_idempotence=connection.idempotence,
        acks="all",
        linger_ms=5,
        retry_backoff_ms=50,
        request_timeout_ms=ANSWER_WITHIN_MS,
    )


def _now_and_here(event: Event) -> Event:
    """Move an event to the present, and replace its e-mail address by one that several shoppers share."""
    traits = event.traits
    if traits is not None and "email" in traits:
        household = zlib.crc32(event.user.encode()) % HOUSEHOLDS
        traits = {**traits, "email": f"household-{household}@example.org"}
    return replace(event, at=now_ms(), origin="live", traits=traits)


class ShopLoad:
    """An open-loop load. When it is stopped, it waits for the answers to everything sent.

    Parameters
    ----------
    connection
        Connection of the installation.
    partitions
        Number of partitions of ``events.in``.
    door
        Address of the HTTP door.
    seed
        Seed; the same seed gives the same events through the same doors.
    rate
        Number of events per second.

    Attributes
    ----------
    acknowledged
        Every event that was acknowledged, by its id.
    malformed
        Acknowledged records of ``events.in`` that are not events.
    repeated
        Number of events that were sent a second time, through any door.
    logins
        The visitors who have logged in.
    """

    def __init__(self, connection: Connection, partitions: int, door: str, *, seed: int, rate: int) -> None:
        self._connection = connection
        self._partitions = partitions
        self._door = door
        self._random = random.Random(f"load {seed}")
        self._rate = rate
        self._events = Storefront(seed=seed, shoppers=SHOPPERS, days=DAYS, start_ms=START_MS).events()
        self.logins = Logins(seed)
        self._bursts: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self.acknowledged: dict[str, Event] = {}
        self.malformed: set[bytes] = set()
        self.repeated = 0
        self._failed: BaseException | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop`` is set; return when everything is acknowledged."""
        began, sent = time.monotonic(), 0
        producer = patient(self._connection)
        await producer.start()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            try:
                while not stop.is_set() and self._failed is None:
                    due = int((time.monotonic() - began) * self._rate)
                    if len(self._bursts) < MAX_WAITING and due > sent:
                        self._burst(session, producer, due - sent)
                    sent = due
                    await asyncio.sleep(CLICK_EVERY_S)
                while self._bursts:
                    await asyncio.wait(set(self._bursts))
                if self._failed is not None:
                    raise self._failed
            finally:
                for burst in self._bursts:
                    burst.cancel()
                await producer.stop()

    def _burst(self, session: aiohttp.ClientSession, producer: AIOKafkaProducer, count: int) -> None:
        taken = itertools.islice(self._events, min(count, 200))
        events = [_now_and_here(event) for one in taken for event in self.logins.rewritten(one)]
        again = [event for event in events if self._random.random() < REPEATED]
        self.repeated += len(again)
        half = self._random.randrange(len(events) + 1)
        # The second copies go to both doors in turn. So some of them take the same door as the first copy, some do not.
        by_http, by_kafka = events[:half] + again[::2], events[half:] + again[1::2]
        broken = [b'{"type": "click", "%d' % next(self._numbers) for _ in events if self._random.random() < MALFORMED]
        for begin in (self._post(session, by_http), self._write(producer, by_kafka, broken)):
            task = asyncio.create_task(begin)
            self._bursts.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._bursts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = error

    async def _post(self, session: aiohttp.ClientSession, events: list[Event]) -> None:
        if not events:
            return
        body = orjson.dumps({"batch": [orjson.Fragment(wire.encode(event)) for event in events]})
        while True:
            try:
                async with session.post(f"{self._door}/v1/batch", data=body) as answer:
                    said = await answer.read()
                    if answer.status == 200:
                        break
                    assert answer.status >= 500 or answer.status == 408, (answer.status, said[:500])
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # the door is being killed, or is down: send the events again, as a real client would
            await asyncio.sleep(AGAIN_S)
        self.acknowledged.update((event.id, event) for event in events)

    async def _write(self, producer: AIOKafkaProducer, events: list[Event], broken: list[bytes]) -> None:
        """Write to ``events.in`` with any key and to any partition, as a customer's producer would."""
        waiting = [*map(wire.encode, events), *broken]
        topic = self._connection.topic("events.in")
        while waiting:
            partition = self._random.randrange(self._partitions)
            try:
                answers = [await producer.send(topic, value, b"any", partition=partition) for value in waiting]
            except KafkaError as error:
                logger.info("events.in-%d: written once more after %r", partition, error)
                await asyncio.sleep(AGAIN_S)
                continue
            results = await asyncio.gather(*answers, return_exceptions=True)
            pairs = zip(waiting, results, strict=True)
            waiting = [value for value, result in pairs if isinstance(result, BaseException)]
        self.acknowledged.update((event.id, event) for event in events)
        self.malformed.update(broken)
