"""Lines of a recording that its reader or the fold has refused, with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from models.events import REPORTED, Event, decode_event
from models.log import EVENTS
from models.rejected import Rejected
from models.source import Source
from stream.feed.recording import ReadLine, Recording

MAX_SHOWN = 200
"""Maximum number of characters of a value that are shown."""


class RefusedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that does not count.

    Attributes
    ----------
    line
        Number of the line in the file, from 1; ``None`` if the line cannot be found. An example is a dead letter that
        contains only a part of the event.
    by
        ``file``: the line is not an event. ``fold``: it is an event that could not be folded.
    reason, field, found, allowed
        Fields of the dead letter.
    id
        ``messageId`` of an event that the fold has refused.
    """

    line: int | None
    by: Literal["file", "fold"]
    reason: str
    field: str
    found: str
    allowed: str
    id: str | None = None

    def __str__(self) -> str:
        place = "a line" if self.line is None else f"line {self.line}"
        field = f"{self.field}: " if self.field else ""
        return f"{place}: {self.reason}: {field}found {self.found[:MAX_SHOWN]}; allowed: {self.allowed}"


def refusals(letters: Iterable[Rejected], recording: Recording, again: Iterable[ReadLine]) -> list[RefusedLine]:
    """Find the line of each dead letter, in the order of the file.

    Parameters
    ----------
    letters
        Dead letters of the log that the recording was fed into. Details of accepted events and outcomes of our own
        messages are skipped, because neither is a line.
    recording
        The file.
    again
        The lines of the file; they are read only if the fold has refused an event whose id is in the file.

    Returns
    -------
    list of RefusedLine
        Refused lines without a number come last.
    """
    of_file = Source.line(recording.digest, 0).topic
    found: list[RefusedLine] = []
    unplaced: defaultdict[tuple[str, str], list[RefusedLine]] = defaultdict(list)
    for letter in letters:
        if letter.accepted:
            continue
        if letter.topic == of_file:
            found.append(_refusal(letter, letter.offset, "file"))
        elif letter.topic == EVENTS:
            event = _event(letter)
            if event is not None and event.type in REPORTED:
                continue
            line = None if event is None else _line_in(event.id, of_file)
            refusal = _refusal(letter, line, "fold", None if event is None else event.id)
            if event is None or line is not None:
                found.append(refusal)
            else:
                unplaced[event.user, event.id].append(refusal)
    found += _placed(unplaced, again)
    return sorted(found, key=lambda refusal: (refusal.line is None, refusal.line or 0))


def left_out(letters: Iterable[Rejected], recording: Recording) -> list[str]:
    """Describe the details that the fold left out of accepted events, such as the excess of a refund.

    Parameters
    ----------
    letters, recording
        See :func:`refusals`.

    Returns
    -------
    list of str
        Descriptions in the order of the letters. Each names the line, or the event's id if the file contains one.
    """
    of_file = Source.line(recording.digest, 0).topic
    found = []
    for letter in letters:
        if not letter.accepted or letter.topic != EVENTS:
            continue
        event = _event(letter)
        line = None if event is None else _line_in(event.id, of_file)
        place = f"line {line}" if line is not None else "an event" if event is None else f"event {event.id}"
        shown = letter.found[:MAX_SHOWN]
        found.append(f"{place}: {letter.field}: found {shown}; allowed: {letter.allowed}")
    return found


def _refusal(
    letter: Rejected, line: int | None, by: Literal["file", "fold"], event_id: str | None = None
) -> RefusedLine:
    return RefusedLine(
        line=line, by=by, reason=letter.reason, field=letter.field, found=letter.found, allowed=letter.allowed,
        id=event_id,
    )  # fmt: skip


def _event(letter: Rejected) -> Event | None:
    """Return the event in a dead letter; ``None`` if the letter kept only a part of it."""
    try:
        return decode_event(letter.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _line_in(event_id: str, of_file: str) -> int | None:
    """Return the line that an id was made from; ``None`` for an id that is written in the file."""
    begin = f"{of_file}/0/"
    number = event_id.removeprefix(begin)
    return int(number) if event_id.startswith(begin) and number.isdecimal() else None


def _placed(unplaced: dict[tuple[str, str], list[RefusedLine]], again: Iterable[ReadLine]) -> Iterator[RefusedLine]:
    """Assign lines to refused events by their ids. If an id is in several lines, the last of them were refused."""
    if not unplaced:
        return
    lines: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for read in again:
        if read.event is not None and (read.event.user, read.event.id) in unplaced:
            lines[read.event.user, read.event.id].append(read.number)
    for key, of_key in unplaced.items():
        numbers: Sequence[int | None] = [*[None] * len(of_key), *lines[key]][-len(of_key) :]
        for refusal, number in zip(of_key, numbers, strict=True):
            yield msgspec.structs.replace(refusal, line=number)
