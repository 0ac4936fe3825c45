"""Outcomes of the messages that a user was sent, as far as events report them, and what delivery has to know."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import msgspec

from models.delivery.notices import Notice, Resolution, Withdrawal
from models.engage.caps import SUPPRESSED
from models.events import Channel, Event
from models.profile.state import Ledger, Sent

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

_EXPLAINED = frozenset({"message_failed", "message_bounced", "message_unknown"})
"""Types of events whose reason is shown with the message."""
MAX_DETAIL = 300
"""Maximum length of a reason that is kept, characters."""


def note(ledger: Ledger, event: Event) -> list[tuple[Channel, Notice]]:
    """Note the outcome of a message of the user; return what delivery has to know of it, by channel.

    Delivery has to know that a message with an unknown outcome is known after all, in whichever order both were read.

    Parameters
    ----------
    ledger
        Of the event's user; ``sent`` is changed.
    event
        Any of the types in ``REPORTED``.
    """
    for index, sent in enumerate(ledger.sent):
        if sent.id != event.message:
            continue
        told, known = event.type.removeprefix(_PREFIX), sent.outcome
        detail = sent.detail
        if _CERTAINTY.get(told, 0) < _CERTAINTY.get(known, 0):
            told, known = known, told
        elif event.type in _EXPLAINED and event.reason:
            detail = event.reason[:MAX_DETAIL]
        because = (event.reason or "").removeprefix(f"{SUPPRESSED}: ") if told == SUPPRESSED else ""
        ledger.sent[index] = msgspec.structs.replace(sent, outcome=told, because=because, detail=detail)
        if told == SUPPRESSED != sent.outcome:
            _give_back(ledger, sent)
        if known == "unknown" and told not in ("unknown", "failed", SUPPRESSED):
            channel = cast("Channel", sent.channel)
            return [(channel, Resolution(sent.id, channel, "rejected" if told == "bounced" else "delivered"))]
    return []


def _give_back(ledger: Ledger, stopped: Sent) -> None:
    """Let the rule's cooldown count from the last message that was not stopped."""
    if ledger.fired.get(stopped.rule) != stopped.at:
        return
    before = [one.at for one in ledger.sent if one.rule == stopped.rule and one.outcome != SUPPRESSED]
    fired = {rule: at for rule, at in ledger.fired.items() if rule != stopped.rule}
    ledger.fired = fired | ({stopped.rule: max(before)} if before else {})


def withdrawn(
    ledger: Ledger, event: Event, channels: Collection[Channel], granted: Collection[Channel]
) -> list[tuple[Channel, Notice]]:
    """Return the notices that stop marketing of the user which may still wait in delivery.

    Parameters
    ----------
    ledger
        Of the event's user; only read.
    event
        The withdrawal.
    channels
        For which it withdraws consent.
    granted
        For which consent was granted until now: messages may wait there that the ledger has no room for any more.
    """
    # a message without an outcome may wait for its turn or its next attempt; an unknown one may be tried again
    waiting = {sent.channel for sent in ledger.sent if sent.category == "marketing" and sent.outcome in ("", "unknown")}
    notice = Withdrawal(user=event.user, at=event.at, reason=event.reason or "consent was withdrawn")
    return [(channel, notice) for channel in channels if channel in granted or channel in waiting]
