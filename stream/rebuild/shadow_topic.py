"""Creation and deletion of the topics of shadows, ``profiles.rebuild`` and ``merges.rebuild``.

They exist only during a rebuild.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.errors import PerennialError
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors, name_of
from stream.cluster.topics import existing, topic

__all__ = ["MERGES", "TOPIC", "TopicRefused", "delete", "found", "make"]

TOPIC = "profiles.rebuild"
"""Topic of the users of shadows."""
MERGES = "merges.rebuild"
"""Topic of what visitors hand over to known users, computed again."""


class TopicRefused(PerennialError):
    """The cluster does not allow us to create or delete a topic."""


def make(connection: Connection, partitions: int, replication_factor: int) -> None:
    """Create the topics of shadows, unless they still exist from an earlier rebuild.

    Raises
    ------
    TopicRefused
        The message says what to do.
    """
    from kafka.errors import TopicAlreadyExistsError, for_code

    with admin(connection) as client:
        there = existing(client, connection)
        wanted: dict[str, Mapping[str, object]] = {}
        for one in (TOPIC, MERGES):
            name, found = connection.topic(one), there.get(connection.topic(one))
            if found is not None and found != partitions:
                raise TopicRefused(f"{name} has {found} partitions, and the log {partitions}; delete it")
            if found is None:
                wanted[name] = {
                    "num_partitions": partitions,
                    "replication_factor": replication_factor,
                    "configs": topic(one).configs(),
                }
        if not wanted:
            return
        for made in client.create_topics(wanted, raise_errors=False)["topics"]:
            error = for_code(made["error_code"])
            if made["error_code"] and error is not TopicAlreadyExistsError:
                raise TopicRefused(f"{made['name']} was not created: {error.__name__}: {made['error_message'] or ''}")
        client.wait_for_topics(list(wanted), timeout_ms=30_000)


def found(connection: Connection) -> list[str]:
    """Return the physical names of the topics of shadows that exist: a rebuild is not at its end."""
    with admin(connection) as client:
        there = existing(client, connection)
    return [name for name in map(connection.topic, (TOPIC, MERGES)) if name in there]


def delete(connection: Connection) -> None:
    """Delete the topics of shadows.

    Raises
    ------
    TopicRefused
        An operator has to delete them. Otherwise the next rebuild continues from these shadows.
    """
    names = [connection.topic(TOPIC), connection.topic(MERGES)]
    with admin(connection) as client:
        try:
            with map_kafka_errors(f"{' and '.join(names)} could not be deleted"):
                client.delete_topics(names)
        except BrokerUnavailable as error:
            raise TopicRefused(
                f"everything is switched over, but {' and '.join(names)} could not be deleted ({name_of(error)}); "
                f"delete them, or begin the next rebuild with `--anew`"
            ) from error
