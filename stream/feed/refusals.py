"""Lines of a recording that were refused, by its reader or by the fold, with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from models.events import REPORTED, Event, decode_event
from models.log import EVENTS
from models.rejected import Rejected
from models.source import Source
from stream.feed.recording import Read, Recording

MAX_SHOWN = 200
"""Maximum number of characters of a value that are shown."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A line that counts nowhere.

    Attributes
    ----------
    line
        Of the file, from 1; ``None`` if the dead letter is too short to tell.
    by
        ``file``: it is no event. ``fold``: it is one, and could not be folded.
    reason, field, found, allowed
        As in the dead letter.
    id
        ``messageId`` of an event that the fold refused.
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


def refusals(letters: Iterable[Rejected], recording: Recording, again: Iterable[Read]) -> list[Refusal]:
    """Find the line of each dead letter, in the order of the file.

    Parameters
    ----------
    letters
        Of the log that the recording was fed into. Details of accepted events are passed over, and so is what became
        of our own messages: neither is a line.
    recording
        The file.
    again
        Its lines once more, read only if the fold refused an event that brought an id of its own.

    Returns
    -------
    list of Refusal
        Those without a line are last.
    """
    of_file = Source.line(recording.digest, 0).topic
    found: list[Refusal] = []
    unplaced: defaultdict[tuple[str, str], list[Refusal]] = defaultdict(list)
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
        As for :func:`refusals`.

    Returns
    -------
    list of str
        In the order of the letters; each names the line, or the event's id if the file gave it one.
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


def _refusal(letter: Rejected, line: int | None, by: Literal["file", "fold"], event_id: str | None = None) -> Refusal:
    return Refusal(
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
    """Return the line that an id was made from; ``None`` for an id that stands in the file."""
    begin = f"{of_file}/0/"
    number = event_id.removeprefix(begin)
    return int(number) if event_id.startswith(begin) and number.isdecimal() else None


def _placed(unplaced: dict[tuple[str, str], list[Refusal]], again: Iterable[Read]) -> Iterator[Refusal]:
    """Give refusals the lines of their ids; of a repeated id, the last lines are those that came too late."""
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
