"""The runs of journeys, counted by partition: how many are under way in each version, and how the others have ended.

A partition keeps one small record for each journey, which is written only when the journey changes. So the users need
not be gone through to count them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from models.batch import Restored
from models.engage.attribution import ValueMove
from models.engage.journeys.walking import RunMove
from models.fold.goal_money import add_value
from models.fold.stored_counts import StoredCounts, joined

KEY = b"\x00runs:"
"""Beginning of the keys in ``profiles`` under which the counts of the journeys are stored; then the journey's name."""


class JourneyCounts(msgspec.Struct, array_like=True, gc=False):
    """The runs of one journey in one partition.

    Attributes
    ----------
    active
        Number of runs under way, by version.
    entered, held_out, converted, converted_held_out
        Number of runs that have begun, and of those in the control group; and the same of conversions.
    ended
        Number of runs that have ended, by outcome.
    refused
        Number of triggers that began no run, by reason.
    held
        Number of runs under way that a pause holds.
    revenue, revenue_held_out
        Money of the conversions of the treatment and of the control group, micros by currency.
    squares, squares_held_out
        Sum of the squares of the money of each run, in units of the currency.
    """

    active: dict[str, int] = {}
    entered: int = 0
    held_out: int = 0
    converted: int = 0
    converted_held_out: int = 0
    ended: dict[str, int] = {}
    refused: dict[str, int] = {}
    held: int = 0
    revenue: dict[str, int] = {}
    revenue_held_out: dict[str, int] = {}
    squares: dict[str, float] = {}
    squares_held_out: dict[str, float] = {}

    def move(self, one: RunMove) -> None:
        """Count what has happened to a run."""
        match one.kind:
            case "entered":
                self.entered += 1
                self.held_out += one.is_held_out
                self._change(one.version, 1)
            case "ended":
                self.ended = {**self.ended, one.outcome: self.ended.get(one.outcome, 0) + 1}
                self._change(one.version, -1)
            case "taken_over":
                self._change(one.version, 1)
            case "handed_over":
                self._change(one.version, -1)
            case "moved":
                self._change(one.before, -1)
                self._change(one.version, 1)
            case "held":
                self.held += 1
            case "released":
                self.held -= 1
            case "converted":
                self.converted += 1
                self.converted_held_out += one.is_held_out
            case "refused":
                self.refused = {**self.refused, one.outcome: self.refused.get(one.outcome, 0) + 1}

    def _change(self, version: str, by: int) -> None:
        number = self.active.get(version, 0) + by
        others = {one: count for one, count in self.active.items() if one != version}
        self.active = dict(sorted({**others, version: number}.items())) if number else others


_decode = msgspec.msgpack.Decoder(JourneyCounts).decode


class RunCounts(StoredCounts[JourneyCounts]):
    """The runs of all journeys in one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        super().__init__(committed, KEY, JourneyCounts)

    def move(self, moves: Collection[RunMove]) -> None:
        """Count what has happened to runs."""
        for one in moves:
            self.of(one.journey).move(one)
        self.mark_changed(dict.fromkeys(one.journey for one in moves))

    def value(self, moves: Iterable[ValueMove]) -> None:
        """Count changes of the money of goals."""
        for one in moves:
            add_value(self.of(one.owner), one)
            self.mark_changed((one.owner,))

    def active_versions(self) -> Iterator[str]:
        """Yield the versions that runs walk."""
        for journey in self.names:
            yield from self.of(journey).active


def read_counts(content: bytes | None) -> JourneyCounts:
    """Decode the counts of a journey in one partition; ``None`` stands for none."""
    return JourneyCounts() if content is None else _decode(content)


def joined_counts(parts: Iterable[JourneyCounts]) -> JourneyCounts:
    """Return the counts of a journey in several partitions together."""
    return joined(JourneyCounts, parts)


def key_of(journey: str) -> bytes:
    """Return the key of the record of a journey's counts."""
    return KEY + journey.encode()
