"""Lives of processes: who ran when, how it ended, and what it noted about itself in the round's folder.

A worker of the suite notes the names of its desks, which stand in every attempt that it makes, and each assignment that
its group gave it. So what is found in the log can be laid at one life's door, and at no other's.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stream.delivery.desk import Desk
from stream.engine.lanes import Lanes
from stream.processes import exits
from tests.chaos.faults import Fault

STOP_WITHIN_S = 10.0
"""A process that is asked to end does."""
BROKER_IS_BACK_MS = 5_000
"""So long after a broker came back its clients may still be finding their way."""
KILLED, UNHANDLED = -9, -15


@dataclass
class Interval:
    """When somebody was not there, milliseconds of the wall clock.

    Attributes
    ----------
    who
        A process, ``broker`` or ``provider``.
    begin, end
        ``end`` is open while it lasts.
    stalled
        Whether it was stopped and not ended.
    """

    who: str
    begin: int
    end: int | None = None
    stalled: bool = False

    def meets(self, begin: int, end: int) -> bool:
        """Whether some of it lies in between."""
        return self.begin <= end and (self.end is None or self.end >= begin)


@dataclass
class Life:
    """One process, from its start to its end.

    Attributes
    ----------
    who
        Member of the crew that it is a life of: ``fold-0``.
    pid
        Of the process.
    begin, end
        Milliseconds of the wall clock; ``end`` is open while it runs.
    faults
        What it shall do to itself.
    code
        How it ended.
    asked
        When it was asked to end, by us or by its own fault.
    stalls
        When it was stopped.
    """

    who: str
    pid: int
    begin: int
    faults: tuple[Fault, ...] = ()
    end: int | None = None
    code: int | None = None
    asked: int | None = None
    stalls: list[Interval] = field(default_factory=list)

    @property
    def role(self) -> str:
        """``fold``."""
        return self.who.partition("-")[0]


class Note(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a process has noted: the name of a desk, or an assignment.

    Attributes
    ----------
    pid, at
        Who, and when, milliseconds.
    desk
        Its name.
    generation
        Of the group, at an assignment.
    lanes
        What it was given: ``events-3``; without the installation's prefix.
    """

    pid: int
    at: int
    desk: str = ""
    generation: int = 0
    lanes: tuple[str, ...] = ()


def now_ms() -> int:
    """The wall clock, milliseconds."""
    return time.time_ns() // 1_000_000


def append(file: Path, line: bytes) -> None:
    """Write a line that stands there whole, however this process ends."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line + b"\n")
    os.close(descriptor)


def keep_notes(file: Path) -> None:
    """Let this process note what its desks are called and what it is given."""

    def of_desks(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def init(self: Desk, *arguments: Any, **named: Any) -> None:
            real(self, *arguments, **named)
            append(file, msgspec.json.encode(Note(pid=os.getpid(), at=now_ms(), desk=self.name)))

        return init

    def of_assignments(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def assigned(self: Any, tps: Iterable[Any]) -> None:
            tps = list(tps)
            lanes = tuple(sorted(f"{self._edges[tp[0]][0]}-{tp[1]}" for tp in tps if tp[0] in self._edges))
            generation = int(self._thread()._coordinator.generation)
            append(file, msgspec.json.encode(Note(pid=os.getpid(), at=now_ms(), generation=generation, lanes=lanes)))
            real(self, tps)

        return assigned

    for owner, name, around in ((Desk, "__init__", of_desks), (Lanes, "assigned", of_assignments)):
        setattr(owner, name, around(getattr(owner, name)))


def read_notes(file: Path) -> list[Note]:
    """All notes of a round so far."""
    if not file.exists():
        return []
    decoder = msgspec.json.Decoder(Note)
    return [decoder.decode(line) for line in file.read_bytes().splitlines()]


def by_desk(lives: Sequence[Life], notes: Iterable[Note]) -> Mapping[str, Life]:
    """Whose life an attempt belongs to, by the name that stands in it."""
    found = {}
    for note in notes:
        if note.desk and (life := _of(lives, note)) is not None:
            found[note.desk] = life
    return found


def held_by(life: Life, at: int, lives: Sequence[Life], notes: Iterable[Note]) -> frozenset[str]:
    """Lanes that a life had at a moment."""
    mine = [note for note in notes if not note.desk and note.at <= at and _of(lives, note) is life]
    return frozenset(max(mine, key=lambda note: note.at).lanes) if mine else frozenset()


def late_ends(lives: Iterable[Life], notes: Iterable[Note], broker_away: Sequence[Interval]) -> list[str]:
    """Who did not end in time, or not in order, after it was asked to, in words.

    With a broker that is there it takes 10 s at most and the exit code is 0. Whoever was stopped meanwhile could not
    hear; whoever was killed could not end in order; and who was not even loaded held nothing.
    """
    began = {note.pid for note in notes}
    found = []
    for life in lives:
        if life.asked is None or life.end is None or life.stalls or life.code == KILLED:
            continue
        if life.code == UNHANDLED and life.pid not in began:
            continue
        took_s = (life.end - life.asked) / 1_000
        away = any(interval.meets(life.asked - BROKER_IS_BACK_MS, life.end) for interval in broker_away)
        if took_s > STOP_WITHIN_S * (2 if away else 1):
            found.append(f"{life.who} took {took_s:.1f} s to end after SIGTERM (exit code {life.code})")
        elif life.code != 0 and not away:
            found.append(f"{life.who} ended with exit code {life.code}, {took_s:.1f} s after SIGTERM")
    return found


def ended_by_limit(lives: Iterable[Life]) -> int:
    """How many ended themselves because they had not ended in time."""
    return sum(life.code == exits.SLOW_STOP for life in lives)


def awakenings(lives: Iterable[Life]) -> Iterator[tuple[Life, int]]:
    """Who was woken up, and when."""
    for life in lives:
        for stall in life.stalls:
            if stall.end is not None and (life.end is None or life.end >= stall.end):
                yield life, stall.end


def has_moved_on(life: Life, woken: int, lives: Sequence[Life], notes: Sequence[Note]) -> bool:
    """Whether the group of a life that was woken up was assigned anew afterwards, in a later generation than before."""
    peers = [
        note
        for note in notes
        if not note.desk and (of := _of(lives, note)) is not None and of.role == life.role and of is not life
    ]
    before = max((note.generation for note in peers if note.at <= woken), default=0)
    return any(note.at > woken and note.generation > before for note in peers)


def unmet(planned: Mapping[str, Sequence[Sequence[Fault]]], met: Iterable[tuple[str, str]]) -> list[str]:
    """Faults of a plan that nobody has met, in words.

    Parameters
    ----------
    planned
        By process, life by life.
    met
        Process and fault of what happened.
    """
    left = [(who, str(fault)) for who, lives in planned.items() for life in lives for fault in life]
    for one in met:
        if one in left:
            left.remove(one)
    return [f"{who}: {fault}" for who, fault in left]


def _of(lives: Iterable[Life], note: Note) -> Life | None:
    """Whose note it is: a process id may be given again."""
    mine = [life for life in lives if life.pid == note.pid and life.begin <= note.at]
    return max(mine, key=lambda life: life.begin, default=None)
