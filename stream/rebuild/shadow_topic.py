"""Creation and deletion of ``profiles.rebuild``, the topic of shadows, which exists only during a rebuild."""

from __future__ import annotations

from models.errors import PerennialError
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors, name_of
from stream.cluster.topics import existing, topic

__all__ = ["TOPIC", "TopicRefused", "delete", "make"]

TOPIC = "profiles.rebuild"


class TopicRefused(PerennialError):
    """The cluster does not allow us to create or delete a topic."""


def make(connection: Connection, partitions: int, replication_factor: int) -> None:
    """Create the topic of shadows, unless it still exists from an earlier rebuild.

    Raises
    ------
    TopicRefused
        The message says what to do.
    """
    from kafka.errors import TopicAlreadyExistsError, for_code

    name = connection.topic(TOPIC)
    with admin(connection) as client:
        found = existing(client, connection).get(name)
        if found is not None and found != partitions:
            raise TopicRefused(f"{name} has {found} partitions, and the log {partitions}; delete it")
        if found is None:
            wanted = {
                "num_partitions": partitions,
                "replication_factor": replication_factor,
                "configs": topic(TOPIC).configs(),
            }
            for made in client.create_topics({name: wanted}, raise_errors=False)["topics"]:
                error = for_code(made["error_code"])
                if made["error_code"] and error is not TopicAlreadyExistsError:
                    raise TopicRefused(f"{name} was not created: {error.__name__}: {made['error_message'] or ''}")
            client.wait_for_topics([name], timeout_ms=30_000)


def delete(connection: Connection) -> None:
    """Delete the topic of shadows.

    Raises
    ------
    TopicRefused
        An operator has to delete it. Otherwise the next rebuild continues from these shadows.
    """
    name = connection.topic(TOPIC)
    with admin(connection) as client:
        try:
            with map_kafka_errors(f"{name} could not be deleted"):
                client.delete_topics([name])
        except BrokerUnavailable as error:
            raise TopicRefused(
                f"everything is switched over, but {name} could not be deleted ({name_of(error)}); delete it, or "
                f"begin the next rebuild with `--anew`"
            ) from error
