"""Whose turn it is to train: of all retrainers of an installation one at a time, while the others stand by.

The turn is the one partition of ``versions`` in a consumer group. Where Kafka has transactions, whoever gets the turn
also fences the one before, so that a retrainer which stalled and wakes up beside its successor publishes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any, Literal, Self

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import InvalidProducerEpochError, ProducerFencedError

from stream.cluster.connection import Connection, transactional_id

log = logging.getLogger(__name__)

TOPIC = "versions"
APPLICATION = "retrainer"
POLL_MS = 200
AGAIN_S = 2.0
LEAVE_WITHIN_S = 5.0
PUBLISH_WITHIN_S = 30.0
STUCK_S = 1_800
"""A training that says nothing for so long is taken for dead, and the turn goes to another."""
TRANSACTION_TIMEOUT_MS = 15_000
"""Readers of ``versions`` wait no longer for a retrainer that froze while it published."""

Standing = Literal["joining", "standby", "training"]


class TurnLost(Exception):
    """Another retrainer has the turn now: what this one was about to publish counts no more."""


class Turn:
    """A retrainer's place in the line; use it with ``with``.

    Parameters
    ----------
    connection
        To the cluster.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._listener = _Listener()
        self._producer: KafkaProducer | None = None
        self._asked_at = time.monotonic()
        self._leaving = threading.Event()
        self._member = threading.Thread(target=self._keep_in_group, name="turn to train", daemon=True)

    def __enter__(self) -> Self:
        self._member.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go()
        self._leaving.set()
        self._member.join(LEAVE_WITHIN_S)

    def standing(self) -> Standing:
        """Where this one stands; whoever asks is alive, so ask in training, too."""
        self._asked_at = time.monotonic()
        return self._listener.standing

    @property
    def number(self) -> int:
        """How often the group has decided: with each decision, what was known of the turn's work may be old."""
        return self._listener.decisions

    def take(self) -> None:
        """Shut out the one before, before anything is read that it could still change."""
        self._let_go()
        options: dict[str, Any] = {}
        if self._connection.transactions:
            own = transactional_id(self._connection.group(APPLICATION), TOPIC, 0)
            options = {"transactional_id": own, "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS}
        self._producer = KafkaProducer(**self._connection.client_options(), acks="all", **options)
        if self._connection.transactions:
            self._producer.init_transactions()

    def publish(self, key: bytes, value: bytes) -> None:
        """Write a record of ``versions``, and return when it is durable.

        Raises
        ------
        TurnLost
            Another one has it.
        KafkaError
            Whether it was written is unknown: :meth:`take` the turn again, and read.
        """
        if self._producer is None or self._decided() != "training":
            raise TurnLost
        producer, topic = self._producer, self._connection.topic(TOPIC)
        try:
            if self._connection.transactions:
                producer.begin_transaction()
            producer.send(topic, key=key, value=value, partition=0).get(timeout=PUBLISH_WITHIN_S)
            if self._connection.transactions:
                producer.commit_transaction()
        except (ProducerFencedError, InvalidProducerEpochError) as error:
            raise TurnLost from error

    def _decided(self) -> Standing:
        """Where this one stands, once the group has decided; another may be joining just now."""
        self._listener.decided.wait(PUBLISH_WITHIN_S)
        return self.standing()

    def _keep_in_group(self) -> None:
        while not self._leaving.is_set():
            if self._is_stuck:
                self._leaving.wait(AGAIN_S)
                continue
            try:
                self._belong()
            except Exception as error:  # noqa: BLE001 - whatever it is: without a place in the group nobody trains
                self._listener.on_partitions_revoked(())
                log.warning("the group of retrainers was left, and is joined again: %r", error)
                self._leaving.wait(AGAIN_S)

    @property
    def _is_stuck(self) -> bool:
        return time.monotonic() - self._asked_at > STUCK_S

    def _belong(self) -> None:
        with contextlib.closing(self._consumer()) as consumer:
            consumer.subscribe([self._connection.topic(TOPIC)], listener=self._listener)
            while not self._leaving.is_set():
                if self._is_stuck:
                    raise TimeoutError(f"the training has said nothing for {STUCK_S} s")
                # kafka-python forgets a join that is answered between two polls: one has to last as long as that takes
                joined = self._listener.decided.is_set()
                consumer.poll(timeout_ms=POLL_MS if joined else int(self._connection.session_timeout_s * 1000))
                consumer.pause(*consumer.assignment() - consumer.paused())  # nothing is read here

    def _consumer(self) -> Any:
        return KafkaConsumer(
            **self._connection.client_options(),
            group_id=self._connection.group(APPLICATION),
            enable_auto_commit=False,
            # sticky: one that joins takes nobody's turn away
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=int(self._connection.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._connection.heartbeat_interval_s * 1000),
            auto_offset_reset="latest",
            allow_auto_create_topics=False,
        )

    def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):  # it may be fenced, or hold what nobody takes any more
                producer.close(timeout=2)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python's types are skipped
    """Hears who has the turn."""

    def __init__(self) -> None:
        self.standing: Standing = "joining"
        self.decisions = 0
        self.decided = threading.Event()

    def on_partitions_revoked(self, revoked: Collection[object]) -> None:
        """Nothing counts until the group has decided anew."""
        del revoked
        self.decided.clear()
        self.standing = "joining"

    def on_partitions_assigned(self, assigned: Collection[object]) -> None:
        """Hear the group's decision."""
        self.standing = "training" if assigned else "standby"
        self.decisions += 1
        self.decided.set()
