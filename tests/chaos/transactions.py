"""Open transactions of a partition that makes no progress: their states in the coordinator and in the partition."""

from __future__ import annotations

from kafka import KafkaAdminClient, TopicPartition

from stream.cluster.connection import Connection


def open_transactions(connection: Connection, partitions: int) -> str:
    """Describe the transactions that the coordinator and ``profiles`` regard as open; the two should agree."""
    client = KafkaAdminClient(**connection.client_options())
    try:
        listed = [one for broker in client.list_transactions().values() for one in broker]
        places = [TopicPartition(connection.topic("profiles"), number) for number in range(partitions)]
        held = client.describe_producers(places)
    finally:
        client.close()
    of_coordinator = [
        f"{one.transactional_id} {one.state.value} (producer {one.producer_id})"
        for one in listed
        if one.transactional_id.startswith(connection.prefix)
        and not one.state.value.startswith(("Complete", "Empty", "Dead"))
    ]
    of_partitions = [
        f"partition {place.partition} since offset {one.current_transaction_start_offset} "
        f"(producer {one.producer_id}, epoch {one.producer_epoch})"
        for place, state in held.items()
        for one in state.active_producers
        if one.current_transaction_start_offset >= 0
    ]
    return f"coordinator: {', '.join(of_coordinator) or 'none'}; profiles: {', '.join(of_partitions) or 'none'}"
