"""The undo of a run about users: take back what nothing newer has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from models.batch import Output
from models.events import Event, encode_event
from models.imported import ImportNote
from models.imports.runs import ImportRun
from models.log import EVENTS
from models.profile.imports import UndoEffect, undo_of
from models.units import now_ms
from models.wire.fields import MAX_ID_LENGTH
from stream.cluster.connection import Connection
from stream.imports.importing import ACKNOWLEDGED_WITHIN_S
from stream.imports.profiles import await_all_folded, stored_profiles
from stream.imports.spool import Spool
from stream.log.event_log import EventLog

COUNTED = ("people", "traits", "grants", "totals", "newer_grants")
"""Names of what is counted, in the order of :class:`models.profile.imports.UndoEffect`."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UndoEffect | None).decode


class UserUndo:
    """The undo of one run.

    Parameters
    ----------
    connection, partitions
        The cluster, and the number of partitions of the log.
    spool
        Where the events that undo the run are kept.
    run
        The run.

    Attributes
    ----------
    counts
        What would be taken back, and what stays because something newer has changed it.
    """

    def __init__(self, connection: Connection, partitions: int, spool: Spool, run: ImportRun) -> None:
        self.counts: Counter[str] = Counter()
        self._connection = connection
        self._partitions = partitions
        self._spool = spool
        self._run = run

    def __repr__(self) -> str:
        return f"UserUndo({self._run.id!r}, {dict(self.counts)})"

    async def prepare(self) -> None:
        """Find the users with something that the run has set and nothing newer has changed.

        Raises
        ------
        NobodyFolds
            The profiles do not have the whole log yet, and the fold does not move.
        """
        await await_all_folded(self._connection, self._partitions)
        spool, number = self._spool, 0
        spool.complete()
        async with aclosing(stored_profiles(self._connection, self._partitions)) as profiles:
            async for profile in profiles:
                number += 1
                facts = profile.facts
                left = None if facts is None else undo_of(facts, self._run.id)
                if left is not None or spool.of(profile.key):  # the newest record of a profile counts
                    spool.add(profile.key, profile.key, _encode(left), number)
        for place, _, value, _ in spool.each():
            found = _decode(value)
            if found is None:
                spool.judge([("unchanged", place)])
                continue
            sizes = (found.changes, len(found.traits), len(found.grants), found.totals, len(found.newer))
            self.counts.update(dict(zip(COUNTED, map(int, sizes), strict=True)))
        self.counts["people_left"] = max(self._run.counts.get("people_changed", 0) - self.counts["people"], 0)

    async def write(self, wrote: Callable[[int], None] = lambda _: None) -> None:
        """Write the events that undo the run."""
        done, at, note = 0, now_ms(), ImportNote(self._run.id, undoes=True)
        async with EventLog(self._connection, self._partitions, timeout_s=ACKNOWLEDGED_WITHIN_S) as log:
            for portion in self._spool.portions():
                await log.write(
                    [Output(EVENTS, key, encode_event(_undo(key.decode(), at, note))) for key, _ in portion]
                )
                done += len(portion)
                wrote(done)


def _undo(user: str, at: int, note: ImportNote) -> Event:
    identity = f"import:{note.run}:undo:{user}"[:MAX_ID_LENGTH]
    return Event(id=identity, user=user, type="identify", at=at, imported=note)
