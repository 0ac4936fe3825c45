"""Transactions that a broker has forgotten to end, found by whoever cannot read its own state, and aborted.

A broker that is killed and comes back at once may take up its transactions before it knows of every topic: Apache Kafka
4.3 takes partitions that it does not know for deleted, calls a transaction that was being committed complete, and never
writes its end there. To its coordinator it is over; in the partitions it stays open for ever, and everybody who reads
what is committed waits in front of it. It was seen with one node and young topics; with several nodes another one
takes the transactions up, which has known the topics all the time.

Whoever has just taken a partition over can tell such a transaction from others: nobody else writes to its state, and
taking it over has ended what the former owner had open. What is still open there is forgotten. It is aborted in every
partition that it stands in, the state last, and the lane reads the same records again. As a rule all of its partitions
were forgotten together, and nothing of it was ever visible; had one of them got its end, what was written there would
come once more, with the same ids.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from stream.admin import admin
from stream.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, TopicPartition

log = logging.getLogger(__name__)

_OVER = ("Empty", "CompleteCommit", "CompleteAbort")


def abort_forgotten(connection: Connection, transactional_id: str, topic: str, partition: int) -> list[tuple[str, int]]:
    """Abort what holds a state partition back that was just taken over.

    Parameters
    ----------
    connection
        The cluster; its user needs the right to alter it (``ALTER`` on ``CLUSTER``).
    transactional_id
        Of the owner, who must have taken it before.
    topic, partition
        Physical name and number of its state.

    Returns
    -------
    list of tuple
        Topic and partition wherever something was aborted; empty where nothing is forgotten.

    Raises
    ------
    BrokerUnreachable
        No broker answers, or it refuses.
    """
    from kafka import TopicPartition
    from kafka.admin import AbortTransactionSpec

    state = TopicPartition(topic, partition)
    with admin(connection) as client:
        if client.describe_transactions([transactional_id])[transactional_id].state.value not in _OVER:
            return []  # somebody else has taken it over meanwhile, and writes
        forgotten = {producer.producer_id for producer in _open_in(client, [state])[state]}
        if not forgotten:
            return []
        found = _open_in(client, _partitions(client, connection))
        aborted = []
        # The state last: as long as it stands open, whoever comes after a crash in between finds the rest.
        for place in sorted(found, key=lambda place: (place == state, place)):
            for producer in found[place]:
                if producer.producer_id in forgotten:
                    log.error(
                        "%s-%d: Kafka has forgotten to end the transaction of %s at offset %d (producer %d, epoch %d); "
                        "it is aborted, and what it held is done again",
                        *place, transactional_id, producer.current_transaction_start_offset, producer.producer_id,
                        producer.producer_epoch,
                    )  # fmt: skip
                    # with a lower epoch of the coordinator than the partition has seen it is refused
                    client.abort_transaction(
                        AbortTransactionSpec(
                            place, producer.producer_id, producer.producer_epoch, producer.coordinator_epoch
                        )
                    )
                    aborted.append((place.topic, place.partition))
    return aborted


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
