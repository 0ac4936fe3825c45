"""The one topic that is there only while it is needed: the shadows of a rebuild."""

from __future__ import annotations

from models.errors import PerennialError
from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.topics import Topic, existing
from stream.rebuild.shadow import TOPIC

SHADOWS = Topic(
    TOPIC, "user id; the lane's own records begin with NUL", "models.profile.state.Customer, packed", "log", "compact",
    None, "rebuild", "rebuild", "commits in one transaction with the position that it was folded to", alike="events",
)  # fmt: skip


class TopicRefused(PerennialError):
    """The cluster does not let us make or delete a topic."""


def make(connection: Connection, partitions: int, replication_factor: int) -> None:
    """Make the topic of shadows, where an earlier rebuild has not left it.

    Raises
    ------
    TopicRefused
        With what to do.
    """
    from kafka.errors import TopicAlreadyExistsError, for_code

    name = connection.topic(TOPIC)
    with admin(connection) as client:
        there = existing(client, connection).get(name)
        if there is not None and there != partitions:
            raise TopicRefused(f"{name} has {there} partitions, and the log {partitions}; delete it")
        if there is None:
            wanted = {
                "num_partitions": partitions,
                "replication_factor": replication_factor,
                "configs": SHADOWS.configs(),
            }
            for made in client.create_topics({name: wanted}, raise_errors=False)["topics"]:
                error = for_code(made["error_code"])
                if made["error_code"] and error is not TopicAlreadyExistsError:
                    raise TopicRefused(f"{name} was not made: {error.__name__}: {made['error_message'] or ''}")
            client.wait_for_topics([name], timeout_ms=30_000)


def delete(connection: Connection) -> None:
    """Delete the topic of shadows.

    Raises
    ------
    TopicRefused
        It has to be deleted by somebody else, or the next rebuild will take this one for its own.
    """
    from kafka.errors import KafkaError

    name = connection.topic(TOPIC)
    with admin(connection) as client:
        try:
            client.delete_topics([name])
        except KafkaError as error:
            raise TopicRefused(
                f"everything is switched over, but {name} could not be deleted ({type(error).__name__}); delete it, or "
                f"begin the next rebuild with --anew"
            ) from error
