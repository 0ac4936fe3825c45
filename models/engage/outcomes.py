"""What became of the messages that a user was sent, as far as events tell it; and what delivery has to hear of that."""

from __future__ import annotations

from typing import cast

import msgspec

from models.customer.state import Ledger, Sent
from models.engage.caps import SUPPRESSED
from models.engage.notices import Notice, Resolution, Withdrawal
from models.events import CHANNELS, REPORTED, Channel, Event

NOTED = REPORTED | {"consent"}
"""Types of events that :func:`note` has anything to say about."""

_PREFIX = "message_"
_CERTAINTY = {
    "": 0,
    "unknown": 1,
    "failed": 2,
    "suppressed": 2,
    "sent": 2,
    "bounced": 3,
    "delivered": 3,
    "opened": 4,
    "clicked": 5,
}
"""Of an outcome; a less certain one that comes later says nothing new. A bounce may follow a delivery, and counts."""


def note(ledger: Ledger, event: Event) -> list[tuple[Channel, Notice]]:
    """Note what an event says about messages of the user; returns what delivery has to hear, by channel.

    Two things: that a message with an unknown outcome is known after all, in whichever order both were told; and that
    consent was withdrawn while marketing may still be waiting there.

    Parameters
    ----------
    ledger
        Of the event's user; ``sent`` is changed.
    event
        Any.
    """
    if event.type in REPORTED:
        return _reported(ledger, event)
    if event.type == "consent" and event.granted is False:
        return _withdrawn(ledger, event)
    return []


def _reported(ledger: Ledger, event: Event) -> list[tuple[Channel, Notice]]:
    for index, sent in enumerate(ledger.sent):
        if sent.id != event.message:
            continue
        told, known = event.type.removeprefix(_PREFIX), sent.outcome
        if _CERTAINTY.get(told, 0) < _CERTAINTY.get(known, 0):
            told, known = known, told
        because = (event.reason or "").removeprefix(f"{SUPPRESSED}: ") if told == SUPPRESSED else ""
        ledger.sent[index] = msgspec.structs.replace(sent, outcome=told, because=because)
        if told == SUPPRESSED != sent.outcome:
            _give_back(ledger, sent)
        if known == "unknown" and told not in ("unknown", "failed"):
            channel = cast("Channel", sent.channel)
            return [(channel, Resolution(sent.id, channel, "rejected" if told == "bounced" else "delivered"))]
    return []


def _give_back(ledger: Ledger, stopped: Sent) -> None:
    """Let the rule's cooldown count from the message before the one that nobody got."""
    if ledger.fired.get(stopped.rule) != stopped.at:
        return
    before = [one.at for one in ledger.sent if one.rule == stopped.rule and one.outcome != SUPPRESSED]
    fired = {rule: at for rule, at in ledger.fired.items() if rule != stopped.rule}
    ledger.fired = fired | ({stopped.rule: max(before)} if before else {})


def _withdrawn(ledger: Ledger, event: Event) -> list[tuple[Channel, Notice]]:
    # a message of which nothing was told yet may wait: for its turn, for its next attempt, for a provider to come back
    open_in = {sent.channel for sent in ledger.sent if sent.category == "marketing" and not sent.outcome}
    concerned = CHANNELS if event.channel is None else (event.channel,)
    told = Withdrawal(user=event.user, at=event.at, reason=event.reason or "consent was withdrawn")
    return [(channel, told) for channel in concerned if channel in open_in]
