"""Repair of dead letters: the current code reads each of them again, with the place at which it first arrived.

So an event without its own ``messageId`` gets the same one as the first time.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import NamedTuple

import msgspec

from models.errors import InvalidEvent, PerennialError
from models.events import Event, Origin, decode_event
from models.log import EVENTS, is_control
from models.rejected import Rejected
from models.source import Received, Source
from models.wire import decode

__all__ = ["Mended", "StillRefused", "mend", "missing_part", "whole"]

OURS = (EVENTS, "outcomes")
"""Topics whose records were written by our code as events. The records of other topics are a sender's JSON."""
READABLE = ("events.in", *OURS)
"""Topics that a record can be read from again."""
FORCED = "too_late"
"""Reason of a rejection that only a person can overrule."""


class StillRefused(PerennialError):
    """A dead letter cannot become an event; the message says why.

    Attributes
    ----------
    withdrawal
        The withdrawal of consent that can be read in the letter nevertheless.
    """

    withdrawal: Event | None = None


class Mended(NamedTuple):
    """A dead letter that is an event now.

    Attributes
    ----------
    id
        Id of the letter.
    event
        The event.
    """

    id: str
    event: Event


def missing_part(rejected: Rejected) -> Source | None:
    """Return the place of the complete record; ``None`` if the letter is complete, or if no topic has the record."""
    if rejected.length <= len(rejected.value) or rejected.topic not in READABLE:
        return None
    return Source(rejected.topic, rejected.partition, rejected.offset)


def whole(rejected: Rejected, fetched: bytes | None = None) -> bytes:
    """Return the record's whole value.

    Parameters
    ----------
    rejected
        The dead letter; it holds the first 64 KiB of the value.
    fetched
        Value found at the place that :func:`missing_part` returns; ``None`` if the record was deleted there.

    Raises
    ------
    StillRefused
        The letter has only a part of the value, and the other part is lost.
    """
    kept = rejected.value
    if rejected.length <= len(kept):
        return kept
    source = missing_part(rejected)
    if source is None:
        raise StillRefused(
            f"only {len(kept):,} of its {rejected.length:,} bytes were kept, and {rejected.topic} cannot be read again"
        )
    if fetched is None:
        raise StillRefused(
            f"only {len(kept):,} of its {rejected.length:,} bytes were kept, and {source.id} is gone from its topic"
        )
    if hashlib.sha256(fetched).hexdigest() != rejected.sha256:
        raise StillRefused(f"another record is stored at {source.id} now, because the topic was created again")
    return fetched


def mend(rejected: Rejected, fetched: bytes | None = None, *, force: bool = False) -> Event:
    """Turn a dead letter into an event.

    Parameters
    ----------
    rejected, fetched
        See :func:`whole`.
    force
        Whether to accept events that came too late, too.

    Raises
    ------
    StillRefused
        The letter still is not an event, or it needs ``force``.
    """
    if rejected.accepted:
        raise StillRefused("its event was accepted without this detail; send the detail again")
    if rejected.reason == FORCED and not force:
        raise StillRefused(
            "it came so late that it may be a repeat; if you are sure that it is not, replay it with --force"
        )
    value = whole(rejected, fetched)
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
    if rejected.key is not None and is_control(b64decode(rejected.key)):
        raise StillRefused("it is a record of the log itself, not an event")
    try:
        event = decode_event(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StillRefused(f"it is not an event of ours ({error})") from None
    return _forced(event, rejected, force=force)


def _forced(event: Event, rejected: Rejected, *, force: bool) -> Event:
    return msgspec.structs.replace(event, forced=True) if force and rejected.reason == FORCED else event
