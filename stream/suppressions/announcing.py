"""Announces the secret that a delivering process hashes addresses with.

Its id stands in the list as an entry of its own. So another process with another secret, which would find nothing in
the list, sees that before it sends anything; and a command with another secret is refused before it writes an entry
that nobody could find.
"""

from __future__ import annotations

import asyncio
import logging

from models.batch import Output
from models.engage.suppression import TOPIC, announcement
from stream.connection import Connection
from stream.event_log import EventLog, LogUnavailable
from stream.suppressions.watch import SuppressionWatch

log = logging.getLogger(__name__)

AGAIN_S = 5.0


async def announce(watch: SuppressionWatch, connection: Connection, partitions: int) -> None:
    """Write the id of the newest secret into the list where it does not stand there yet.

    Parameters
    ----------
    watch
        Of this process; nothing is written before it has read the list.
    connection, partitions
        The log.
    """
    await watch.read()
    hashes = watch.listed.hashes
    if hashes.missing or watch.listed.announced:
        return
    async with EventLog(connection, partitions) as event_log:
        while True:
            try:
                await event_log.write([Output(TOPIC, *announcement(hashes))])
            except LogUnavailable as error:
                log.warning("the secret of the suppression list is not announced yet: %s", error)
                await asyncio.sleep(AGAIN_S)
            else:
                return
