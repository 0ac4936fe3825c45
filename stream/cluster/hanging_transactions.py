"""Hanging transactions (KIP-664): transactions that a broker never ends. A new owner finds them and ends them.

A broker that is killed and returns at once may load its transactions before it knows every topic. Apache Kafka 4.3
treats partitions that it does not know as deleted. Then it regards a transaction that was being committed as complete,
and never writes the end of the transaction into these partitions. For the coordinator the transaction is over, but in
the partitions it stays open forever. Every reader of committed records stops there. This was seen with one node and new
topics. With several nodes another node, which knows the topics, loads the transactions.

The new owner of a partition can recognise such a transaction. No other process writes to the owner's state, and the
takeover has ended the transactions that the previous owner had open. So a transaction that is still open there is a
hanging one. The coordinator's log contains the decision to commit or to abort it. The new owner carries out this
decision, because the previous owner may have been notified of the commit, and may have called a provider.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import aiokafka

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.topic_reader import TopicReader, blocking

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, TopicPartition

__all__ = ["coordinator_partition", "decision", "end_hanging_transactions"]

logger = logging.getLogger(__name__)

COORDINATOR_TOPIC = "__transaction_state"
SILENCE_S = 30.0
"""How long to wait for an answer of the broker while the coordinator's log is read, seconds."""
_OVER = ("Empty", "CompleteCommit", "CompleteAbort")
_VALUE = struct.Struct(">hqhib")
"""Beginning of a value in the coordinator's log: schema, producer id, epoch, timeout, status."""
_KEY = struct.Struct(">hh")
_ONGOING, _COMMITTED, _ABORTED = 1, (2, 4), (3, 5)


def end_hanging_transactions(
    connection: Connection, transactional_id: str, topic: str, partition: int
) -> list[tuple[str, int]]:
    """End the hanging transactions of a state partition that this process has just taken over.

    Parameters
    ----------
    connection
        The cluster; its user needs the rights ``READ`` on the topic ``__transaction_state`` and ``CLUSTER_ACTION`` on
        the cluster.
    transactional_id
        Transactional id of the owner. The owner must already have fenced the previous owner with this id.
    topic, partition
        Physical name and number of the state partition.

    Returns
    -------
    list of tuple
        Topic and partition of each transaction that was ended. Empty if none hangs, or if the decision is unknown.

    Raises
    ------
    BrokerUnavailable
        The broker does not answer, or it refuses.
    """
    from kafka import TopicPartition

    state = TopicPartition(topic, partition)
    with admin(connection) as client:
        if client.describe_transactions([transactional_id])[transactional_id].state.value not in _OVER:
            return []  # another owner has taken the partition over meanwhile, and writes
        ends: dict[tuple[int, int], bool] = {}
        for one in _open_in(client, [state])[state]:
            commit = decision(_history(client, connection, transactional_id), one.producer_id, one.producer_epoch)
            if commit is None:
                logger.error("%s-%d: a transaction hangs, and its decision is unknown: %s", topic, partition, one)
            else:
                ends[one.producer_id, one.producer_epoch] = commit
        return _end(client, connection, state, ends) if ends else []


def decision(history: Iterable[tuple[int, int, int]], producer_id: int, epoch: int) -> bool | None:
    """Return whether the decision was to commit a producer's last transaction; ``None`` if nothing was decided.

    Parameters
    ----------
    history
        Producer id, epoch and status of each of the coordinator's records, in their order.
    producer_id, epoch
        Id and epoch of the producer.

    Examples
    --------
    >>> begun, prepared, done, fenced = (7, 0, 1), (7, 0, 2), (7, 0, 4), (7, 1, 0)
    >>> decision([begun, prepared, done, fenced], 7, 0), decision([done, begun], 7, 0)
    (True, None)

    The transaction of a producer that is fenced in the middle of it is aborted under the next epoch:

    >>> decision([begun, (7, 1, 3), (7, 1, 5), (7, 2, 0)], 7, 0)
    False

    Every newer transaction (``transaction.version`` 2) ends under the next epoch, at which the following one begins:

    >>> decision([begun, (7, 1, 2), (7, 1, 4), (7, 1, 1), (7, 2, 3), (7, 2, 5)], 7, 0)
    True
    """
    commit: bool | None = None
    has_begun = False
    for found_id, found_epoch, status in history:
        if found_id != producer_id:
            continue
        if found_epoch == epoch:
            has_begun = status == _ONGOING
            commit = True if status in _COMMITTED else False if status in _ABORTED else None
        elif found_epoch == epoch + 1 and commit is None:
            if status in _ABORTED:
                commit = False
            elif status in _COMMITTED and has_begun:
                commit = True
    return commit


def coordinator_partition(transactional_id: str, partitions: int) -> int:
    """Return the partition of the coordinator's log for a transactional id: Java's hash of its characters.

    Examples
    --------
    >>> coordinator_partition("perennial.fold-events-3", 50)
    21
    """
    found = 0
    for (unit,) in struct.iter_unpack(">H", transactional_id.encode("utf-16-be")):
        found = (31 * found + unit) & 0xFFFFFFFF
    return (found & 0x7FFFFFFF) % partitions


def _history(client: KafkaAdminClient, connection: Connection, transactional_id: str) -> list[tuple[int, int, int]]:
    (described,) = client.describe_topics([COORDINATOR_TOPIC])
    number = coordinator_partition(transactional_id, len(described["partitions"]))
    return list(blocking(_decisions(connection, number, transactional_id)))


async def _decisions(
    connection: Connection, partition: int, transactional_id: str
) -> AsyncGenerator[tuple[int, int, int]]:
    """Yield producer id, epoch and status from each of the coordinator's records of a transactional id."""
    place = aiokafka.TopicPartition(COORDINATOR_TOPIC, partition)
    async with TopicReader(connection, [place]) as reader, aclosing(reader.read_to_end(silence_s=SILENCE_S)) as batches:
        async for _, records in batches:
            for record in records:
                if record.value is not None and record.key is not None and _is_of(record.key, transactional_id):
                    _, producer_id, epoch, _, status = _VALUE.unpack_from(record.value)
                    yield producer_id, epoch, status


def _is_of(key: bytes, transactional_id: str) -> bool:
    schema, length = _KEY.unpack_from(key)
    return schema == 0 and key[_KEY.size : _KEY.size + length] == transactional_id.encode()


def _end(
    client: KafkaAdminClient, connection: Connection, state: TopicPartition, ends: dict[tuple[int, int], bool]
) -> list[tuple[str, int]]:
    found = _open_in(client, _partitions(client, connection))
    ended = []
    # The state partition comes last. If this process crashes before that, the transaction is still open in the state
    # partition. So the next owner finds it, and ends it in all partitions.
    for place in sorted(found, key=lambda place: (place == state, place)):
        for one in found[place]:
            commit = ends.get((one.producer_id, one.producer_epoch))
            if commit is None:
                continue
            logger.error(
                "%s-%d: a transaction hangs at offset %d (producer %d, epoch %d); it is %s now",
                *place, one.current_transaction_start_offset, one.producer_id, one.producer_epoch,
                "committed" if commit else "aborted",
            )  # fmt: skip
            _write_marker(client, place, one, commit=commit)
            ended.append((place.topic, place.partition))
    return ended


def _write_marker(client: KafkaAdminClient, place: TopicPartition, one: Any, *, commit: bool) -> None:
    from kafka.admin import AbortTransactionSpec

    # The broker refuses a marker with a lower coordinator epoch than the partition has seen.
    spec = AbortTransactionSpec(place, one.producer_id, one.producer_epoch, one.coordinator_epoch)
    request = client._abort_transaction_request(spec)  # kafka-python's public method can only abort
    request.markers[0].transaction_result = commit

    async def write() -> None:
        (leader,) = await client._async_get_leader_for_partitions([place])
        client._abort_transaction_process_response(await client._manager.send(request, node_id=leader), spec)

    client._manager.run(write)


def _partitions(client: KafkaAdminClient, connection: Connection) -> list[TopicPartition]:
    from kafka import TopicPartition

    ours = [name for name in client.list_topics() if name.startswith(connection.prefix)]
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in client.describe_topics(ours)
        for partition in topic["partitions"]
    ]


def _open_in(client: KafkaAdminClient, places: list[TopicPartition]) -> dict[TopicPartition, list[Any]]:
    """Return the producers that have an open transaction in each partition, according to the partition's leader."""
    return {
        place: [one for one in state.active_producers if one.current_transaction_start_offset >= 0]
        for place, state in client.describe_producers(places).items()
    }
