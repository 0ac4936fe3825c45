"""The messages of journeys and campaigns, counted by partition: sent, dropped, delivered, credited with conversions.

A partition keeps one small record for each ``send`` step or campaign and each channel.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from models.batch import Restored
from models.engage.attribution import CreditMove
from models.engage.decisions import Decision
from models.events import CHANNELS
from models.fold.stored_counts import StoredCounts, joined
from models.profile.ledger import SentMessage
from models.profile.orders import add_money

KEY = b"\x00sends:"
"""Beginning of the keys in ``profiles`` under which the counts are stored; then the rule, ``@`` and the channel."""
_COUNTED = ("journey_step", "campaign")
"""Kinds of signals whose messages are counted."""


class MessageMove(NamedTuple):
    """A change of a message.

    Attributes
    ----------
    rule, channel
        The message.
    dropped
        The reason why it was dropped; empty for a message that was sent.
    before, outcome
        Its outcomes before and now; both are empty when it is decided.
    """

    rule: str
    channel: str
    dropped: str = ""
    before: str = ""
    outcome: str = ""


class MessageCounts(msgspec.Struct, array_like=True, gc=False):
    """The messages of one step, or of one campaign, over one channel in one partition.

    Attributes
    ----------
    sent
        Number of messages that were handed to delivery.
    dropped
        Number of those that were dropped, by reason.
    outcomes
        Number of sent messages by their present outcome; those without one are on their way.
    credited, assisted
        Number of conversions whose credit a message has, and of those with which one has assisted.
    revenue
        Money of the credits, micros by currency.
    """

    sent: int = 0
    dropped: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    credited: int = 0
    assisted: int = 0
    revenue: dict[str, int] = {}

    def move(self, one: MessageMove) -> None:
        """Count what has happened to a message."""
        if one.dropped:
            self.dropped = _changed(self.dropped, one.dropped, 1)
        elif not one.before and not one.outcome:
            self.sent += 1
        else:
            outcomes = _changed(self.outcomes, one.before, -1) if one.before else self.outcomes
            self.outcomes = _changed(outcomes, one.outcome, 1)

    def credit(self, one: CreditMove) -> None:
        """Count a change of the credits."""
        self.credited += one.credited
        self.assisted += one.assisted
        self.revenue = dict(sorted(add_money(self.revenue, one.currency, one.amount).items()))


class CountedMessages(StoredCounts[MessageCounts]):
    """The messages of journeys and campaigns in one partition, with uncommitted changes.

    Parameters
    ----------
    committed
        The committed state; it is only read.
    """

    def __init__(self, committed: Restored) -> None:
        super().__init__(committed, KEY, MessageCounts)

    def move(self, moves: Collection[MessageMove | CreditMove]) -> None:
        """Count what has happened to messages and their credits."""
        for one in moves:
            counts = self.of(name_of(one.rule, one.channel))
            if isinstance(one, CreditMove):
                counts.credit(one)
            else:
                counts.move(one)
        self.mark_changed(dict.fromkeys(name_of(one.rule, one.channel) for one in moves))


def decided_moves(decisions: Iterable[Decision]) -> Iterator[MessageMove]:
    """Yield what decisions mean for the counters of journeys and campaigns; a message that waits is not counted."""
    for one in decisions:
        if one.signal.kind in _COUNTED and one.outcome != "deferred" and one.reason != "held_out":
            yield MessageMove(one.rule, one.channel, one.reason if one.outcome == "dropped" else "")


def outcome_move(before: SentMessage | None, after: SentMessage | None) -> MessageMove | None:
    """Return the change of a message by a report about it; ``None`` if there is none, or if it is not counted."""
    if before is None or after is None or before.outcome == after.outcome or "/" not in after.rule:
        return None
    return MessageMove(after.rule, after.channel, "", before.outcome, after.outcome)


def message_counts_of(records: Mapping[bytes, bytes], rules: Iterable[str]) -> dict[str, MessageCounts]:
    """Return the counts of rules in a partition by ``step@channel``; only their own records are looked up.

    Parameters
    ----------
    records
        The committed records of the partition.
    rules
        Names such as ``journey/step`` and ``campaign/name``.
    """
    found: dict[str, MessageCounts] = {}
    for rule in rules:
        for channel in CHANNELS:
            content = records.get(KEY + name_of(rule, channel).encode())
            if content is not None:
                found[name_of(rule.partition("/")[2], channel)] = _decode(content)
    return found


def joined_by_name(parts: Iterable[Mapping[str, MessageCounts]]) -> dict[str, MessageCounts]:
    """Return the counts of several partitions together, by name."""
    found: dict[str, list[MessageCounts]] = {}
    for part in parts:
        for name, counts in part.items():
            found.setdefault(name, []).append(counts)
    return {name: joined_message_counts(found[name]) for name in sorted(found)}


def joined_message_counts(parts: Iterable[MessageCounts]) -> MessageCounts:
    """Return the counts of several partitions together."""
    return joined(MessageCounts, parts)


def name_of(rule: str, channel: str) -> str:
    """Return the name under which messages are counted."""
    return f"{rule}@{channel}"


_decode = msgspec.msgpack.Decoder(MessageCounts).decode


def _changed(counts: dict[str, int], name: str, by: int) -> dict[str, int]:
    number = counts.get(name, 0) + by
    others = {one: count for one, count in counts.items() if one != name}
    return dict(sorted({**others, name: number}.items())) if number else others
