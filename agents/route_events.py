"""The router: it writes the records of ``events.in``, and the outcomes of our messages, into ``events``.

It has no state and reads records of any key. It writes each event under the id of its user, so that all events of a
user are in one partition.
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
    """Validate external events and write each one under the id of its user; pass our outcomes through.

    Parameters
    ----------
    batches
        Batches of ``events.in`` (any key, both forms of the wire) and of ``outcomes`` (our events, which delivery
        wrote).
    origin
        The most live origin that a record of ``events.in`` can have.

    Yields
    ------
    Outputs
        One for each batch: records for ``events``, and dead letters for ``events.rejected``. A withdrawal of consent
        that can still be read in a refused record goes to ``events``, too. After a crash, repeated events have the same
        ids, so readers drop them.
    """
    async for batch in batches:
        yield _route_outcomes(batch) if batch.topic == "outcomes" else _route(batch, origin)


def _route(batch: Batch, origin: Origin) -> Outputs:
    outputs = Outputs()
    accepted = 0
    warnings: list[EventWarning] = []
    for record in batch.records:
        source = Source(batch.topic, batch.partition, record.offset)
        try:
            event = decode(record.value, Received(source, record.timestamp, origin), warnings)
        except InvalidEvent as error:
            _refuse(record, source, error, outputs)
        else:
            outputs.commit.records.append(_into_events(event))
            accepted += 1
            if warnings:
                _warn(record, source, warnings, outputs)
        warnings.clear()
    if accepted:
        outputs.counts["events_accepted", "kafka"] = accepted
    return outputs


def _route_outcomes(batch: Batch) -> Outputs:
    """Pass outcomes through: delivery encodes them as ``events`` does, so encoding again would give the same bytes."""
    outputs = Outputs()
    for record in batch.records:
        try:
            event = _decode_outcome(record)
        except InvalidEvent as error:
            _refuse(record, Source(batch.topic, batch.partition, record.offset), error, outputs)
        else:
            outputs.commit.records.append(Output(EVENTS, event.user.encode(), record.value))
    return outputs


def _refuse(record: Record, source: Source, error: InvalidEvent, outputs: Outputs) -> None:
    """Write the dead letter, and the withdrawal that can still be read in the record."""
    reason = reason_of(error)
    outputs.commit.records.append(reject(record, source, error))
    _count(outputs, "events_rejected", reason)
    if error.withdrawal is not None:
        outputs.commit.records.append(_into_events(error.withdrawal))
        _count(outputs, "withdrawals_salvaged", reason)


def _warn(record: Record, source: Source, warnings: list[EventWarning], outputs: Outputs) -> None:
    """Count the details that an accepted event lost, and write dead letters for those marked as ``rejected``."""
    outputs.commit.records += reject_details(record.value, source, warnings, at=record.timestamp, key=record.key)
    for warning in warnings:
        _count(outputs, "event_warnings", warning.reason)


def _into_events(event: Event) -> Output:
    return Output(EVENTS, event.user.encode(), encode_event(event))


def _decode_outcome(record: Record) -> Event:
    value = record.value or b""
    try:
        return decode_event(value)
    except msgspec.DecodeError as error:
        raise InvalidEvent("bad_outcome", "", ascii(value[:60]), f"an event of ours ({error})") from None
    except UnicodeDecodeError as error:  # msgspec does not turn this error into a DecodeError
        raise InvalidEvent("bad_outcome", "", ascii(value[:60]), f"UTF-8 ({error.reason})") from None


def _count(outputs: Outputs, *key: str) -> None:
    outputs.counts[key] = outputs.counts.get(key, 0) + 1
