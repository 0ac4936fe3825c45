"""Announcement of the secret with which a delivering process hashes addresses.

The list has an entry with the id of the secret. A process with another secret would find nothing in the list; it reads
this entry first, and sends nothing. A command with another secret refuses to write entries that delivery cannot find.
"""

from __future__ import annotations

import asyncio
import logging

from models.batch import Output
from models.delivery.suppression import TOPIC, announcement
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog, LogUnavailable
from stream.suppressions.watch import SuppressionWatch

logger = logging.getLogger(__name__)

RETRY_S = 5.0
"""How long to wait after a failed write, seconds."""


async def announce(watch: SuppressionWatch, connection: Connection, partitions: int) -> None:
    """Write the id of the newest secret into the list, if the list does not have it yet.

    Parameters
    ----------
    watch
        The follower of this process; nothing is written before it has read the list.
    connection, partitions
        The cluster, and the number of partitions of the log.
    """
    await watch.read()
    hashes = watch.listed.hashes
    if hashes.missing or watch.listed.announced:
        return
    async with EventLog(connection, partitions) as event_log:
        while True:
            try:
                await event_log.write([Output(TOPIC, *announcement(hashes.newest_id))])
            except LogUnavailable as error:
                logger.warning("the secret of the suppression list is not announced yet: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                return
