"""After a replay: what went in against what the folded state holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from models.customer.state import unpack
from models.events import MICROS
from models.log import is_control
from models.rejected import TOPIC as REJECTED
from models.rejected import decode_rejected
from stream.connection import Connection
from stream.restore import read_compacted, restore
from stream.topics import topic

_OURS = "message_"
"""Event types that begin so are what became of our own messages: nobody's lines."""


class Reconciliation(NamedTuple):
    """The two sides of a replay.

    Attributes
    ----------
    lines
        Records of the file.
    folded
        Events that the profiles have counted.
    rejected
        Dead letters.
    customers
        Profiles that are known by a ``userId``.
    revenue
        Paid less paid back, exact, by currency.
    """

    lines: int
    folded: int
    rejected: int
    customers: int
    revenue: dict[str, Decimal]

    @property
    def is_complete(self) -> bool:
        """Whether every line is in a profile or among the dead letters."""
        return self.lines == self.folded + self.rejected


async def reconcile(connection: Connection, partitions: int, lines: int) -> Reconciliation:
    """Count from the committed state: every partition of ``profiles``, and ``events.rejected``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Of the log.
    lines
        How many records went in.
    """
    events = customers = 0
    micros: Counter[str] = Counter()
    for partition in range(partitions):
        state = await restore(connection, "profiles", partition)
        for key, packed in state.records.items():
            if is_control(key):
                continue
            facts = unpack(packed).facts
            events += sum(count for kind, count in facts.events.items() if not kind.startswith(_OURS))
            customers += facts.identified
            micros.update(facts.spent)
            micros.subtract(facts.refunded)
    dead = await asyncio.gather(
        *(
            read_compacted(connection, REJECTED, partition)
            for partition in range(topic(REJECTED).partitions(partitions))
        )
    )
    return Reconciliation(
        lines=lines,
        folded=events,
        # A repeat after a crash has the same key. A detail that was left out is no line of its own.
        rejected=sum(not decode_rejected(letter).accepted for letters in dead for letter in letters.values()),
        customers=customers,
        revenue={currency: Decimal(amount) / MICROS for currency, amount in sorted(micros.items())},
    )
