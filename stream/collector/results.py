"""Outputs, counts and answers that follow from the verdicts on events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from models.batch import Output
from models.events import Event, encode_event
from models.log import EVENTS
from stream.collector.answers import explained
from stream.collector.intake import Acceptance, Refusal, Verdict
from stream.log.event_log import Appended


def outputs(verdicts: Sequence[Verdict]) -> list[Output]:
    """Return the records to write: one for each verdict, in their order, and then the additional records.

    For an accepted event, the additional records are dead letters of its details that do not count. For a refused
    event, they are the withdrawals in it.
    """
    written = [verdict.output if isinstance(verdict, Refusal) else _into_events(verdict.event) for verdict in verdicts]
    for verdict in verdicts:
        if isinstance(verdict, Acceptance):
            written += verdict.details
        else:
            written += map(_into_events, verdict.withdrawals)
    return written


def counts(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, ...]]:
    """Yield the name and labels of a metric, once for each increment."""
    for verdict in verdicts:
        if isinstance(verdict, Acceptance):
            yield "events_accepted", "http"
            for warning in verdict.warnings:
                yield "event_warnings", warning.reason
        else:
            reason = verdict.error.reason
            yield "events_rejected", reason
            for _ in verdict.withdrawals:
                yield "withdrawals_salvaged", reason


def result(verdict: Verdict, place: Appended) -> dict[str, Any]:
    """Return the answer for one event of a batch."""
    if isinstance(verdict, Refusal):
        return {"status": "rejected", **explained(verdict.error)}
    return {"status": "accepted", **placed(verdict, place)}


def placed(accepted: Acceptance, place: Appended) -> dict[str, Any]:
    """Return the answer for an accepted event: its id, its place in the log, and the details that do not count."""
    said: dict[str, Any] = {"id": accepted.event.id, "partition": place.partition, "offset": place.offset}
    if accepted.warnings:
        said["warnings"] = [
            {"reason": one.reason, "field": one.field, "found": one.found, "allowed": one.allowed}
            for one in accepted.warnings
        ]
    return said


def _into_events(event: Event) -> Output:
    return Output(EVENTS, event.user.encode(), encode_event(event))
