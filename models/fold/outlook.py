"""A partition folded on in memory, on a copy of its state: what the fold decides if no event comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from models.batch import Batch, MadeRecord, Outputs, Restored
from models.delivery.messages import Message, decode_message
from models.engage.decisions import Decision, decode_decision
from models.events import CHANNELS
from models.fold.partition import PartitionFold
from models.log import CONTROL, EVENTS, Control, Tick, encode_control
from models.units import MINUTE

_MESSAGES = frozenset(f"messages.{channel}" for channel in CHANNELS)


class OutlookFold:
    """A fold of one partition into the future, as if no event came: only timers fire, and control records act.

    Parameters
    ----------
    state
        A copy of the committed state of the partition; it changes.
    begin
        Time of the log where it begins, milliseconds; at least the partition's own clock.

    Attributes
    ----------
    begin
        Time at which the outlook begins, milliseconds.
    """

    def __init__(self, state: Restored, begin: int) -> None:
        self._state = state
        self._fold = PartitionFold(state)
        self.begin = max(begin, self._fold.now)

    def __repr__(self) -> str:
        return f"OutlookFold({self._state.partition}, from {self.begin}, at {self._fold.now})"

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``; empty if the partition has no record."""
        return self._fold.clock

    def play(self, controls: Iterable[tuple[int, Control]]) -> Iterator[Outputs]:
        """Fold control records, each at its time in milliseconds, and yield the outputs of each slice."""
        state = self._state
        for at, control in controls:
            record = MadeRecord(state.position, at, *encode_control(control))
            for outputs in self._fold.slices(Batch(EVENTS, state.partition, [record])):
                checkpoint = state.checkpoint(outputs.commit, record.offset + 1)
                state.apply(outputs.commit, checkpoint.position)
                yield outputs

    def run(self, until: int) -> Iterator[tuple[int, list[Decision]]]:
        """Move the clock minute by minute, and yield each time with the decisions of that minute.

        The first time is :attr:`begin`, at which all fire that should have fired before.

        Parameters
        ----------
        until
            The end, milliseconds.
        """
        now = self.begin
        while True:
            outputs = self.play([(now, Tick(at=now))])
            yield now, [decision for some in outputs for decision in decided(some)[0]]
            if now >= until:
                return
            now = min(until, now + MINUTE)


def decided(outputs: Outputs) -> tuple[list[Decision], dict[str, Message]]:
    """Return the decisions of a fold in their order, and the messages that they send by their ids."""
    decisions: list[Decision] = []
    messages: dict[str, Message] = {}
    for output in outputs.commit.records:
        if output.value is None or output.key[:1] == CONTROL:
            continue
        if output.topic == "decisions":
            decisions.append(decode_decision(output.value))
        elif output.topic in _MESSAGES:
            try:
                message = decode_message(output.value)
            except msgspec.ValidationError:
                continue  # a notice about a message, which is in the same topic
            messages[message.id] = message
    return decisions, messages
