"""How long topics keep their records, as the cluster says."""

from __future__ import annotations

from stream.cluster.admin import admin
from stream.cluster.connection import Connection


def retention_ms(connection: Connection, topic: str) -> int | None:
    """Return how long a topic keeps its records, milliseconds; ``None`` for ever, or if the broker does not say.

    Parameters
    ----------
    connection
        The cluster.
    topic
        Logical name of the topic.

    Raises
    ------
    BrokerUnreachable
        No broker answers.
    """
    from kafka.admin import ConfigResource

    name = connection.topic(topic)
    with admin(connection) as client:
        answer = client.describe_configs([ConfigResource("TOPIC", name)], config_filter="all")
    kept = answer.get("topic", {}).get(name, {}).get("retention.ms")
    return None if kept is None or int(kept["value"]) < 0 else int(kept["value"])
