"""The buyers of a partition, counted by the version of the cut points from which their scores come.

New cut points act on a buyer at the next step, so for some days a part of the buyers has scores of older ones. A
partition keeps one small record, which is written only when a buyer comes to another version. So the users need not be
gone through to count them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.batch import Restored
from models.profile.ledger import IssuedRfm

BUYERS_KEY = b"\x00buyers"
"""Key in ``profiles`` under which the counts are stored."""


class ScoredBuyers(msgspec.Struct, array_like=True, gc=False):
    """The counts of one partition, or of several.

    Attributes
    ----------
    by_version
        Version of the cut points, and number of buyers whose scores come from it; ascending by version.
    """

    by_version: list[tuple[int, int]] = []

    @property
    def number(self) -> int:
        """Number of buyers with scores."""
        return sum(number for _, number in self.by_version)

    def older_than(self, version: int) -> int:
        """Return the number of buyers whose scores come from older cut points than those of a version.

        Examples
        --------
        >>> ScoredBuyers([(3, 2), (7, 90)]).older_than(7)
        2
        """
        return sum(number for known, number in self.by_version if known < version)

    def add(self, other: Iterable[tuple[int, int]]) -> None:
        """Add numbers of buyers by version, which may be negative; version 0 stands for no scores."""
        counts = dict(self.by_version)
        for version, number in other:
            counts[version] = counts.get(version, 0) + number
        self.by_version = sorted((version, number) for version, number in counts.items() if version and number > 0)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ScoredBuyers).decode


class BuyerCounts:
    """The counts of one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        self._committed = committed
        self._known: ScoredBuyers | None = None
        self._has_changed = False

    def __repr__(self) -> str:
        """Show the counts."""
        return f"BuyerCounts({self._read().by_version})"

    def _read(self) -> ScoredBuyers:
        if self._known is None:
            self._known = read_buyers(self._committed.records.get(BUYERS_KEY))
        return self._known

    def follow(self, users: Iterable[tuple[IssuedRfm | None, IssuedRfm | None]]) -> None:
        """Count users whose scores come from another version now.

        Parameters
        ----------
        users
            The scores of each user before the piece of the log and after it.
        """
        changes: list[tuple[int, int]] = []
        for before, after in users:
            if before is not after:
                old, new = (0 if scores is None else scores.version for scores in (before, after))
                changes += [(old, -1), (new, 1)] if old != new else []
        if changes:
            self._read().add(changes)
            self._has_changed = True

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return the encoded counts if they have changed since the last call."""
        if not self._has_changed:
            return {}
        self._has_changed = False
        return {BUYERS_KEY: _encode(self._read())}


def read_buyers(content: bytes | None) -> ScoredBuyers:
    """Decode the counts of one partition; ``None`` stands for none."""
    return ScoredBuyers() if content is None else _decode(content)
