"""A replay from its file to its last folded event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from models.batch import Output
from models.errors import EventWarning
from models.units import now_ms
from stream.feed.feeding import feeding
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import Read, Recording, kind_of, read_wire_events
from stream.settings.loading import Settings

PORTION = 1_000
"""Lines between two looks at the dead letters."""
EXAMPLES = 10
"""Maximum number of warnings that are shown one by one."""


class Replayed(NamedTuple):
    """What a replay did.

    Attributes
    ----------
    lines
        Records of the file.
    fed, rejected
        Events that went into the log, and lines that became dead letters; a refused line with a withdrawal is both.
    seconds
        It took, until the last one was folded.
    received_at
        Time by which the lines were read, milliseconds.
    both
        Refused lines with a withdrawal.
    resent
        Maximum number of events that may stand in the log twice, because a write was repeated.
    warnings
        Number of details of events that do not count.
    examples
        The first of them, in words.
    """

    lines: int
    fed: int
    rejected: int
    seconds: float
    received_at: int = 0
    both: int = 0
    resent: int = 0
    warnings: int = 0
    examples: tuple[str, ...] = ()


def reads(recording: Recording, received_at: int) -> Iterator[Read]:
    """Every line of a recording, by the reader for its kind."""
    read = read_online_retail if kind_of(recording.path) == "csv" else read_wire_events
    return read(recording, received_at)


async def replay(
    settings: Settings,
    recording: Recording,
    *,
    speed: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Replayed:
    """Feed a recording into the log, and return when all of it is folded.

    Parameters
    ----------
    settings
        Of the installation; a worker runs.
    recording
        The file.
    speed
        Time of the file by wall time; ``None``: as fast as it is folded.
    on_progress
        Called with the lines written so far, and the file's time that they reached (milliseconds).

    Raises
    ------
    WrongClock, AlreadyFed, NobodyFolds
        As :func:`feeding`.
    CannotReplay
        The file is nothing that can be replayed.
    """
    began = time.monotonic()
    fed = rejected = both = warnings = 0
    examples: list[str] = []

    def written(events: int, now: int) -> None:
        nonlocal fed
        fed += events
        if on_progress is not None:
            on_progress(fed + rejected, now)

    async with feeding(settings, on_write=written, speed=speed) as feeder:
        # A line's time is judged by the clock of the machine that replays it, like any other record's at a door.
        received_at = now_ms()
        lines = reads(recording, received_at)
        for portion in _portions(lines):
            letters: list[Output] = [read.rejected for read in portion if read.rejected is not None]
            details = [letter for read in portion for letter in read.details]
            remarks = [_said(read.number, one) for read in portion for one in read.warnings]
            warnings += len(remarks)
            examples += remarks[: EXAMPLES - len(examples)]
            await feeder.feed((read.event for read in portion if read.event is not None), flush=False)
            if letters or details:
                await feeder.reject([*letters, *details])
                rejected += len(letters)
                both += sum(read.event is not None and read.rejected is not None for read in portion)
        await feeder.settle()
    seconds = time.monotonic() - began
    return Replayed(
        recording.lines, fed, rejected, seconds, received_at, both, feeder.resent, warnings, tuple(examples)
    )


def _said(line: int, warning: EventWarning) -> str:
    return f"line {line}: {warning.field}: found {warning.found}; allowed: {warning.allowed}"


def _portions(lines: Iterator[Read]) -> Iterator[list[Read]]:
    portion: list[Read] = []
    for line in lines:
        portion.append(line)
        if len(portion) == PORTION:
            yield portion
            portion = []
    if portion:
        yield portion
