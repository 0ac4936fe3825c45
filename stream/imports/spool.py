"""A file on disk for what the lines of an import state, so that a long import needs little memory."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from models.events import CHANNELS, Channel
from models.imports.tables import BadLine

_PORTION = 1_000
_TABLES = """
CREATE TABLE records (place INTEGER PRIMARY KEY, id BLOB UNIQUE, key BLOB, value BLOB, at INTEGER, verdict TEXT);
CREATE TABLE people (key BLOB PRIMARY KEY, reach INTEGER) WITHOUT ROWID;
CREATE TABLE bad (line INTEGER, "column" TEXT, found TEXT, allowed TEXT, reason TEXT, refused INTEGER);
"""
_REACH = "INSERT INTO people VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET reach = reach | excluded.reach"
_RENEW = "INSERT INTO people VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET reach = excluded.reach"
_KEYS_TO_WRITE = "SELECT COUNT(DISTINCT key) FROM records WHERE verdict IN ('new', 'changed')"
_TO_WRITE = (
    "SELECT place, key, value FROM records WHERE place > ? AND verdict IN ('new', 'changed') ORDER BY place LIMIT ?"
)


class Spool:
    """The records of one import; use it with ``with``. Its file is removed at the end."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="perennial-import-"))
        self._database = sqlite3.connect(self._folder / "spool", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32768;")
        self._database.executescript(_TABLES + "BEGIN;")

    def __repr__(self) -> str:
        return f"Spool({str(self._folder)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, identity: bytes, key: bytes, value: bytes, at: int = 0) -> bool:
        """Add a record, and return whether it is the first one with its identity; of two, the later one counts."""
        added = self._database.execute(
            "INSERT INTO records (id, key, value, at, verdict) VALUES (?, ?, ?, ?, 'new') ON CONFLICT (id) DO NOTHING",
            (identity, key, value, at),
        )
        if added.rowcount:
            return True
        self._database.execute(
            "UPDATE records SET value = ?, at = ? WHERE id = ? AND at < ?", (value, at, identity, at)
        )
        return False

    def refuse(self, lines: Iterable[BadLine], *, refused: bool) -> None:
        """Add lines that are refused, or details that are left out."""
        self._database.executemany("INSERT INTO bad VALUES (?, ?, ?, ?, ?, ?)", ((*one, refused) for one in lines))

    def complete(self) -> None:
        """Prepare the look-up by key, after all records were added."""
        self._database.execute("CREATE INDEX by_key ON records (key)")

    def of(self, key: bytes) -> list[tuple[int, bytes]]:
        """Return the places and values of the records of a key."""
        return self._database.execute("SELECT place, value FROM records WHERE key = ?", (key,)).fetchall()

    def place_of(self, identity: bytes) -> int:
        """Return the place of the record with an identity."""
        return int(self._database.execute("SELECT place FROM records WHERE id = ?", (identity,)).fetchone()[0])

    def judge(self, verdicts: Sequence[tuple[str, int]]) -> None:
        """Set the verdicts of records: each a verdict and a place."""
        self._database.executemany("UPDATE records SET verdict = ? WHERE place = ?", verdicts)

    def reach(self, key: bytes, channels: Iterable[Channel], *, renew: bool) -> None:
        """Add the channels over which a person is reached; ``renew`` forgets those that were added before."""
        reached = sum(1 << CHANNELS.index(channel) for channel in channels)
        self._database.execute(_RENEW if renew else _REACH, (key, reached))

    # --- what it has -------------------------------------------------------------------------------------------------

    def verdicts(self) -> dict[str, int]:
        """Return the number of records by their verdict."""
        return dict(self._database.execute("SELECT verdict, COUNT(*) FROM records GROUP BY verdict"))

    def keys(self, *, to_write: bool = False) -> int:
        """Return the number of keys, or of those that have a record to write."""
        found = self._database.execute(_KEYS_TO_WRITE if to_write else "SELECT COUNT(DISTINCT key) FROM records")
        return int(found.fetchone()[0])

    def reachable(self) -> dict[Channel, int]:
        """Return the number of people that are reached, by channel."""
        bits = {channel: 1 << place for place, channel in enumerate(CHANNELS)}
        return {
            channel: self._database.execute("SELECT COUNT(*) FROM people WHERE reach & ?", (bit,)).fetchone()[0]
            for channel, bit in bits.items()
        }

    def reasons(self, *, refused: bool) -> dict[str, int]:
        """Return the number of refused lines, or of details left out, by reason."""
        query = "SELECT reason, COUNT(*) FROM bad WHERE refused = ? GROUP BY reason ORDER BY 2 DESC, 1"
        return dict(self._database.execute(query, (refused,)))

    def bad(self, limit: int = -1, *, refused: bool) -> Iterator[BadLine]:
        """Yield refused lines, or details left out, in the order of the file."""
        query = 'SELECT line, "column", found, allowed, reason FROM bad WHERE refused = ? ORDER BY line LIMIT ?'
        for one in self._database.execute(query, (refused, limit)):
            yield BadLine(*one)

    def portions(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield key and value of the records to write, in the order of the file."""
        place = 0
        while found := self._database.execute(_TO_WRITE, (place, _PORTION)).fetchall():
            place = found[-1][0]
            yield [(key, value) for _, key, value in found]

    def each(self) -> Iterator[tuple[int, bytes, bytes, int]]:
        """Yield place, key, value and time of all records, in the order of the file."""
        place = 0
        query = "SELECT place, key, value, at FROM records WHERE place > ? ORDER BY place LIMIT ?"
        while found := self._database.execute(query, (place, _PORTION)).fetchall():
            place = found[-1][0]
            yield from found
