"""Leadership of the retrainers of an installation: one of them trains, and the others stand by.

The leader is the member of a consumer group that has the one partition of ``versions``. If Kafka has transactions, a
new leader also fences the previous one. So a retrainer that stalled and continues beside the new leader publishes
nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Literal, Self

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import InvalidProducerEpochError, ProducerFencedError

from stream.cluster.connection import Connection, transactional_id
from stream.cluster.errors import map_kafka_errors

__all__ = ["Leadership", "LeadershipLost", "Standing"]

logger = logging.getLogger(__name__)

TOPIC = "versions"
APPLICATION = "retrainer"
POLL_MS = 200
"""How long one poll of the group's member lasts, milliseconds."""
BETWEEN_POLLS_S = 0.8
"""How long a member waits between two polls after the group has decided, seconds.

A poll costs much CPU time, because kafka-python wakes several times in it. Heartbeats continue between polls.
"""
RETRY_S = 2.0
"""How long the member waits before it joins the group again, seconds."""
LEAVE_WITHIN_S = 5.0
"""How long the end of leadership waits until the member has left the group, seconds."""
PUBLISH_WITHIN_S = 30.0
"""How long a publication waits for the group's decision and for the acknowledgement, seconds each."""
STUCK_S = 1_800
"""How long after a call of ``standing`` a training counts as stuck, seconds; then another retrainer becomes leader."""
TRANSACTION_TIMEOUT_MS = 15_000
"""How long a retrainer that stopped while it published can delay readers of ``versions``, milliseconds."""

Standing = Literal["joining", "standby", "training"]


class LeadershipLost(Exception):
    """Another retrainer leads now: do not use the version that this one was about to publish."""


class Leadership:
    """Membership of a retrainer in the group that chooses the leader; use it with ``with``.

    Parameters
    ----------
    connection
        The cluster.
    clock
        Seconds of a clock that never moves back.
    """

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._listener = _DecisionListener()
        self._producer: KafkaProducer | None = None
        self._asked_at = clock()
        self._leaving = threading.Event()
        self._member = threading.Thread(target=self._keep_in_group, name="leadership", daemon=True)

    def __repr__(self) -> str:
        return f"Leadership({self._listener.standing}, decision {self._listener.decisions})"

    def __enter__(self) -> Self:
        self._member.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close_producer()
        self._leaving.set()
        self._member.join(LEAVE_WITHIN_S)

    def standing(self) -> Standing:
        """Return whether this retrainer trains, stands by or is joining.

        Call it during a training too. The calls show that the training makes progress; see :data:`STUCK_S`.
        """
        self._asked_at = self._clock()
        return self._listener.standing

    @property
    def decisions(self) -> int:
        """Number of decisions of the group so far; before each, another retrainer may have led and published."""
        return self._listener.decisions

    def take(self) -> None:
        """Fence the previous leader; call it before reading anything that the previous leader could still change.

        Raises
        ------
        BrokerUnavailable
            The leadership was not taken: call this again.
        """
        self._close_producer()
        options: dict[str, Any] = {}
        if self._connection.transactions:
            own = transactional_id(self._connection.group(APPLICATION), TOPIC, 0)
            options = {"transactional_id": own, "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS}
        with map_kafka_errors("the leadership of the retrainers was not taken"):
            self._producer = KafkaProducer(**self._connection.client_options(), acks="all", **options)
            if self._connection.transactions:
                self._producer.init_transactions()

    def publish(self, key: bytes, value: bytes) -> None:
        """Write a record of ``versions``, and return when it is durable.

        Raises
        ------
        LeadershipLost
            Another retrainer leads.
        BrokerUnavailable
            It is unknown whether the record was written: :meth:`take` the leadership again, and read.
        """
        if self._producer is None or self._decided() != "training":
            raise LeadershipLost
        producer, topic = self._producer, self._connection.topic(TOPIC)
        with map_kafka_errors("it is unknown whether the version was published"):
            try:
                if self._connection.transactions:
                    producer.begin_transaction()
                producer.send(topic, key=key, value=value, partition=0).get(timeout=PUBLISH_WITHIN_S)
                if self._connection.transactions:
                    producer.commit_transaction()
            except (ProducerFencedError, InvalidProducerEpochError) as error:
                raise LeadershipLost from error

    def _decided(self) -> Standing:
        """Wait for a decision of the group, because another retrainer may just be joining, and return the standing."""
        self._listener.decided.wait(PUBLISH_WITHIN_S)
        return self.standing()

    def _keep_in_group(self) -> None:
        while not self._leaving.is_set():
            if self._is_stuck:
                self._leaving.wait(RETRY_S)
                continue
            try:
                self._be_member()
            except Exception as error:  # noqa: BLE001 - any failure: without a member in the group no retrainer trains
                self._listener.on_partitions_revoked(())
                logger.warning("left the group of retrainers, joining again: %r", error)
                self._leaving.wait(RETRY_S)

    @property
    def _is_stuck(self) -> bool:
        return self._clock() - self._asked_at > STUCK_S

    def _be_member(self) -> None:
        with contextlib.closing(self._consumer()) as consumer:
            consumer.subscribe([self._connection.topic(TOPIC)], listener=self._listener)
            while not self._leaving.is_set():
                if self._is_stuck:
                    raise TimeoutError(f"the training made no progress for {STUCK_S} s")
                # kafka-python loses a join that is answered between two polls, so one poll has to last long enough.
                joined = self._listener.decided.is_set()
                consumer.poll(timeout_ms=POLL_MS if joined else int(self._connection.session_timeout_s * 1000))
                consumer.pause(*consumer.assignment() - consumer.paused())  # this consumer reads no records
                if self._listener.decided.is_set():
                    self._leaving.wait(BETWEEN_POLLS_S)

    def _consumer(self) -> Any:
        return KafkaConsumer(
            **self._connection.client_options(),
            group_id=self._connection.group(APPLICATION),
            enable_auto_commit=False,
            # Sticky, so that a member that joins does not take the leadership away.
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=int(self._connection.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self._connection.heartbeat_interval_s * 1000),
            auto_offset_reset="latest",
            allow_auto_create_topics=False,
        )

    def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(
                Exception
            ):  # the producer may be fenced, or hold records that no broker accepts any more
                producer.close(timeout=2)


class _DecisionListener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python's types are skipped
    """Record of the group's newest decision."""

    def __init__(self) -> None:
        self.standing: Standing = "joining"
        self.decisions = 0
        self.decided = threading.Event()

    def on_partitions_revoked(self, revoked: Collection[object]) -> None:
        """Called when the group is about to decide again; until then there is no leader."""
        del revoked
        self.decided.clear()
        self.standing = "joining"

    def on_partitions_assigned(self, assigned: Collection[object]) -> None:
        """Called when the group has decided."""
        self.standing = "training" if assigned else "standby"
        self.decisions += 1
        self.decided.set()
