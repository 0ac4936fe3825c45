"""Learners in a round: their examples, and two undisturbed learners for the comparison."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from models.learning import churn, segments
from models.learning.examples import (
    CHURN_TOPIC,
    SEGMENTS_TOPIC,
    ChurnExample,
    SegmentExample,
    decode_churn,
    decode_segment,
    encode_example,
    fingerprint,
)
from models.learning.lesson import KEY
from models.profile.features import FEATURES
from stream.cluster.connection import Connection
from tests.chaos.load import patient
from tests.chaos.reference import reader, to_end

logger = logging.getLogger(__name__)

CLICK_EVERY_S = 0.2
PUPIL = b"pupil-"
"""Prefix of users whose examples the suite writes.

The fold would write too few: it takes only one example of a user per week, and a round lasts for seconds.
"""


class Lessons:
    """Writer of examples of both kinds, in the form in which the fold writes them.

    Parameters
    ----------
    connection
        Connection of the installation.
    seed
        Seed; the same seed gives the same examples.
    rate
        Number of examples of each kind per second.
    """

    def __init__(self, connection: Connection, *, seed: int, rate: int) -> None:
        self._connection = connection
        self._pairs = _examples(random.Random(f"lessons {seed}"))
        self._rate = rate

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop`` is set; return when everything is acknowledged."""
        producer = patient(self._connection)
        await producer.start()
        began, sent = time.monotonic(), 0
        try:
            while not stop.is_set():
                await asyncio.sleep(CLICK_EVERY_S)
                due = int((time.monotonic() - began) * self._rate)
                for pairs in zip(*itertools.islice(self._pairs, due - sent), strict=True):
                    await self._write(producer, pairs)
                sent = due
        finally:
            await producer.stop()

    async def _write(self, producer: AIOKafkaProducer, waiting: tuple[tuple[str, bytes, bytes], ...]) -> None:
        while True:
            try:
                answers = [
                    await producer.send(self._connection.topic(topic), value, key, partition=0)
                    for topic, key, value in waiting
                ]
                await asyncio.gather(*answers)
            except KafkaError as error:
                # An example that is in the log twice is learned twice by every learner, so the comparison still holds.
                logger.info("examples: written once more after %r", error)
                await asyncio.sleep(CLICK_EVERY_S)
            else:
                return


def _examples(chance: random.Random) -> Iterator[tuple[tuple[str, bytes, bytes], ...]]:
    """Yield examples without end, one of each kind at a time: topic, key, value."""
    schema = fingerprint(FEATURES)
    for number in itertools.count():
        user, row = f"{PUPIL.decode()}{number}", [chance.uniform(0, 3) for _ in FEATURES]
        graded = chance.random() < 0.7
        labelled = ChurnExample(
            user=user,
            at=number,
            due=number + 1,
            schema=schema,
            row=row,
            risk=chance.random() if graded else None,
            version=1 if graded else 0,
            churned=row[0] + chance.gauss(0, 0.5) > 1.5,
        )
        looked_at = SegmentExample(user=user, at=number, schema=schema, row=row)
        yield (
            (CHURN_TOPIC, user.encode(), encode_example(labelled)),
            (SEGMENTS_TOPIC, user.encode(), encode_example(looked_at)),
        )


class QuietLearner:
    """Learner of one model that reads its log and is never disturbed.

    Attributes
    ----------
    position
        Offset after the last example.
    examples
        Number of examples learned so far.
    versions
        Content of each version.
    """

    def __init__(self, learner: Any, decode: Callable[[bytes | None], Any]) -> None:
        self._learner = learner
        self._decode = decode
        self.position = 0
        self.versions: dict[int, bytes] = {}

    @property
    def examples(self) -> int:
        return int(self._learner.examples)

    @property
    def newest(self) -> int:
        """Number of the newest version; 0 before the first."""
        return max(self.versions, default=0)

    @property
    def records(self) -> dict[bytes, bytes]:
        """Expected committed state of a real learner that has read up to this position."""
        return {KEY: self._learner.state()} if self.position else {}

    def learn(self, record: ConsumerRecord) -> None:
        """Learn from the next record."""
        version = self._learner.learn_one(self._decode(record.value))
        if version is not None:
            self.versions[version.version] = version.content
        self.position = record.offset + 1


class QuietLearners:
    """Undisturbed learners, one of each model, that read the logs of the real ones; use it with ``async with``.

    Attributes
    ----------
    models
        The learners, by name of their model.
    """

    def __init__(self, connection: Connection) -> None:
        self._consumer, self._exact = reader(connection), connection.transactions
        self.models = {
            churn.NAME: QuietLearner(churn.ChurnLearner(FEATURES), decode_churn),
            segments.NAME: QuietLearner(segments.SegmentLearner(FEATURES), decode_segment),
        }
        self._places = {TopicPartition(connection.topic(f"examples.{name}"), 0): name for name in self.models}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(list(self._places))
        # Let aiokafka's tasks begin. To stop a task that never began raises an error, which would hide an earlier one.
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def catch_up(self) -> None:
        """Learn up to the current end of the log."""
        async for batches in to_end(self._consumer, list(self._places), exact=self._exact):
            for place, records in batches.items():
                for record in records:
                    self.models[self._places[place]].learn(record)
