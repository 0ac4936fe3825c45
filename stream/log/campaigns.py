"""Orders about campaigns: control records in every partition of the log."""

from __future__ import annotations

from models.log import CampaignOrder, encode_control
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog


async def give_order(connection: Connection, partitions: int, order: CampaignOrder) -> None:
    """Write an order into every partition of ``events``; a second write has no further effect.

    Raises
    ------
    LogUnavailable
        The order may have reached only some partitions: write it again.
    """
    async with EventLog(connection, partitions) as log:
        await log.broadcast(*encode_control(order))
