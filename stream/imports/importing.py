"""The import of lines about users: compare them with the profiles, and write them into the log.

The run is recorded before its first event and after its last one. A command that was killed between the two is called
again: it makes the same events, and the fold drops those that it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import aclosing

import msgspec

from models.batch import Output
from models.events import Channel, decode_event, encode_event
from models.imports.comparison import VERDICTS, reached, verdict_of
from models.imports.lines import LineRead
from models.imports.runs import ImportRun
from models.imports.tables import BadLine
from models.log import EVENTS
from models.profile.state import Facts
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.imports.profiles import stored_profiles
from stream.imports.run_store import write_run
from stream.imports.spool import Spool
from stream.log.event_log import EventLog

ACKNOWLEDGED_WITHIN_S = 60.0
"""How long Kafka may take to acknowledge one portion, seconds."""

IsSuppressed = Callable[[Channel, str], bool]
"""Function that returns whether the suppression list stops marketing to an address."""


class UserImport:
    """The import of one file about users.

    Parameters
    ----------
    connection, partitions
        The cluster, and the number of partitions of the log.
    spool
        Where the events of the lines are kept.

    Attributes
    ----------
    counts
        What was read, and what it would change.
    """

    def __init__(self, connection: Connection, partitions: int, spool: Spool) -> None:
        self.counts: Counter[str] = Counter({"read": 0, "refused": 0, "left_out": 0, "repeated": 0, "says_nothing": 0})
        self._connection = connection
        self._partitions = partitions
        self._spool = spool

    def __repr__(self) -> str:
        return f"UserImport({self._connection.servers!r}, {self._spool!r}, {dict(self.counts)})"

    def read(self, lines: Iterable[LineRead | BadLine], is_suppressed: IsSuppressed) -> None:
        """Read the lines of the file, and keep their events."""
        counts, spool = self.counts, self._spool
        for line in lines:
            counts["read"] += 1
            if isinstance(line, BadLine):
                counts["refused"] += 1
                spool.refuse([line], refused=True)
                continue
            counts["refused"] += line.refused
            counts["left_out"] += bool(line.remarks) and not line.refused
            counts["says_nothing"] += not line.events and not line.refused
            spool.refuse(line.remarks, refused=line.refused)
            for event in line.events:
                key = event.user.encode()
                if not spool.add(event.id.encode(), key, encode_event(event)):
                    counts["repeated"] += 1
                counts["grants"] += event.type == "consent" and event.is_grant
                counts["withdrawals"] += event.type == "consent" and not event.is_grant
                spool.reach(key, reached(None, event, is_suppressed), renew=False)
        spool.complete()

    async def compare(self, is_suppressed: IsSuppressed) -> None:
        """Compare the events with the profiles."""
        spool = self._spool
        async with aclosing(stored_profiles(self._connection, self._partitions)) as profiles:
            async for profile in profiles:
                rows = spool.of(profile.key)
                if not rows:
                    continue
                facts: Facts | None = profile.facts
                verdicts, reach = [], set[Channel]()
                for place, value in rows:
                    event = decode_event(value)
                    verdicts.append((verdict_of(facts, event), place))
                    reach |= reached(facts, event, is_suppressed)
                spool.judge(verdicts)
                spool.reach(profile.key, reach, renew=True)
        found = spool.verdicts()
        self.counts.update({verdict: found.get(verdict, 0) for verdict in VERDICTS})
        self.counts["people"] = spool.keys()
        self.counts["people_changed"] = spool.keys(to_write=True)

    async def write(self, run: ImportRun, wrote: Callable[[int], None] = lambda _: None) -> ImportRun:
        """Write the events that change something, and record the run.

        Parameters
        ----------
        run
            The run, as it begins.
        wrote
            Called with the number of events that are acknowledged so far.

        Returns
        -------
        ImportRun
            The run, which is complete.

        Raises
        ------
        LogUnavailable
            Some events may be written: call the command again.
        """
        done = 0
        async with EventLog(self._connection, self._partitions, timeout_s=ACKNOWLEDGED_WITHIN_S) as log:
            await log.ensure_clock("wall")
            await write_run(log, run)
            for portion in self._spool.portions():
                await log.write([Output(EVENTS, key, value) for key, value in portion])
                done += len(portion)
                wrote(done)
            counts = {**run.counts, **self.counts, "written": done}
            ended = msgspec.structs.replace(run, state="done", counts=counts, ended_at=now_ms())
            await write_run(log, ended)
        return ended
