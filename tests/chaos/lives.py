"""Lives of processes: when each process ran, how it ended, and which notes it wrote into the folder of the round.

A worker of the suite notes the names of its dispatchers. Every attempt of a dispatcher contains its name. The worker
also notes each assignment by its group. So a finding in the log can be traced to exactly one life.
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

from stream.delivery.dispatcher import Dispatcher
from stream.engine.lanes import Lanes
from stream.processes import exits
from tests.chaos.faults import Fault

STOP_WITHIN_S = 10.0
"""How long a process may take to end after it was asked to, seconds."""
BROKER_IS_BACK_MS = 5_000
"""How long clients may need to reconnect after a broker came back, milliseconds."""
KILLED, UNHANDLED = -9, -15


@dataclass
class Absence:
    """A period in which a process, the broker or the provider was absent, in milliseconds of the wall clock.

    Attributes
    ----------
    name
        Name of a process, ``broker`` or ``provider``.
    begin, end
        Begin and end; ``end`` is ``None`` while the absence lasts.
    stalled
        Whether the process was stopped. Otherwise it had ended.
    """

    name: str
    begin: int
    end: int | None = None
    stalled: bool = False

    def meets(self, begin: int, end: int) -> bool:
        """Return whether the absence overlaps this period."""
        return self.begin <= end and (self.end is None or self.end >= begin)


@dataclass
class Life:
    """One process, from its start to its end.

    Attributes
    ----------
    name
        Name of the member to which this life belongs, such as ``fold-0``.
    pid
        Process id.
    begin, end
        Start and end in milliseconds of the wall clock; ``end`` is ``None`` while the process runs.
    faults
        Faults that are planned for this life.
    code
        Exit code.
    asked
        Time at which the suite, or a fault of the process, asked it to end.
    stalls
        Periods in which the process was stopped.
    """

    name: str
    pid: int
    begin: int
    faults: tuple[Fault, ...] = ()
    end: int | None = None
    code: int | None = None
    asked: int | None = None
    stalls: list[Absence] = field(default_factory=list)

    @property
    def role(self) -> str:
        """Role of the process, such as ``fold``."""
        return self.name.partition("-")[0]


class ProcessNote(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A note that a process has written: the name of a dispatcher, or an assignment.

    Attributes
    ----------
    pid, at
        Process id, and the time in milliseconds.
    dispatcher
        Name of the dispatcher.
    generation
        Generation of the group, at an assignment.
    lanes
        Partitions that were assigned to the process, such as ``events-3``; without the installation's prefix.
    """

    pid: int
    at: int
    dispatcher: str = ""
    generation: int = 0
    lanes: tuple[str, ...] = ()


def now_ms() -> int:
    """Return the time of the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def append(file: Path, line: bytes) -> None:
    """Append a line in one write, so that it is complete even if the process dies."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line + b"\n")
    os.close(descriptor)


def keep_notes(file: Path) -> None:
    """Make this process note the names of its dispatchers and its assignments."""

    def of_dispatchers(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def init(self: Dispatcher, *arguments: Any, **named: Any) -> None:
            real(self, *arguments, **named)
            append(file, msgspec.json.encode(ProcessNote(pid=os.getpid(), at=now_ms(), dispatcher=self.name)))

        return init

    def of_assignments(real: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(real)
        def assigned(self: Lanes, tps: Iterable[Any]) -> None:
            real(self, tps)  # the lanes begin only after this function has returned
            lanes = tuple(sorted(f"{lane.topic}-{lane.partition}" for lane in self.snapshot()))
            note = ProcessNote(pid=os.getpid(), at=now_ms(), generation=self.generation, lanes=lanes)
            append(file, msgspec.json.encode(note))

        return assigned

    for owner, name, around in ((Dispatcher, "__init__", of_dispatchers), (Lanes, "assigned", of_assignments)):
        setattr(owner, name, around(getattr(owner, name)))


def read_notes(file: Path) -> list[ProcessNote]:
    """Return all notes of a round so far."""
    if not file.exists():
        return []
    decoder = msgspec.json.Decoder(ProcessNote)
    return [decoder.decode(line) for line in file.read_bytes().splitlines()]


def by_dispatcher(lives: Sequence[Life], notes: Iterable[ProcessNote]) -> Mapping[str, Life]:
    """Map the name of each dispatcher, which is part of its attempts, to the life that it belongs to."""
    found = {}
    for note in notes:
        if note.dispatcher and (life := _of(lives, note)) is not None:
            found[note.dispatcher] = life
    return found


def held_by(life: Life, at: int, lives: Sequence[Life], notes: Iterable[ProcessNote]) -> frozenset[str]:
    """Return the lanes that were assigned to a life at a moment."""
    mine = [note for note in notes if not note.dispatcher and note.at <= at and _of(lives, note) is life]
    return frozenset(max(mine, key=lambda note: note.at).lanes) if mine else frozenset()


def late_ends(lives: Iterable[Life], notes: Iterable[ProcessNote], broker_away: Sequence[Absence]) -> list[str]:
    """Describe the lives that ended too late, or not cleanly, after they were asked to end.

    While the broker is available, a life must end within 10 s and with exit code 0. Otherwise it must end within 20 s.
    Lives that were stopped or killed meanwhile do not count, because they could not end cleanly. Lives that had not
    finished loading do not count either, because they had no partitions.
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
            found.append(f"{life.name} took {took_s:.1f} s to end after SIGTERM (exit code {life.code})")
        elif life.code != 0 and not away:
            found.append(f"{life.name} ended with exit code {life.code}, {took_s:.1f} s after SIGTERM")
    return found


def ended_by_limit(lives: Iterable[Life]) -> int:
    """Count the processes that ended themselves because a clean end took too long."""
    return sum(life.code == exits.SLOW_STOP for life in lives)


def awakenings(lives: Iterable[Life]) -> Iterator[tuple[Life, int]]:
    """Yield each stopped life that was continued, and the time at which it continued."""
    for life in lives:
        for stall in life.stalls:
            if stall.end is not None and (life.end is None or life.end >= stall.end):
                yield life, stall.end


def has_moved_on(life: Life, woken: int, lives: Sequence[Life], notes: Sequence[ProcessNote]) -> bool:
    """Return whether another process of the role got a later generation's assignment after a life was woken up."""
    peers = [
        note
        for note in notes
        if not note.dispatcher and (of := _of(lives, note)) is not None and of.role == life.role and of is not life
    ]
    before = max((note.generation for note in peers if note.at <= woken), default=0)
    return any(note.at > woken and note.generation > before for note in peers)


def unmet(planned: Mapping[str, Sequence[Sequence[Fault]]], met: Iterable[tuple[str, str]]) -> list[str]:
    """Describe the faults of a plan that no process has acted on.

    Parameters
    ----------
    planned
        Faults by process, life by life.
    met
        Each fault that a process has acted on, with the name of the process before it.
    """
    left = [(name, str(fault)) for name, lives in planned.items() for life in lives for fault in life]
    for one in met:
        if one in left:
            left.remove(one)
    return [f"{name}: {fault}" for name, fault in left]


def _of(lives: Iterable[Life], note: ProcessNote) -> Life | None:
    """Return the life that wrote a note; the time matters, because the system may reuse a process id."""
    mine = [life for life in lives if life.pid == note.pid and life.begin <= note.at]
    return max(mine, key=lambda life: life.begin, default=None)
