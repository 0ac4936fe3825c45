"""The transition table of one delivery: the next record after each event, and the reported outcome.

::

    state      what happens                             next state
    ---------  ---------------------------------------  ---------------------------------
    none       a message arrives                        queued
    queued     an attempt begins                        attempted
    queued     its deadline has passed                  expired
    queued     consent is withdrawn                     withdrawn
    queued     its visitor logs in                      queued, stopped; then withdrawn
    attempted  the provider accepts or refuses it       delivered, rejected
    attempted  its address is on the suppression list   suppressed
    attempted  the provider clearly did not accept it   queued, with a later due time
    attempted  no answer                                unknown
    unknown    the true outcome is found or reported    delivered, rejected
    unknown    a look-up finds nothing                  unknown, or queued if that is safe

Every function returns a new record. No function has a side effect or depends on another message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from models.delivery.deliveries import DeliveryRecord, Result, Status, StoredStatus, wait_after
from models.delivery.messages import Message
from models.events import HandoverNote

MAX_DETAIL = 300
"""Maximum number of characters of a provider's words that are stored."""

LookupDelays: TypeAlias = Sequence[int]
"""Delays before the look-ups of an unknown delivery, milliseconds; empty if the provider cannot be asked."""

_STORED: dict[Status, StoredStatus] = {
    "delivered": "delivered",
    "failed": "failed",
    "rejected": "rejected",
    "unknown": "unknown",
    "expired": "expired",
    "withdrawn": "withdrawn",
    "suppressed": "withdrawn",
}
"""Stored status for each outcome.

``suppressed`` is stored as ``withdrawn``, because a worker of the previous release cannot read ``suppressed``.
"""


class Transition(NamedTuple):
    """A change of one delivery.

    Attributes
    ----------
    record
        The record that is stored from now on.
    outcome
        The outcome to report as an event of the user; ``None`` if there is nothing new to report.
    resolves
        Whether the outcome replaces ``unknown``, which was reported before.
    """

    record: DeliveryRecord
    outcome: Result | None = None
    resolves: bool = False


def queued(message: Message, now: int) -> DeliveryRecord:
    """Return the record of a message that has just arrived."""
    return DeliveryRecord(status="queued", changed=now, since=now, message=message)


def attempted(record: DeliveryRecord, by: str, now: int) -> DeliveryRecord:
    """Return the record of a delivery whose next attempt is begun by the process named ``by``."""
    return msgspec.structs.replace(record, status="attempted", changed=now, attempts=record.attempts + 1, due=0, by=by)


def stopped(record: DeliveryRecord, why: str, known: str = "") -> DeliveryRecord:
    """Return the record of a delivery that is not tried again once its current attempt or look-up has ended.

    Parameters
    ----------
    record, why
        The delivery, and the reason.
    known
        The known user who takes the message over if it is withdrawn; empty for none.
    """
    return msgspec.structs.replace(record, stopped=why, known=known)


def answered(record: DeliveryRecord, result: Result, delays: LookupDelays, now: int) -> Transition:
    """Return the consequences of the result of an attempt."""
    if result.status == "failed":
        return _retried(record, result, now)
    if result.status == "unknown" and delays:
        unknown = msgspec.structs.replace(record, looks=0, detail=_short(result), answered=result.answered)
        return Transition(_looked_up_later(unknown, delays, now), result)
    return ended(record, result, now)


def looked_up(record: DeliveryRecord, result: Result, delays: LookupDelays, now: int) -> Transition:
    """Return the consequences of a look-up of an unknown delivery."""
    if result.status in ("delivered", "rejected"):
        return resolved(record, result, now)
    if record.looks + 1 < len(delays):
        return Transition(_looked_up_later(msgspec.structs.replace(record, looks=record.looks + 1), delays, now))
    if result.status == "failed" and record.answered:
        return _retried(record, Result("failed", record.detail), now)
    return Transition(_closed(record, "unknown", now))


def resolved(record: DeliveryRecord, result: Result, now: int) -> Transition:
    """Return the consequences of the true end of an unknown delivery."""
    return Transition(_closed(record, result.status, now), result, resolves=True)


def expired(record: DeliveryRecord, now: int, *, paused: bool) -> Transition:
    """Return the end of a delivery that expired while it waited; ``paused`` adds that the channel is paused."""
    last = f"; attempts: {record.attempts}, the last: {record.detail}" if record.attempts else ""
    held = "; the channel is paused" if paused else ""
    return ended(record, Result("expired", f"not handed over within its time{held}{last}"), now)


def withdrawn(record: DeliveryRecord, why: str, now: int) -> Transition:
    """Return the end of a delivery whose user withdrew consent, or whose visitor logged in, while it waited."""
    message = record.message
    has_signal = bool(record.known) and message is not None and bool(message.signal)
    handed_over = HandoverNote(record.known, message.signal) if has_signal and message is not None else None
    return ended(record, Result("withdrawn", why, handed_over=handed_over), now)


def ended(record: DeliveryRecord, result: Result, now: int) -> Transition:
    """Return the end of a delivery, with its outcome."""
    return Transition(_closed(record, result.status, now), result)


def _retried(record: DeliveryRecord, result: Result, now: int) -> Transition:
    if record.stopped:
        return withdrawn(record, record.stopped, now)
    assert record.message is not None
    return Transition(
        msgspec.structs.replace(
            record,
            status="queued",
            changed=now,
            since=record.arrived,
            due=now + wait_after(record.message.id, max(record.attempts, 1), result.retry_after, result.delays_s),
            by="",
            answered=False,
            detail=_short(result),
        )
    )


def _looked_up_later(record: DeliveryRecord, delays: LookupDelays, now: int) -> DeliveryRecord:
    due = now + delays[record.looks]
    return msgspec.structs.replace(record, status="unknown", changed=now, due=due, by="")


def _closed(record: DeliveryRecord, status: Status, now: int) -> DeliveryRecord:
    # No data of a person are kept, only that there was this message. For an unknown outcome, the message's user is kept
    # as well.
    stored = _STORED[status]
    if status != "unknown" or record.summary is None:
        return DeliveryRecord(status=stored, changed=now)
    return DeliveryRecord(status=stored, changed=now, attempts=record.attempts, closed=record.summary)


def _short(result: Result) -> str:
    return result.detail[:MAX_DETAIL]
