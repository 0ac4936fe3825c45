"""The router: what anybody wrote to ``events.in``, and what became of our messages, into ``events``.

It has no state, reads any key, and writes each user's events under the user's id, so that they meet in one partition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from models.batch import Batch, Output, Outputs, Record
from models.errors import EventWarning, InvalidEvent
from models.events import Event, Origin, decode_event, encode_event
from models.log import EVENTS
from models.rejected import reason_of, reject, reject_details
from models.source import Received, Source
from models.wire import decode


async def route_events(batches: AsyncIterator[Batch], *, origin: Origin = "live") -> AsyncIterator[Outputs]:
    """Validate and re-key events from outside, and carry our own outcomes over.

    Parameters
    ----------
    batches
        Of ``events.in`` (any key, either form of the wire) and of ``outcomes`` (our own events, written by delivery).
    origin
        The most live origin that a record of ``events.in`` can have.

    Yields
    ------
    Outputs
        One for each batch: records for ``events`` (key: the user's id) and, for what was refused, ``events.rejected``.
        A withdrawal of consent that could still be read in a refused record goes to ``events``, too.
        A repeat after a crash has the same ids, and is dropped by them.
    """
    async for batch in batches:
        yield _route(batch, origin)


def _route(batch: Batch, origin: Origin) -> Outputs:
    outputs = Outputs()
    ours = batch.topic == "outcomes"
    accepted = 0
    warnings: list[EventWarning] = []
    for record in batch.records:
        source = Source(batch.topic, batch.partition, record.offset)
        try:
            event = _outcome(record) if ours else _from_outside(record, source, origin, warnings)
        except InvalidEvent as error:
            _refuse(record, source, error, outputs)
        else:
            outputs.commit.records.append(_into_events(event))
            accepted += 1
            if warnings:
                _warn(record, source, warnings, outputs)
        warnings.clear()
    if accepted and not ours:
        outputs.counts["events_accepted", "kafka"] = accepted
    return outputs


def _refuse(record: Record, source: Source, error: InvalidEvent, outputs: Outputs) -> None:
    """Write the dead letter, and the withdrawal that could still be read in the record."""
    reason = reason_of(error)
    outputs.commit.records.append(reject(record, source, error))
    _count(outputs, "events_rejected", reason)
    if error.withdrawal is not None:
        outputs.commit.records.append(_into_events(error.withdrawal))
        _count(outputs, "withdrawals_salvaged", reason)


def _warn(record: Record, source: Source, warnings: list[EventWarning], outputs: Outputs) -> None:
    """Count what was left out of an accepted event, and write dead letters for what is marked so."""
    outputs.commit.records += reject_details(record.value, source, warnings, at=record.timestamp, key=record.key)
    for warning in warnings:
        _count(outputs, "event_warnings", warning.reason)


def _into_events(event: Event) -> Output:
    return Output(EVENTS, event.user.encode(), encode_event(event))


def _count(outputs: Outputs, *key: str) -> None:
    outputs.counts[key] = outputs.counts.get(key, 0) + 1


def _from_outside(record: Record, source: Source, origin: Origin, warnings: list[EventWarning]) -> Event:
    return decode(record.value, Received(source, record.timestamp, origin), warnings)


def _outcome(record: Record) -> Event:
    try:
        return decode_event(record.value or b"")
    except msgspec.DecodeError as error:
        raise InvalidEvent(
            "bad_outcome", "", ascii((record.value or b"")[:60]), f"an event of ours ({error})"
        ) from None
    except UnicodeDecodeError as error:  # msgspec lets this one through
        raise InvalidEvent("bad_outcome", "", ascii((record.value or b"")[:60]), f"UTF-8 ({error.reason})") from None
