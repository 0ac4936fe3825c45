"""The broker's view of an installation that makes no progress: open transactions, and the groups of consumers."""

from __future__ import annotations

from kafka import KafkaAdminClient, TopicPartition

from stream.cluster.connection import Connection


def describe_stuck(connection: Connection) -> str:
    """Describe the open transactions of the coordinator and of all partitions, which should agree, and all groups."""
    client = KafkaAdminClient(**connection.client_options())
    try:
        listed = [one for broker in client.list_transactions().values() for one in broker]
        topics = [name for name in client.list_topics() if name.startswith(connection.prefix)]
        places = [
            TopicPartition(topic["name"], partition["partition_index"])
            for topic in client.describe_topics(topics)
            for partition in topic["partitions"]
        ]
        held = client.describe_producers(places)
        names = [one["group_id"] for one in client.list_groups()]
        groups = client.describe_groups(names)
    finally:
        client.close()
    of_coordinator = [
        f"{one.transactional_id} {one.state.value} (producer {one.producer_id})"
        for one in listed
        if one.transactional_id.startswith(connection.prefix)
        and not one.state.value.startswith(("Complete", "Empty", "Dead"))
    ]
    of_partitions = [
        f"{place.topic} {place.partition} since offset {one.current_transaction_start_offset} "
        f"(producer {one.producer_id}, epoch {one.producer_epoch})"
        for place, state in held.items()
        for one in state.active_producers
        if one.current_transaction_start_offset >= 0
    ]
    of_groups = [f"{name} {group['group_state']} ({len(group['members'])} members)" for name, group in groups.items()]
    return (
        f"transactions of the coordinator: {', '.join(of_coordinator) or 'none'}; "
        f"of partitions: {', '.join(of_partitions) or 'none'}; groups: {', '.join(of_groups) or 'none'}"
    )
