"""The members of consumer groups: every worker reports in its client id which format levels it knows.

Kafka returns the client id with each member of a group, so this needs neither another service nor a topic. A worker of
code without levels has another client id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from models.levels import FIRST, NEWEST
from stream.cluster.admin import admin
from stream.cluster.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

__all__ = ["CLIENT_ID", "GroupMember", "level_of", "members_of"]

CLIENT_ID = f"perennial-level-{NEWEST}"
"""Client id of this code's workers in their consumer groups."""
_STATED = re.compile(r"perennial-level-(\d{1,9})")


COORDINATOR_WITHIN_S = 10.0
"""How long a cluster may take to appoint a group's coordinator, seconds. The first question makes it create a topic."""


class GroupMember(NamedTuple):
    """A worker process in a consumer group.

    Attributes
    ----------
    group
        Name of the group without the installation's prefix, which is the role of the worker.
    host
        Address from which it is connected.
    member
        Its id in the group.
    level
        Highest format level that it knows.
    """

    group: str
    host: str
    member: str
    level: int


def level_of(client_id: str) -> int:
    """Return the highest format level that a worker with this client id knows.

    Examples
    --------
    >>> level_of("perennial-level-7"), level_of("faust-0.15.3")
    (7, 1)
    """
    stated = _STATED.fullmatch(client_id)
    return FIRST if stated is None else int(stated[1])


def members_of(connection: Connection, groups: Iterable[str]) -> list[GroupMember]:
    """Return the members of some consumer groups; a process that has just been killed is a member for some seconds.

    Parameters
    ----------
    connection
        The cluster. It must be Apache Kafka, because kafka-python cannot read the embedded broker's answer.
    groups
        Names of the groups, without the installation's prefix.

    Raises
    ------
    BrokerUnreachable
        No broker answers.
    """
    names = {connection.group(group): group for group in groups}
    with admin(connection) as client:
        described = _describe(client, list(names))
    found = [
        GroupMember(group, str(one["client_host"]).lstrip("/"), one["member_id"], level_of(one["client_id"]))
        for name, group in names.items()
        for one in described[name]["members"]
    ]
    return sorted(found)


def _describe(client: KafkaAdminClient, names: list[str]) -> dict[str, Any]:
    from kafka.errors import CoordinatorNotAvailableError

    deadline = time.monotonic() + COORDINATOR_WITHIN_S
    while True:
        try:
            described: dict[str, Any] = client.describe_groups(names)
        except CoordinatorNotAvailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)  # nothing notifies this process when there is a coordinator
        else:
            return described
