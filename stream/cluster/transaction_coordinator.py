"""The broker that decides whether the transactions of one transactional id are committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    BrokerResponseError,
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest

from stream.cluster.transaction_protocol import (
    DescribeTransaction,
    EndTransaction,
    Features,
    transaction_version,
)

__all__ = ["UNANSWERED", "Producer", "TransactionAbortable", "TransactionCoordinator", "error_of", "pauses"]

logger = logging.getLogger(__name__)

UNANSWERED = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError)
"""Errors after which it is unknown whether the broker has processed the request."""
FIRST_PAUSE_S = 0.001
"""How long to wait before a request is repeated for the first time, seconds.

After a commit, the broker writes the end of the transaction into its partitions. Until this is done, it refuses the
next transaction, and this takes a few milliseconds.
"""
LONGEST_PAUSE_S = 0.1
"""How long to wait at most before a request is repeated, seconds."""
_FENCED = frozenset({InvalidProducerEpoch.errno, 90})
_ABORTABLE = 120
_MOVED = frozenset({CoordinatorNotAvailableError.errno, NotCoordinatorError.errno})
_BUSY = frozenset(
    {CoordinatorLoadInProgressError.errno, ConcurrentTransactions.errno, UnknownTopicOrPartitionError.errno}
)


class TransactionAbortable(KafkaError):  # type: ignore[misc]  # aiokafka's types are skipped
    """The broker refuses the transaction, which can only be aborted."""


class Producer(NamedTuple):
    """Producer id and epoch, by which brokers recognize the newest owner of a transactional id."""

    id: int
    epoch: int


def pauses() -> Iterator[float]:
    """Yield how long to wait before each repetition, seconds.

    Examples
    --------
    >>> found = pauses()
    >>> [next(found) for _ in range(8)]
    [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1]
    """
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def error_of(code: int) -> KafkaError:
    """Return the error that a broker's code stands for; both codes of a fenced producer give ``ProducerFenced``."""
    if code in _FENCED:
        return ProducerFenced()
    if code == _ABORTABLE:
        return TransactionAbortable()
    error: type[BrokerResponseError] = for_code(code)
    return error(f"error code {code}")


class TransactionCoordinator:
    """The coordinator of one transactional id, on whatever broker it is.

    Every method repeats its request until the coordinator has decided. The caller sets the time limit.

    Parameters
    ----------
    client
        Connected client.
    transactional_id
        The transactional id.

    Attributes
    ----------
    adds_by_produce
        Whether produce requests add their partitions to the transaction; known after :meth:`take_over`.
    """

    def __init__(self, client: AIOKafkaClient, transactional_id: str) -> None:
        self._client = client
        self._id = transactional_id
        self._node: int | None = None
        self.adds_by_produce = False

    def __repr__(self) -> str:
        return f"<TransactionCoordinator {self._id} node={self._node}>"

    async def take_over(self, timeout_ms: int) -> Producer:
        """Fence the previous owner, end its open transaction, and return the producer of the new owner.

        Parameters
        ----------
        timeout_ms
            After this time, the broker aborts a transaction that its owner does not end, milliseconds.
        """
        try:
            answer = await self._ask(InitProducerIdRequest(self._id, timeout_ms), lambda found: found.error_code)
        except ProducerFenced as error:
            # Two owners take over at the same time. Neither has written anything, so this one may try again.
            raise InvalidProducerEpoch from error
        features = await self._ask(Features(), lambda found: found.error_code)
        self.adds_by_produce = transaction_version(features) >= 2
        return Producer(answer.producer_id, answer.producer_epoch)

    async def add(self, producer: Producer, places: Iterable[TopicPartition]) -> None:
        """Add partitions to the transaction, before anything is written to them."""
        topics: dict[str, list[int]] = {}
        for place in places:
            topics.setdefault(place.topic, []).append(place.partition)
        await self._ask(AddPartitionsToTxnRequest(self._id, *producer, list(topics.items())), _refusal)

    async def end(self, producer: Producer, *, commit: bool) -> Producer:
        """Commit or abort the transaction, and return the producer of the next one."""
        if not self.adds_by_produce:
            await self._ask(EndTxnRequest(self._id, *producer, commit), lambda found: found.error_code)
            return producer
        try:
            answer = await self._ask(EndTransaction(self._id, *producer, commit=commit), lambda found: found.error_code)
        except InvalidTxnState as error:
            # The transaction is already ended. Only a new owner, or the broker after the time limit, can have done so.
            raise ProducerFenced from error
        return Producer(answer.producer_id, answer.producer_epoch)

    async def await_end(self) -> None:
        """Wait until the end of the previous transaction is written into all its partitions."""
        await self._ask(DescribeTransaction(self._id), _still_ending)

    async def _ask(self, request: Any, code_of: Callable[[Any], int]) -> Any:
        delays = pauses()
        while True:
            try:
                if self._node is None:
                    self._node = await self._client.coordinator_lookup(CoordinationType.TRANSACTION, self._id)
                answer = await self._client.send(self._node, request)
            except (*UNANSWERED, CoordinatorNotAvailableError) as error:
                logger.info("%s: %r after %s", self._id, error, type(request).__name__)
                self._node = None
            else:
                code = code_of(answer)
                if not code:
                    return answer
                if code in _MOVED:
                    self._node = None
                elif code not in _BUSY:
                    raise error_of(code)
            await asyncio.sleep(next(delays))


def _still_ending(answer: Any) -> int:
    """Return the error code of an answer about one transactional id.

    While its transaction is still ending, return the code of ``ConcurrentTransactions``.
    """
    ((code, _, state, *_),) = answer.states
    return int(code or (ConcurrentTransactions.errno if state.startswith("Prepare") else 0))


def _refusal(answer: Any) -> int:
    """Return the error code of an answer for several partitions, 0 if it has none.

    The broker adds all partitions or none. So one may have the code of the reason, and all others have
    ``OperationNotAttempted``.
    """
    codes = {code for _, partitions in answer.errors for _, code in partitions} - {0}
    return min(codes - {OperationNotAttempted.errno} or codes, default=0)
