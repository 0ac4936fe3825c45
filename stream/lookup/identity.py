"""Identity of an installation, so that a command never takes the answer of another one's worker.

Two installations may run on one machine, and their workers listen on neighbouring ports. Each answer of a worker names
its installation: the id of the Kafka cluster, and the prefix of the topics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache

from stream.cluster.admin import ASK_EVERY_S, BrokerUnreachable, admin
from stream.cluster.connection import Connection

log = logging.getLogger(__name__)

HEADER = "X-Perennial-Installation"
"""Header of each answer."""

Identity = Callable[[], str]
"""Returns the identity of the asker's own installation; may ask the broker for it, so it is called in a thread."""


def read_identity(connection: Connection) -> str:
    """Ask the broker for its cluster's id, and return the identity of this installation.

    Raises
    ------
    BrokerUnreachable
        The broker does not answer.
    """
    with admin(connection) as client:
        return f"{client.describe_cluster()['cluster_id']}/{connection.prefix}"


def identity_of(connection: Connection) -> Identity:
    """Return a function that asks for the identity at its first call, and then remembers it."""
    return cache(lambda: read_identity(connection))


async def await_identity(connection: Connection) -> str:
    """Return the identity once the broker answers; the loop goes on meanwhile."""
    while True:
        try:
            return await asyncio.to_thread(read_identity, connection)
        except BrokerUnreachable as error:
            log.warning("lookups wait for the broker: %s", error)
            await asyncio.sleep(ASK_EVERY_S)  # a broker that is away can only be asked again
