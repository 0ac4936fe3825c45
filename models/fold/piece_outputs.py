"""The outputs of one piece of the log, in the order of the log although several passes write them."""

from __future__ import annotations

from collections.abc import Iterator

from models.batch import Batch, Output, Record
from models.errors import EventWarning, InvalidEvent
from models.events import REPORTED, Event
from models.fold.failures import Cause
from models.fold.memo import Memo
from models.rejected import reason_of, reject, reject_details, reject_value
from models.source import Source

_PLACES = 4
"""Number of places of a step: messages released before it, its first pass, its third pass, its dead letters."""
_FIRST, _THIRD, _LETTERS = 1, 2, 3


class PieceOutputs:
    """The records and counts of one piece while they are collected.

    Parameters
    ----------
    batch
        The batch of which the piece is a part.
    memo
        The partition's memo.

    Attributes
    ----------
    record
        The record that is being folded.
    number
        Number of the step in progress.
    counts
        Increments of metrics.
    folded
        Number of folded events by type.
    """

    def __init__(self, batch: Batch, memo: Memo) -> None:
        self.record: Record = batch.records[0]
        self.number = 0
        self.counts: dict[tuple[str, ...], float] = {}
        self.folded: dict[str, int] = {}
        self._batch = batch
        self._memo = memo
        self._interactions = 0
        self._records: list[Output] = []
        self._places: list[int] = []
        self._decided: list[tuple[int, list[Output]]] = []

    def __repr__(self) -> str:
        """Show the place in the log, and the amount collected."""
        return (
            f"PieceOutputs(offset={self.record.offset}, {len(self._records)} records, {len(self._decided)} decisions)"
        )

    @property
    def totals(self) -> dict[tuple[str, ...], float]:
        """All increments of metrics."""
        totals: dict[tuple[str, ...], float] = {
            ("events_folded", kind): float(number) for kind, number in self.folded.items()
        }
        if self._interactions:
            totals["interactions",] = float(self._interactions)
        return {**self.counts, **totals}

    def merged(self) -> Iterator[Output]:
        """Yield the records of all passes in the order of the log."""
        records, places, done = self._records, self._places, 0
        for place, decided in self._decided:
            while done < len(records) and places[done] < place:
                yield records[done]
                done += 1
            yield from decided
        yield from records[done:]

    # --- records ---------------------------------------------------------------------------------------------------

    def add_interaction(self, output: Output) -> None:
        """Add an interaction to the step in progress, and count it."""
        self._records.append(output)
        self._places.append(self.number * _PLACES + _FIRST)
        self._interactions += 1

    def add_record(self, output: Output) -> None:
        """Add a record of the first pass to the step in progress."""
        self._records.append(output)
        self._places.append(self.number * _PLACES + _FIRST)

    def add_example(self, output: Output, model: str) -> None:
        """Add an example for a learner to the step in progress, and count it."""
        self.add_record(output)
        self.count("examples_emitted", model)

    def add_decided(self, number: int, outputs: list[Output]) -> None:
        """Add records of the third pass to the step of this number; the steps must come in order."""
        self._decided.append((number * _PLACES + _THIRD, outputs))

    def add_released(self, number: int, outputs: list[Output]) -> None:
        """Add records of messages that were released before the step of this number."""
        self._decided.append((number * _PLACES, outputs))

    # --- counts ----------------------------------------------------------------------------------------------------

    def count(self, *name: str, by: float = 1.0) -> None:
        """Increase a counter."""
        self.counts[name] = self.counts.get(name, 0.0) + by

    def pass_over(self, event: Event, why: str) -> None:
        """Count an event that has no effect and is no dead letter, so that a replay can account for each line."""
        if event.type not in REPORTED:
            passed_over = self._memo.passed_over
            passed_over[why] = passed_over.get(why, 0) + 1

    # --- dead letters ----------------------------------------------------------------------------------------------

    def reject(self, error: Exception) -> None:
        """Write a dead letter for the record in progress."""
        self._reject(reject(self.record, self._source(self.record.offset), error), error)

    def reject_timer(self, key: bytes, name: str, error: Exception) -> None:
        """Write a dead letter for a timer."""
        at = self._memo.now
        self._reject(reject_value(name.encode(), self._source(self.record.offset), error, at=at, key=key), error)

    def rejected_release(self, cause: Cause, error: Exception, now: int) -> list[Output]:
        """Count and return a dead letter for a timer at which deferred messages were to be released."""
        self.count("events_rejected", reason_of(error))
        return [reject_value(cause.part.encode(), self._source(cause.offset), error, at=now, key=cause.key)]

    def reject_undecodable(self, error: Exception, allowed: str) -> None:
        """Write a dead letter for a record that is not allowed at its place."""
        self.reject(InvalidEvent("undecodable", "", str(error), allowed))

    def reject_detail(self, detail: EventWarning) -> None:
        """Write a dead letter for a detail without which its event was folded."""
        record = self.record
        source = self._source(record.offset)
        for letter in reject_details(record.value, source, [detail], at=record.timestamp, key=record.key):
            self._add_letter(letter)
        self.count("event_warnings", detail.reason)

    def _reject(self, output: Output, error: Exception) -> None:
        self._add_letter(output)
        self.count("events_rejected", reason_of(error))

    def _add_letter(self, letter: Output) -> None:
        self._records.append(letter)
        self._places.append(self.number * _PLACES + _LETTERS)

    def _source(self, offset: int) -> Source:
        return Source(self._batch.topic, self._batch.partition, offset)
