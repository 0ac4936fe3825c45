"""Commands to all processes, such as to pause a channel: records in every partition of the log."""

from __future__ import annotations

import contextlib

from models.log import Order, encode_control
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog, WrongClock


async def give(connection: Connection, partitions: int, order: str, argument: str) -> None:
    """Write a command into every partition of ``events``; writing the same command again has no further effect.

    Parameters
    ----------
    connection, partitions
        The cluster, and the number of partitions of the log.
    order, argument
        See :class:`~models.log.Order`.

    Raises
    ------
    LogUnavailable
        The command may have reached some partitions: write it again.
    """
    async with EventLog(connection, partitions) as log:
        with contextlib.suppress(WrongClock):  # a log with the clock of a feeder accepts commands, too
            await log.ensure_clock("wall")
        await log.broadcast(*encode_control(Order(order, argument)))
