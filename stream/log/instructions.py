"""Instructions to all processes, such as to pause a channel: records in every partition of the log."""

from __future__ import annotations

import contextlib

from models.log import Instruction, encode_control
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog, WrongClock


async def give(connection: Connection, partitions: int, name: str, argument: str) -> None:
    """Write an instruction into every partition of ``events``; a second write has no further effect.

    Parameters
    ----------
    connection, partitions
        The cluster, and the number of partitions of the log.
    name, argument
        See :class:`~models.log.Instruction`.

    Raises
    ------
    LogUnavailable
        The instruction may have reached only some partitions: write it again.
    """
    async with EventLog(connection, partitions) as log:
        with contextlib.suppress(WrongClock):  # a log with the clock of a feeder accepts instructions, too
            await log.ensure_clock("wall")
        await log.broadcast(*encode_control(Instruction(name, argument)))
