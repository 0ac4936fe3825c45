"""Identity of an installation, so that a command never accepts the answer of another installation's worker.

Two installations may run on one machine, and their workers listen on neighbouring ports. So each answer of a worker
names its installation: the id of the Kafka cluster, and the prefix of the topics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache

from stream.cluster.admin import RETRY_S, BrokerUnreachable, admin
from stream.cluster.connection import Connection

logger = logging.getLogger(__name__)

HEADER = "X-Perennial-Installation"
"""Header of each answer, with the identity of the worker's installation."""

CLOCK = "X-Now"
"""Header of the answer with a user's stored state: the clock of the user's partition."""

Identity = Callable[[], str]
"""Function that returns the identity of the client's installation. It may ask the broker, so call it in a thread."""


def read_identity(connection: Connection) -> str:
    """Ask the broker for the id of its cluster, and return the identity of this installation.

    Raises
    ------
    BrokerUnreachable
        The broker does not answer.
    """
    with admin(connection) as client:
        return f"{client.describe_cluster()['cluster_id']}/{connection.prefix}"


def identity_of(connection: Connection) -> Identity:
    """Return a function that asks for the identity in its first call, and then remembers it."""
    return cache(lambda: read_identity(connection))


async def await_identity(connection: Connection) -> str:
    """Return the identity once the broker answers; do not block the event loop meanwhile."""
    while True:
        try:
            return await asyncio.to_thread(read_identity, connection)
        except BrokerUnreachable as error:
            logger.warning("lookups wait for the broker: %s", error)
            await asyncio.sleep(RETRY_S)  # nothing notifies this process when the broker answers again
