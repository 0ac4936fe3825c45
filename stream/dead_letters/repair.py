"""Reading a dead letter once more, as its first reader would have: with today's code, and the same ``messageId``."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from models.errors import InvalidEvent, PerennialError
from models.events import Event, Origin, decode_event
from models.rejected import Rejected
from models.source import Received, Source
from models.wire import decode

OURS = ("events", "outcomes")
"""Topics whose records are events of ours, not a sender's JSON."""
KAFKA = ("events.in", *OURS)
"""Topics that a record can be read from again."""
FORCED = "too_late"
"""Only a person can decide that such an event is folded all the same."""

Fetch = Callable[[Source], bytes | None]


class StillRefused(PerennialError):
    """A dead letter cannot become an event: why stands in the message.

    Attributes
    ----------
    withdrawal
        The withdrawal of consent that can be read in it all the same.
    """

    withdrawal: Event | None = None


class Mended(NamedTuple):
    """A dead letter that is an event now."""

    id: str
    event: Event


def whole(rejected: Rejected, fetch: Fetch) -> bytes:
    """The record's whole value.

    Parameters
    ----------
    rejected
        Holds its first 64 KiB.
    fetch
        Reads a record once more where it came from; ``None`` where it is gone.

    Raises
    ------
    StillRefused
        More of it is needed, and cannot be had.
    """
    kept = rejected.value
    if rejected.length <= len(kept):
        return kept
    source = Source(rejected.topic, rejected.partition, rejected.offset)
    if rejected.topic not in KAFKA:
        raise StillRefused(
            f"only {len(kept):,} of its {rejected.length:,} bytes were kept, and {rejected.topic} cannot be read again"
        )
    value = fetch(source)
    if value is None:
        raise StillRefused(
            f"only {len(kept):,} of its {rejected.length:,} bytes were kept, and {source.id} is gone from its topic"
        )
    if hashlib.sha256(value).hexdigest() != rejected.sha256:
        raise StillRefused(f"what stands at {source.id} now is another record: the topic was made anew")
    return value


def mend(rejected: Rejected, fetch: Fetch, *, force: bool = False) -> Event:
    """Make the event of a dead letter.

    Parameters
    ----------
    rejected, fetch
        As for :func:`whole`.
    force
        Take events that came too late, too.

    Raises
    ------
    StillRefused
        It is still none, or it needs ``force``.
    """
    if rejected.accepted:
        raise StillRefused("its event was accepted without this detail; send the detail again")
    if rejected.reason == FORCED and not force:
        raise StillRefused("it came too late for its repeats to be known; replay it with --force if it is none")
    value = whole(rejected, fetch)
    if rejected.topic in OURS:
        return _own(rejected, value, force=force)
    source = Source(rejected.topic, rejected.partition, rejected.offset)
    origin: Origin = "replay" if rejected.topic.startswith("file:") else rejected.origin
    try:
        event = decode(value, Received(source, rejected.at, origin, rejected.trust))
    except InvalidEvent as error:
        refused = StillRefused(str(error))
        refused.withdrawal = error.withdrawal
        raise refused from None
    return _forced(event, rejected, force=force)


def _own(rejected: Rejected, value: bytes, *, force: bool) -> Event:
    if rejected.key is not None and b64decode(rejected.key).startswith(b"\x00"):
        raise StillRefused("it is a record of the log itself, and no event")
    try:
        event = decode_event(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StillRefused(f"it is no event of ours ({error})") from None
    return _forced(event, rejected, force=force)


def _forced(event: Event, rejected: Rejected, *, force: bool) -> Event:
    return msgspec.structs.replace(event, forced=True) if force and rejected.reason == FORCED else event
