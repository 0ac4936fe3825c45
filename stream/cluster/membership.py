"""Leaving a consumer group for a process that is dead, so that its partitions need not wait for its session to end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from stream.cluster.admin import BrokerUnreachable, admin
from stream.cluster.connection import Connection

logger = logging.getLogger(__name__)


def leave_for(connection: Connection, group: str, member: str) -> bool:
    """Take a member out of its group; only for whoever knows that it is dead.

    Even where it were not, nothing could go wrong but that it is fenced: its successor takes its partitions over.

    Parameters
    ----------
    connection
        The cluster.
    group, member
        As the member knew them.

    Returns
    -------
    bool
        Whether it is gone now; ``False`` where the group knows it no more, or Kafka does not answer: then its session
        ends by itself.
    """
    from kafka.admin import MemberToRemove
    from kafka.errors import KafkaError, NoError

    try:
        with admin(connection) as client:
            answers = client.remove_group_members(group, [MemberToRemove(member_id=member, reason="its process ended")])
    except (BrokerUnreachable, KafkaError, OSError) as error:
        logger.info("%s stays in the group %s until its session ends: %r", member, group, error)
        return False
    gone = all(error is NoError for error in answers.values())
    logger.info("%s %s the group %s", member, "was taken out of" if gone else "is no member any more of", group)
    return gone


def bury(connection: Connection, report: Mapping[str, Any]) -> None:
    """Leave the group for a process, going by the last report that it gave (``stream/worker/process.py``)."""
    if report.get("member"):
        leave_for(connection, report["group"], report["member"])
