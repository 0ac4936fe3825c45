"""The import of addresses into the suppression list, and its undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from models.batch import Output
from models.delivery.address_hashes import AddressHashes, domain_of
from models.delivery.suppression import SCOPE_OF, TOPIC, Scope, SuppressionEntry, encode_entry, key_of
from models.imports.listed import ListedAddress
from models.imports.runs import ImportRun
from models.imports.tables import BadLine
from models.units import now_ms
from stream.cluster.connection import Connection
from stream.imports.importing import ACKNOWLEDGED_WITHIN_S
from stream.imports.run_store import write_run
from stream.imports.spool import Spool
from stream.log.event_log import EventLog
from stream.suppressions.store import Listed

KEPT = ("complaint", "unsubscribe", "stop")
"""Reasons of entries that no undo removes: the owner of the address has refused messages."""
_KNOWN_BEFORE = " (known before)"
_PORTION = 1_000


class PresentEntry(NamedTuple):
    """An entry of the list as it is: its time, its scope, and whether it stops messages now."""

    at: int
    scope: Scope
    is_in_force: bool


class ListImport:
    """The import of one file of addresses.

    Parameters
    ----------
    entries
        The list as it is.
    hashes
        The hashes of addresses.
    spool
        Where the new entries are kept.
    run
        The run.

    Attributes
    ----------
    counts
        What was read, and what it would change.
    """

    def __init__(self, entries: Sequence[Listed], hashes: AddressHashes, spool: Spool, run: ImportRun) -> None:
        self.counts: Counter[str] = Counter({"read": 0, "refused": 0, "unchanged": 0})
        self._hashes = hashes
        self._spool = spool
        self._run = run
        self._present: Mapping[bytes, PresentEntry] = {
            one.place.key(): PresentEntry(one.entry.at, one.entry.scope, not one.ended) for one in entries
        }

    def __repr__(self) -> str:
        return f"ListImport({self._run.id!r}, {dict(self.counts)})"

    def read(self, lines: Iterable[ListedAddress | BadLine], scope: Scope | None) -> None:
        """Read the lines of the file, and keep the entries that are new, or newer than the present ones.

        Parameters
        ----------
        lines
            The lines.
        scope
            Scope of lines that state none; ``None`` for that of their reason.
        """
        counts = self.counts
        for line in lines:
            counts["read"] += 1
            if isinstance(line, BadLine):
                counts["refused"] += 1
                self._spool.refuse([line], refused=True)
                continue
            counts[line.reason] += 1
            self._keep(line, line.scope or scope or SCOPE_OF[line.reason])
        for verdict, number in self._spool.verdicts().items():
            counts[verdict] += number

    def _keep(self, line: ListedAddress, scope: Scope) -> None:
        key = key_of(self._hashes.newest(line.channel, line.address), line.reason)
        known, at = self._present.get(key), line.at or self._run.at
        is_listed = known is not None and (
            at <= known.at or (not line.at and known.is_in_force and known.scope == scope)
        )
        if is_listed:
            self.counts["unchanged"] += 1
            return
        entry = SuppressionEntry(
            scope=scope,
            reason=line.reason,
            channel=line.channel,
            source=source_of(self._run) + ("" if known is None else _KNOWN_BEFORE),
            at=at,
            domain=domain_of(line.channel, line.address) if line.reason == "bounce" else "",
        )
        if not self._spool.add(key, key, encode_entry(entry), at):
            self.counts["repeated"] += 1
        elif known is not None:
            place = self._spool.place_of(key)
            self._spool.judge([("changed", place)])

    async def write(
        self, connection: Connection, partitions: int, wrote: Callable[[int], None] = lambda _: None
    ) -> ImportRun:
        """Write the entries, and record the run; return it as it is then.

        Raises
        ------
        LogUnavailable
            Some entries may be written: call the command again.
        """
        done = 0
        async with EventLog(connection, partitions, timeout_s=ACKNOWLEDGED_WITHIN_S) as log:
            await write_run(log, self._run)
            for portion in self._spool.portions():
                await log.write([Output(TOPIC, key, value) for key, value in portion])
                done += len(portion)
                wrote(done)
            counts = {**self.counts, "written": done}
            ended = msgspec.structs.replace(self._run, state="done", counts=counts, ended_at=now_ms())
            await write_run(log, ended)
        return ended


class EntriesOfRun(NamedTuple):
    """The entries of a run that the list still has.

    Attributes
    ----------
    removed
        Those that an undo removes.
    refusals
        Those that stay, because the owner of the address has refused messages.
    known_before
        Those that stay, because the address was listed before for the same reason.
    """

    removed: list[Listed]
    refusals: list[Listed]
    known_before: list[Listed]


def entries_of(run: ImportRun, entries: Iterable[Listed]) -> EntriesOfRun:
    """Return the entries of a run. An entry that something newer has written is not the run's any more."""
    found, source = EntriesOfRun([], [], []), source_of(run)
    for one in entries:
        if one.entry.source == source + _KNOWN_BEFORE:
            found.known_before.append(one)
        elif one.entry.source == source:
            (found.refusals if one.place.reason in KEPT else found.removed).append(one)
    return found


async def remove(connection: Connection, partitions: int, entries: Sequence[Listed], run: ImportRun) -> None:
    """Remove entries, and record the run as undone."""
    async with EventLog(connection, partitions, timeout_s=ACKNOWLEDGED_WITHIN_S) as log:
        for begin in range(0, len(entries), _PORTION):
            await log.write([Output(TOPIC, one.place.key(), None) for one in entries[begin : begin + _PORTION]])
        await write_run(log, run)


def source_of(run: ImportRun) -> str:
    """Return the source of the entries of a run."""
    return f"import {run.id}"
