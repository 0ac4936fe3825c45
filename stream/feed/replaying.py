"""A replay from its file to its last folded event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from models.batch import Output
from models.rejected import decode_rejected
from stream.feed.feeding import feeding
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import Read, Recording, kind_of, read_wire_events
from stream.settings import Settings

PORTION = 1_000
"""Lines between two looks at the dead letters."""


class Replayed(NamedTuple):
    """What a replay did.

    Attributes
    ----------
    lines
        Records of the file.
    fed, rejected
        Those that became events, and those that became dead letters.
    seconds
        It took, until the last one was folded.
    first_rejected
        Line, and what was wrong with it; empty where none was rejected.
    """

    lines: int
    fed: int
    rejected: int
    seconds: float
    first_rejected: str = ""


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
    fed = rejected = 0
    first_rejected = ""

    def written(events: int, now: int) -> None:
        nonlocal fed
        fed += events
        if on_progress is not None:
            on_progress(fed + rejected, now)

    async with feeding(settings, on_write=written, speed=speed) as feeder:
        # A line's time is judged by the clock of the machine that replays it, like any other record's at a door.
        lines = reads(recording, received_at=time.time_ns() // 1_000_000)
        for portion in _portions(lines):
            letters: list[Output] = [read.rejected for read in portion if read.rejected is not None]
            first_rejected = first_rejected or _told(portion)
            await feeder.feed((read.event for read in portion if read.event is not None), flush=False)
            if letters:
                await feeder.reject(letters)
                rejected += len(letters)
        await feeder.settle()
    return Replayed(recording.lines, fed, rejected, time.monotonic() - began, first_rejected)


def _told(portion: Sequence[Read]) -> str:
    """What was wrong with the first line that was rejected; nothing where none was."""
    for read in portion:
        if read.rejected is not None:
            letter = decode_rejected(read.rejected.value)
            field = f"{letter.field}: " if letter.field else ""
            return f"line {read.number}: {field}found {letter.found}; allowed: {letter.allowed}"
    return ""


def _portions(lines: Iterator[Read]) -> Iterator[list[Read]]:
    portion: list[Read] = []
    for line in lines:
        portion.append(line)
        if len(portion) == PORTION:
            yield portion
            portion = []
    if portion:
        yield portion
