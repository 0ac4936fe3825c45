"""One slice of a batch: the outputs of the fold, and the failures in it."""

from __future__ import annotations

from collections import Counter

from models.batch import Batch, Output, Outputs, Record
from models.errors import EventWarning, InvalidEvent, PerennialError
from models.events import REPORTED, Event
from models.fold.effects import Step
from models.fold.memo import content_key, encode_memo
from models.fold.outputs import encode_effects
from models.fold.partition_state import PartitionState
from models.profile import codec
from models.profile.state import Customer
from models.rejected import reason_of, reject, reject_details, reject_value
from models.source import Source

MAX_FAILURES = 100
"""Maximum number of failures in a row. At this number the fold stops, because a bad deployment is the cause."""


class FoldBroken(PerennialError):
    """A hundred failures in a row. The lane has to stop; no data has been lost."""


class Unfoldable(Exception):
    """The failure of a step in a slice that keeps no copies; the slice is then folded again, with copies."""


class Slice:
    """The outputs of one slice while they are collected.

    Parameters
    ----------
    state
        The partition's state.
    batch
        The batch that the slice is a part of.
    careful
        Whether a copy of the user's state is kept before each step, so that a failed step can be undone.

    Attributes
    ----------
    record
        The record that is being folded.
    step
        The step in progress.
    touched
        Keys of the users that have changed, in the order of their first change.
    folded
        Number of folded events by type.
    """

    def __init__(self, state: PartitionState, batch: Batch, *, careful: bool) -> None:
        self.careful = careful
        self.record: Record = batch.records[0]
        self.step = Step(state.versions)
        self.touched: dict[bytes, None] = {}
        self.folded: Counter[str] = Counter()
        self._state = state
        self._memo = state.memo
        self._batch = batch
        self._outputs = Outputs()
        self._counts = self._outputs.counts
        self._records = self._outputs.commit.records
        self._contents: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        """Show the place in the log, and the amount collected."""
        return f"Slice(offset={self.record.offset}, {len(self._records)} records, {len(self.touched)} users)"

    def finish(self, max_live: int) -> Outputs:
        """Return the slice's outputs, and keep at most this many decoded users cached."""
        outputs, state = self._outputs, self._state
        for kind, count in self.folded.items():
            self.count("events_folded", kind, by=float(count))
        for key in self.touched:
            outputs.commit.state[key] = codec.pack(state.live[key])
        outputs.commit.state.update(self._contents)
        state.memo.numbers = state.versions.numbers
        state.memo.paused = sorted(state.versions.paused)
        outputs.commit.memo = encode_memo(state.memo)
        outputs.next_due = state.next_due()
        state.release_users(self.touched, max_live)
        return outputs

    # --- a step ----------------------------------------------------------------------------------------------------

    def begin(self, user: str, customer: Customer) -> bytes:
        """Begin a step, and return the encoded user for :meth:`undo`; it is empty if the slice is not careful."""
        step = self.step
        step.customer, step.user, step.now = customer, user, self._memo.now
        return codec.pack(customer) if self.careful else b""

    def emit(self, key: bytes) -> None:
        """Turn the effects of the step into outputs, and clear them for the next step."""
        effects = self.step.effects
        if effects.interactions or not effects.is_empty:  # the first test is quick, and nearly every event has some
            encode_effects(key, effects, self._outputs)
            effects.clear()

    def undo(self, key: bytes, before: bytes, error: Exception) -> Customer:
        """Restore the user to the state before a failed step, and return it.

        Raises
        ------
        Unfoldable
            The slice is not careful, so there is no copy.
        FoldBroken
            ``MAX_FAILURES`` steps in a row have failed.
        """
        self.step.effects.clear()
        if not self.careful:
            raise Unfoldable from error
        memo = self._state.memo
        memo.failing += 1
        if memo.failing >= MAX_FAILURES:
            raise FoldBroken(f"{MAX_FAILURES} events and timers in a row could not be folded") from error
        customer = self._state.live[key] = codec.unpack(before)
        return customer

    # --- outputs ---------------------------------------------------------------------------------------------------

    def add(self, output: Output) -> None:
        """Add a record."""
        self._records.append(output)

    def store_version(self, name: str, content: bytes) -> None:
        """Store the content of a version that is in use from now on."""
        self._contents[content_key(name)] = content

    def count(self, *name: str, by: float = 1.0) -> None:
        """Increase a counter."""
        self._counts[name] = self._counts.get(name, 0.0) + by

    def pass_over(self, event: Event, why: str) -> None:
        """Count an event that has no effect and is no dead letter, so that a replay can account for each line."""
        if event.type not in REPORTED:
            passed_over = self._state.memo.passed_over
            passed_over[why] = passed_over.get(why, 0) + 1

    # --- dead letters ----------------------------------------------------------------------------------------------

    def reject(self, error: Exception) -> None:
        """Write a dead letter for the record in progress."""
        self._reject(reject(self.record, self._source(), error), error)

    def reject_timer(self, key: bytes, name: str, error: Exception) -> None:
        """Write a dead letter for a timer."""
        at = self._state.memo.now
        self._reject(reject_value(name.encode(), self._source(), error, at=at, key=key), error)

    def reject_undecodable(self, error: Exception, allowed: str) -> None:
        """Write a dead letter for a record that cannot be decoded; ``allowed`` says what was expected."""
        self.reject(InvalidEvent("undecodable", "", str(error), allowed))

    def reject_detail(self, detail: EventWarning) -> None:
        """Write a dead letter for a part of an event that was left out, although the rest of the event was folded."""
        record = self.record
        letters = reject_details(record.value, self._source(), [detail], at=record.timestamp, key=record.key)
        self._records.extend(letters)
        self.count("event_warnings", detail.reason)

    def _reject(self, output: Output, error: Exception) -> None:
        self._records.append(output)
        self.count("events_rejected", reason_of(error))

    def _source(self) -> Source:
        return Source(self._batch.topic, self._batch.partition, self.record.offset)
