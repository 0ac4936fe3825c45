"""A replay, from the file to the last folded event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from models.batch import Output
from models.errors import EventWarning
from models.units import now_ms
from stream.feed.feeder import Pace
from stream.feed.feeding import feeding
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import ReadLine, Recording, kind_of, read_wire_events
from stream.settings.loading import Settings

PORTION = 1_000
"""Number of lines that are read before their dead letters are written."""
MAX_EXAMPLES = 10
"""Maximum number of warnings that are shown one by one."""


class ReplayedRecording(NamedTuple):
    """Result of a replay.

    Attributes
    ----------
    lines
        Number of records in the file.
    fed, rejected
        Number of events that were written to the log, and of lines that became dead letters. A refused line
        from which a withdrawal could be read is counted in both.
    seconds
        Duration until the last event was folded, seconds.
    received_at
        Time at which the lines were read, milliseconds.
    both
        Number of refused lines with a withdrawal.
    resent
        Maximum number of events that may be in the log twice, because a write was repeated.
    warnings
        Number of details that were left out of their events, each with a warning.
    examples
        Descriptions of the first of these details.
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


def reads(recording: Recording, received_at: int) -> Iterator[ReadLine]:
    """Read the lines of a recording with the reader for its kind."""
    read = read_online_retail if kind_of(recording.path) == "csv" else read_wire_events
    return read(recording, received_at)


async def replay(
    settings: Settings,
    recording: Recording,
    *,
    speed: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ReplayedRecording:
    """Feed a recording into the log, and return when all of it is folded.

    Parameters
    ----------
    settings
        Settings of the installation. A worker must already fold its log.
    recording
        The file.
    speed
        Ratio of the file's time to wall time; ``None`` feeds as fast as the workers fold.
    on_progress
        Called with the number of lines written so far, and the file's time that they have reached, milliseconds.

    Raises
    ------
    WrongClock, AlreadyFed, NobodyFolds
        See :func:`feeding`.
    CannotReplay
        The file cannot be replayed.
    """
    began = time.monotonic()
    fed = rejected = both = warnings = 0
    examples: list[str] = []

    def written(events: int, now: int) -> None:
        nonlocal fed
        fed += events
        if on_progress is not None:
            on_progress(fed + rejected, now)

    async with feeding(settings, Pace(speed=speed), written) as feeder:
        # The time of a line is compared with the clock of this machine, as a door checks the time of any record.
        received_at = now_ms()
        lines = reads(recording, received_at)
        for portion in _portions(lines):
            letters: list[Output] = [read.rejected for read in portion if read.rejected is not None]
            details = [letter for read in portion for letter in read.details]
            remarks = [_describe(read.number, one) for read in portion for one in read.warnings]
            warnings += len(remarks)
            examples += remarks[: MAX_EXAMPLES - len(examples)]
            await feeder.feed((read.event for read in portion if read.event is not None), flush=False)
            if letters or details:
                await feeder.reject([*letters, *details])
                rejected += len(letters)
                both += sum(read.event is not None and read.rejected is not None for read in portion)
        await feeder.drain()
    seconds = time.monotonic() - began
    return ReplayedRecording(
        recording.lines, fed, rejected, seconds, received_at, both, feeder.resent, warnings, tuple(examples)
    )


def _describe(line: int, warning: EventWarning) -> str:
    return f"line {line}: {warning.field}: found {warning.found}; allowed: {warning.allowed}"


def _portions(lines: Iterator[ReadLine]) -> Iterator[list[ReadLine]]:
    portion: list[ReadLine] = []
    for line in lines:
        portion.append(line)
        if len(portion) == PORTION:
            yield portion
            portion = []
    if portion:
        yield portion
