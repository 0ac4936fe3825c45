"""Removal of a dead member from its consumer group, so that other members get its partitions earlier.

Otherwise the group would wait for the end of the member's session.
"""

from __future__ import annotations

import logging

from stream.cluster.admin import admin
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable, map_kafka_errors

__all__ = ["remove_dead_member"]

logger = logging.getLogger(__name__)


def remove_dead_member(connection: Connection, group: str, member: str) -> bool:
    """Remove a dead member from its consumer group.

    If the member is alive, it is only fenced, and its partitions move.

    Parameters
    ----------
    connection
        The cluster.
    group, member
        Name of the group, and the member's id, as the member has reported them.

    Returns
    -------
    bool
        Whether the member was removed by this call. ``False`` if it is no longer in the group, or if Kafka does not
        answer. In the second case its session ends later.
    """
    from kafka.admin import MemberToRemove
    from kafka.errors import NoError

    try:
        with map_kafka_errors("the member was not removed"), admin(connection) as client:
            answers = client.remove_group_members(group, [MemberToRemove(member_id=member, reason="its process ended")])
    except BrokerUnavailable as error:
        logger.info("%s stays in the group %s until its session ends: %r", member, group, error)
        return False
    removed = all(error is NoError for error in answers.values())
    logger.info("%s %s the group %s", member, "was removed from" if removed else "is no longer a member of", group)
    return removed
