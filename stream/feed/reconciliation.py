"""Reconciliation after a replay: the lines of the file against the events in the folded state."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from typing import NamedTuple

from models.events import MICROS, REPORTED
from models.fold.memo import read_memo
from models.log import is_control
from models.profile.codec import unpack
from models.rejected import TOPIC as REJECTED
from models.rejected import Rejected, decode_rejected
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.cluster.topics import topic
from stream.engine.state import restore
from stream.feed.recording import Recording
from stream.feed.refusals import RefusedLine, left_out, refusals
from stream.feed.replaying import MAX_EXAMPLES, ReplayedRecording, reads


class Reconciliation(NamedTuple):
    """The two sides of a replay.

    Attributes
    ----------
    lines
        Number of records in the file.
    read
        Number of lines that became an event or a dead letter.
    fed, resent
        Number of events that were written to the log, and of those that may be in it twice, because a write was
        repeated. A refused line with a withdrawal becomes both an event and a dead letter.
    folded
        Number of events that the profiles have counted.
    repeated
        Number of events that were ignored because their id was known.
    orders_repeated
        Number of orders that were ignored because they had been counted before.
    statements
        Number of events that were refused except for the withdrawal in them.
    refused
        Lines that are dead letters.
    customers
        Number of profiles with a ``userId``.
    revenue
        Amount paid less amount refunded, exact, by currency.
    warnings
        Number of details of events that do not count.
    examples
        Descriptions of the first of these details.
    """

    lines: int
    read: int
    fed: int
    resent: int
    folded: int
    repeated: int
    orders_repeated: int
    statements: int
    refused: list[RefusedLine]
    customers: int
    revenue: dict[str, Decimal]
    warnings: int = 0
    examples: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """Number of lines that are dead letters."""
        return len(self.refused)

    @property
    def missing(self) -> int:
        """Number of lost events, including those that were never written; negative if there are too many events."""
        unread = self.lines - self.read
        if unread:
            return unread
        by_fold = sum(refusal.by == "fold" for refusal in self.refused)
        found = self.folded + self.repeated + self.orders_repeated + self.statements + by_fold
        if self.fed <= found <= self.fed + self.resent:
            return 0
        return self.fed - found

    @property
    def is_complete(self) -> bool:
        """Whether every line is counted: in a profile, as a repeat, or as a dead letter."""
        return self.missing == 0


async def reconcile(
    connection: Connection, partitions: int, recording: Recording, done: ReplayedRecording
) -> Reconciliation:
    """Compare the file with the committed state: every partition of ``profiles``, and ``events.rejected``.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    recording, done
        The file, which is all that the log contains, and the result of its replay.
    """
    events = customers = 0
    micros: Counter[str] = Counter()
    passed_over: Counter[str] = Counter()
    for partition in range(partitions):
        state = await restore(connection, "profiles", partition)
        passed_over.update(read_memo(state).passed_over)
        for key, packed in state.records.items():
            if is_control(key):
                continue
            facts = unpack(packed).facts
            events += sum(count for kind, count in facts.events.items() if kind not in REPORTED)
            customers += facts.identified
            micros.update(facts.spent)
            micros.subtract(facts.refunded)
    letters = await _letters(connection, partitions)
    details = left_out(letters, recording)
    return Reconciliation(
        lines=recording.lines,
        read=done.fed + done.rejected - done.both,
        fed=done.fed,
        resent=done.resent,
        folded=events,
        repeated=passed_over["repeat"],
        orders_repeated=passed_over["order"],
        statements=passed_over["statement"],
        refused=refusals(letters, recording, reads(recording, done.received_at)),
        customers=customers,
        revenue={currency: Decimal(amount) / MICROS for currency, amount in sorted(micros.items())},
        warnings=done.warnings + len(details),
        examples=(*done.examples, *details)[:MAX_EXAMPLES],
    )


async def _letters(connection: Connection, partitions: int) -> list[Rejected]:
    """Read the dead letters in the order of their records, without repeats after a crash, which have the same key."""
    dead = await asyncio.gather(
        *(
            read_compacted(connection, REJECTED, partition)
            for partition in range(topic(REJECTED).partitions(partitions))
        )
    )
    letters = [decode_rejected(letter) for found in dead for letter in found.values()]
    return sorted(letters, key=lambda letter: (letter.topic, letter.partition, letter.offset))
