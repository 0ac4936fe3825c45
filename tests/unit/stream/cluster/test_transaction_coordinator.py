"""The coordinator of a transactional id is found again when it moves, and asked again while it is busy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    InvalidProducerEpoch,
    InvalidTxnState,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    TopicAuthorizationFailedError,
)

from stream.cluster import transaction_coordinator
from stream.cluster.transaction_coordinator import Producer, TransactionCoordinator
from tests.support.model_brokers import ModelBrokers

MOVED = [NotCoordinatorError.errno, CoordinatorNotAvailableError.errno]
BUSY = [CoordinatorLoadInProgressError.errno, ConcurrentTransactions.errno]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_coordinator, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(transaction_coordinator, "LONGEST_PAUSE_S", 0.0)


def asking(brokers: object) -> TransactionCoordinator:
    return TransactionCoordinator(cast("AIOKafkaClient", brokers), "id")


@pytest.mark.parametrize(("version", "adds_by_produce"), [(0, False), (1, False), (2, True)])
async def test_the_cluster_decides_which_transactions_are_used(version: int, adds_by_produce: bool) -> None:
    coordinator = asking(ModelBrokers(version))

    assert await coordinator.take_over(1_000) == Producer(7, 1)
    assert coordinator.adds_by_produce is adds_by_produce


@pytest.mark.parametrize("code", MOVED + BUSY)
async def test_a_takeover_is_repeated_until_a_coordinator_has_decided(code: int) -> None:
    brokers = ModelBrokers(script={"take over": [code, code]})

    assert await asking(brokers).take_over(1_000) == Producer(7, 1)
    assert [node for kind, node in brokers.requests if kind == "take over"] == (
        [11, 12, 13] if code in MOVED else [11, 11, 11]
    )


async def test_of_two_owners_at_the_same_time_the_refused_one_may_try_again() -> None:
    brokers = ModelBrokers(script={"take over": [InvalidProducerEpoch.errno]})
    with pytest.raises(InvalidProducerEpoch):
        await asking(brokers).take_over(1_000)


async def test_a_lookup_is_repeated_while_no_coordinator_is_available() -> None:
    class Electing(ModelBrokers):
        async def coordinator_lookup(self, kind: int, key: str) -> int:
            found = await super().coordinator_lookup(kind, key)
            if found < 13:
                raise CoordinatorNotAvailableError
            return found

    brokers = Electing()

    assert await asking(brokers).take_over(1_000) == Producer(7, 1)
    assert brokers.requests[0] == ("take over", 13)


async def test_a_moved_coordinator_commits_the_transaction() -> None:
    brokers = ModelBrokers(script={"end": MOVED})
    coordinator = asking(brokers)
    producer = await coordinator.take_over(1_000)

    assert await coordinator.end(producer, commit=False) == Producer(7, 2)
    assert [node for kind, node in brokers.requests if kind == "end"] == [11, 12, 13]


@pytest.mark.parametrize("code", [InvalidProducerEpoch.errno, 90, InvalidTxnState.errno])
async def test_a_fenced_producer_cannot_end_its_transaction(code: int) -> None:
    coordinator = asking(ModelBrokers(script={"end": [code]}))
    producer = await coordinator.take_over(1_000)
    with pytest.raises(ProducerFenced):
        await coordinator.end(producer, commit=True)


async def test_the_reason_of_a_refused_addition_is_named_and_not_that_the_others_were_not_tried() -> None:
    reason, not_tried = TopicAuthorizationFailedError.errno, OperationNotAttempted.errno
    refused = SimpleNamespace(errors=[("a", [(0, not_tried)]), ("b", [(0, reason)]), ("c", [(0, not_tried)])])

    class Refusing(ModelBrokers):
        async def send(self, node: int, request: Any) -> Any:
            return refused if type(request).__name__.startswith("Add") else await super().send(node, request)

    coordinator = asking(Refusing(version=1))
    producer = await coordinator.take_over(1_000)
    with pytest.raises(TopicAuthorizationFailedError):
        await coordinator.add(producer, [TopicPartition(topic, 0) for topic in "abc"])


def test_a_debugger_shows_the_transactional_id() -> None:
    assert repr(asking(ModelBrokers())) == "<TransactionCoordinator id node=None>"
