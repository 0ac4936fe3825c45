"""Recorded events on disk, and their reading line by line with the validation that the doors use."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from models import wire
from models.batch import Output
from models.encoding import is_blank
from models.errors import EventWarning, InvalidEvent, PerennialError
from models.events import Event
from models.rejected import reject_details, reject_value
from models.source import Received, Source
from models.wire.salvage import SUFFIX

_DIGEST_LENGTH = 16


class CannotReplay(PerennialError):
    """A file cannot be replayed: name another one."""


class ReadLine(NamedTuple):
    """Result of reading one line: an event, or the dead letter that says why the line is not an event.

    Attributes
    ----------
    number
        Number of the line in the file, from 1.
    event, rejected
        One of them is set. Both are set if a withdrawal of consent could still be read in a rejected line.
    warnings
        Details of the event that do not count.
    details
        Dead letters that keep some of these details.
    """

    number: int
    event: Event | None
    rejected: Output | None
    warnings: tuple[EventWarning, ...] = ()
    details: tuple[Output, ...] = ()


class Recording(NamedTuple):
    """A file of recorded events.

    Attributes
    ----------
    path
        Path of the file.
    digest
        First 16 hexadecimal digits of the SHA-256 of its bytes. An event without an id gets one that consists of
        the digest and its line number.
    lines
        Number of records, without blank lines.
    """

    path: Path
    digest: str
    lines: int


def survey(path: Path) -> Recording:
    """Read a file once, for its digest and its number of records.

    Raises
    ------
    CannotReplay
        The file does not exist, or it is not compressed although its name ends in ``.gz``.
    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as raw:
            while chunk := raw.read(1 << 20):
                digest.update(chunk)
        with opened(path) as content:
            lines = sum(not is_blank(line) for line in content)
    except (OSError, EOFError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise CannotReplay(f"{path} cannot be read: {why}") from error
    # The first line of a table names its columns.
    return Recording(path, digest.hexdigest()[:_DIGEST_LENGTH], lines - (kind_of(path) == "csv" and lines > 0))


def kind_of(path: Path) -> str:
    """Return ``csv`` or ``jsonl``, by the file's name.

    Raises
    ------
    CannotReplay
        The file has another name.

    Examples
    --------
    >>> kind_of(Path("events.jsonl.gz"))
    'jsonl'
    """
    name = path.name.removesuffix(".gz")
    for kind in ("csv", "jsonl"):
        if name.endswith("." + kind):
            return kind
    raise CannotReplay(f"{path}: a replay reads UCI Online Retail (.csv, .csv.gz) and wire events (.jsonl, .jsonl.gz)")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; decompress it if its name ends in ``.gz``."""
    with path.open("rb") as raw:
        if path.name.endswith(".gz"):
            with gzip.open(raw, "rb") as content:
                yield content  # type: ignore[misc]  # a GzipFile reads like any binary file
        else:
            yield raw


def read_wire_events(recording: Recording, received_at: int) -> Iterator[ReadLine]:
    """Read the lines of a JSON Lines file, in either form of the wire; no event is live, whatever the line says.

    Parameters
    ----------
    recording
        The file.
    received_at
        Time of a record without a time, and the latest time of any record, milliseconds.
    """
    yield from _dated(_wire_events(recording, received_at), received_at)


def _wire_events(recording: Recording, received_at: int) -> Iterator[ReadLine]:
    with opened(recording.path) as content:
        for number, line in enumerate(content, start=1):
            if is_blank(line):
                continue
            source = Source.line(recording.digest, number)
            value = line.rstrip(b"\r\n")
            warnings: list[EventWarning] = []
            try:
                event = wire.decode(value, Received(source, received_at, "replay"), warnings)
            except InvalidEvent as error:
                yield ReadLine(number, error.withdrawal, reject_value(value, source, error, at=received_at))
            else:
                details = reject_details(value, source, warnings, at=received_at)
                yield ReadLine(number, event, None, tuple(warnings), tuple(details))


def _dated(reads: Iterator[ReadLine], received_at: int) -> Iterator[ReadLine]:
    """Replace the time of withdrawals whose own time could not be read, by the time of the next event.

    If no event follows, the time of the last event is used. The time of arrival would move the log's clock, and all
    later lines would come too late.
    """
    waiting: list[ReadLine] = []
    newest = received_at
    for read in reads:
        if read.event is not None and read.event.at == received_at and _withdraws(read.event):
            waiting.append(read)
            continue
        if read.event is not None:
            newest = read.event.at
            yield from _at(newest, waiting)
        yield read
    yield from _at(newest, waiting)


def _withdraws(event: Event) -> bool:
    return event.granted is False or event.id.endswith(SUFFIX)


def _at(moment: int, waiting: list[ReadLine]) -> Iterator[ReadLine]:
    for read in waiting:
        assert read.event is not None
        yield read._replace(event=msgspec.structs.replace(read.event, at=moment))
    waiting.clear()
