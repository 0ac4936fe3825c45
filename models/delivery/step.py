"""One step of a delivery queue: its input, and its additions to the outputs that commit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from models.batch import Output, Outputs
from models.delivery.deliveries import (
    DeliveryRecord,
    MessageSummary,
    Result,
    decode_delivery,
    encode_delivery,
    outcome_of,
)
from models.delivery.suppression import parse_key
from models.events import Channel, encode_event

_NOTHING = DeliveryRecord(status="expired", changed=0)
"""Stand-in for a delivery that is no longer stored."""


@dataclass(slots=True)
class DeliveryStep:
    """One step of the queue at one time; its decisions are valid once its outputs are committed.

    Attributes
    ----------
    records
        Committed records of the partition.
    now
        Time of the step, milliseconds of the wall clock.
    outputs
        Everything that commits together.
    """

    records: Mapping[bytes, bytes] = field(repr=False)
    now: int
    outputs: Outputs = field(default_factory=Outputs)

    def knows(self, key: bytes) -> bool:
        """Return whether there is a delivery with that key."""
        return key in self.records or key in self.outputs.commit.state

    def read(self, key: bytes) -> DeliveryRecord:
        """Return a delivery with the changes of this step; ``_NOTHING`` if this step has deleted it."""
        changed = self.outputs.commit.state
        value = changed[key] if key in changed else self.records.get(key)
        return decode_delivery(value) if value is not None else _NOTHING

    def write(self, key: bytes, record: DeliveryRecord) -> int:
        """Store a delivery, and return the size of its record, bytes."""
        value = self.outputs.commit.state[key] = encode_delivery(record)
        return len(value)

    def forget(self, key: bytes) -> None:
        """Delete a delivery."""
        self.outputs.commit.state[key] = None

    def report(self, key: bytes, summary: MessageSummary, result: Result) -> None:
        """Write the event of a message's outcome, for the fold of its user."""
        event = outcome_of(key.decode(), summary, result, self.now)
        self.emit(Output("outcomes", summary.user.encode(), encode_event(event)))

    def suppress(self, entries: Iterable[Output], channel: Channel) -> None:
        """Write entries of the suppression list, and count them by reason."""
        for entry in entries:
            self.emit(entry)
            if entry.value is not None:
                self.count("suppressions_written", channel, parse_key(entry.key).reason)

    def keep(self, memo: bytes) -> None:
        """Store the memo of the partition."""
        self.outputs.commit.memo = memo

    def emit(self, output: Output) -> None:
        """Write a record for readers of another topic."""
        self.outputs.commit.records.append(output)

    def count(self, *key: str) -> None:
        """Add 1 to a metric; ``key`` is the metric's name and labels."""
        self.outputs.counts[key] = self.outputs.counts.get(key, 0) + 1
