"""Transactions that a broker has forgotten to end, found by whoever cannot read its own state, and ended as decided.

A broker that is killed and comes back at once may take up its transactions before it knows of every topic: Apache Kafka
4.3 takes partitions that it does not know for deleted, calls a transaction that was being committed complete, and never
writes its end there. To its coordinator it is over; in the partitions it stays open for ever, and everybody who reads
what is committed waits in front of it. It was seen with one node and young topics; with several nodes another one
takes the transactions up, which has known the topics all the time.

Whoever has just taken a partition over can tell such a transaction from others: nobody else writes to its state, and
taking it over has ended what the former owner had open. What is still open there is forgotten. Whether it was to be
committed stands in the coordinator's own log, and is done now: the former owner may have been told that it is
committed, and have called a provider.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from stream.cluster.admin import admin
from stream.cluster.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, TopicPartition

log = logging.getLogger(__name__)

LOG = "__transaction_state"
READ_WITHIN_S = 30.0
_OVER = ("Empty", "CompleteCommit", "CompleteAbort")
_VALUE = struct.Struct(">hqhib")
"""Of the coordinator's log: schema, producer id, epoch, timeout, status; more follows."""
_KEY = struct.Struct(">hh")
_COMMITTED, _ABORTED = (2, 4), (3, 5)


def end_forgotten(connection: Connection, transactional_id: str, topic: str, partition: int) -> list[tuple[str, int]]:
    """End what holds a state partition back that was just taken over.

    Parameters
    ----------
    connection
        The cluster; its user needs the rights ``READ`` on the topic ``__transaction_state`` and ``CLUSTER_ACTION`` on
        the cluster.
    transactional_id
        Of the owner, who must have taken it before.
    topic, partition
        Physical name and number of its state.

    Returns
    -------
    list of tuple
        Topic and partition wherever something was ended; empty where nothing is forgotten, or not known how to end it.

    Raises
    ------
    BrokerUnreachable
        No broker answers, or it refuses.
    """
    from kafka import TopicPartition

    state = TopicPartition(topic, partition)
    with admin(connection) as client:
        if client.describe_transactions([transactional_id])[transactional_id].state.value not in _OVER:
            return []  # somebody else has taken it over meanwhile, and writes
        ends: dict[tuple[int, int], bool] = {}
        for one in _open_in(client, [state])[state]:
            commit = decision(_history(client, connection, transactional_id), one.producer_id, one.producer_epoch)
            if commit is None:
                log.error("%s-%d: held back by a transaction that nobody knows of: %s", topic, partition, one)
            else:
                ends[one.producer_id, one.producer_epoch] = commit
        return _end(client, connection, state, ends) if ends else []


def decision(history: Iterable[tuple[int, int, int]], producer_id: int, epoch: int) -> bool | None:
    """Whether the last transaction of a producer was to be committed; ``None`` where nothing was decided.

    Parameters
    ----------
    history
        Producer id, epoch and status of each of the coordinator's records, in their order.
    producer_id, epoch
        Of the producer.

    Examples
    --------
    >>> begun, prepared, done, fenced = (7, 0, 1), (7, 0, 2), (7, 0, 4), (7, 1, 0)
    >>> decision([begun, prepared, done, fenced], 7, 0), decision([done, begun], 7, 0)
    (True, None)

    Who is fenced in the middle of a transaction has it aborted under the next epoch:

    >>> decision([begun, (7, 1, 3), (7, 1, 5), (7, 2, 0)], 7, 0)
    False
    """
    commit: bool | None = None
    for found_id, found_epoch, status in history:
        if found_id != producer_id:
            continue
        if found_epoch == epoch:
            commit = True if status in _COMMITTED else False if status in _ABORTED else None
        elif found_epoch == epoch + 1 and commit is None and status in _ABORTED:
            commit = False
    return commit


def coordinator_partition(transactional_id: str, partitions: int) -> int:
    """In which partition of its log a coordinator keeps a transactional id: Java's hash of its characters.

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
    from kafka import KafkaConsumer, TopicPartition

    (described,) = client.describe_topics([LOG])
    place = TopicPartition(LOG, coordinator_partition(transactional_id, len(described["partitions"])))
    consumer = KafkaConsumer(**connection.client_options(), group_id=None, auto_offset_reset="earliest")
    found = []
    try:
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            batches = consumer.poll(timeout_ms=int(READ_WITHIN_S * 1_000))
            if not batches:
                break  # said as what it is: nothing is known
            found += [
                _VALUE.unpack_from(record.value)[1:3] + _VALUE.unpack_from(record.value)[4:]
                for record in batches[place]
                if record.value is not None and _is_of(record.key, transactional_id)
            ]
    finally:
        consumer.close()
    return found


def _is_of(key: bytes, transactional_id: str) -> bool:
    schema, length = _KEY.unpack_from(key)
    return schema == 0 and key[_KEY.size : _KEY.size + length] == transactional_id.encode()


def _end(
    client: KafkaAdminClient, connection: Connection, state: TopicPartition, ends: dict[tuple[int, int], bool]
) -> list[tuple[str, int]]:
    found = _open_in(client, _partitions(client, connection))
    ended = []
    # The state last: as long as it stands open, whoever comes after a crash in between finds the rest.
    for place in sorted(found, key=lambda place: (place == state, place)):
        for one in found[place]:
            commit = ends.get((one.producer_id, one.producer_epoch))
            if commit is None:
                continue
            log.error(
                "%s-%d: Kafka has forgotten to end a transaction at offset %d (producer %d, epoch %d); it is %s now",
                *place, one.current_transaction_start_offset, one.producer_id, one.producer_epoch,
                "committed" if commit else "aborted",
            )  # fmt: skip
            _write_marker(client, place, one, commit=commit)
            ended.append((place.topic, place.partition))
    return ended


def _write_marker(client: KafkaAdminClient, place: TopicPartition, one: Any, *, commit: bool) -> None:
    from kafka.admin import AbortTransactionSpec

    # With a lower epoch of the coordinator than the partition has seen it is refused.
    spec = AbortTransactionSpec(place, one.producer_id, one.producer_epoch, one.coordinator_epoch)
    request = client._abort_transaction_request(spec)  # kafka-python's public way can only abort
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
    """Producers that have a transaction open in each partition, as its leader says."""
    return {
        place: [one for one in state.active_producers if one.current_transaction_start_offset >= 0]
        for place, state in client.describe_producers(places).items()
    }
