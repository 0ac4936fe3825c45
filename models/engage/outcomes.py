"""Outcomes of the messages sent to a user, as events report them, and the notices to delivery that follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

import msgspec

from models.delivery.notices import Notice, Resolution, Withdrawal
from models.engage.caps import HANDED_OVER, NOT_SENT, SUPPRESSED
from models.events import CHANNELS, Channel, Event, Forwarding
from models.profile.ledger import Ledger, SentMessage

_PREFIX = "message_"
_RANK = {
    "": 0,
    "unknown": 1,
    "failed": 2,
    "suppressed": 2,
    "handed_over": 2,
    "sent": 2,
    "bounced": 3,
    "delivered": 3,
    "opened": 4,
    "clicked": 5,
}
"""Rank of each outcome; a later outcome of lower rank is ignored.

A bounce has the same rank as a delivery, so it may replace a delivery.
"""

_EXPLAINED = frozenset({"message_failed", "message_bounced", "message_unknown"})
"""Types of events whose reason is kept with the message."""
MAX_DETAIL = 300
"""Maximum length of a reason that is kept, characters."""


def record_outcome(ledger: Ledger, event: Event) -> list[tuple[Channel, Notice]]:
    """Record the outcome of a user's message, and return the notices to delivery, with their channels.

    Delivery is notified if a message's outcome was unknown and is known now. It makes no difference which of the two
    outcomes is read first.

    Parameters
    ----------
    ledger
        The ledger of the event's user; ``sent`` is changed.
    event
        An event of any type in ``REPORTED``.
    """
    for index, sent in enumerate(ledger.sent):
        if sent.id != event.message:
            continue
        outcome, known = _outcome_of(event), sent.outcome
        detail = sent.detail
        if _RANK.get(outcome, 0) < _RANK.get(known, 0):
            outcome, known = known, outcome
        elif event.type in _EXPLAINED and event.reason:
            detail = event.reason[:MAX_DETAIL]
        because = (event.reason or "").removeprefix(f"{SUPPRESSED}: ") if outcome == SUPPRESSED else ""
        ledger.sent[index] = msgspec.structs.replace(sent, outcome=outcome, because=because, detail=detail)
        if outcome in NOT_SENT and outcome != sent.outcome:
            _restart_cooldown(ledger, sent)
        if known == "unknown" and outcome not in ("unknown", "failed", *NOT_SENT):
            channel = cast("Channel", sent.channel)
            return [(channel, Resolution(sent.id, channel, "rejected" if outcome == "bounced" else "delivered"))]
    return []


def message_of(ledger: Ledger, event: Event) -> SentMessage | None:
    """Return the message that an event reports about; ``None`` if the ledger does not have it any more."""
    return next((sent for sent in ledger.sent if sent.id == event.message), None)


def _outcome_of(event: Event) -> str:
    said = event.identity
    is_handed_over = isinstance(said, Forwarding) and bool(said.signal)
    return HANDED_OVER if is_handed_over else event.type.removeprefix(_PREFIX)


def _restart_cooldown(ledger: Ledger, stopped: SentMessage) -> None:
    """Begin the rule's cooldown with the rule's last message that was not stopped."""
    if ledger.fired.get(stopped.rule) != stopped.at:
        return
    before = [one.at for one in ledger.sent if one.rule == stopped.rule and one.outcome not in NOT_SENT]
    fired = {rule: at for rule, at in ledger.fired.items() if rule != stopped.rule}
    ledger.fired = fired | ({stopped.rule: max(before)} if before else {})


def withdrawals_of_visitor(ledger: Ledger, user: str, known: str, at: int) -> list[tuple[Channel, Notice]]:
    """Return the notices that hand a visitor's marketing messages in delivery over to the known user after a login.

    A message that still waits is withdrawn. Then the known user's profile decides about it again.
    """
    notice = Withdrawal(user=user, at=at, reason="the visitor has logged in", known=known)
    return [(channel, notice) for channel in CHANNELS if channel in _waiting(ledger)]


def _waiting(ledger: Ledger) -> set[str]:
    """Return the channels in which marketing may wait for its first or next attempt."""
    return {sent.channel for sent in ledger.sent if sent.category == "marketing" and sent.outcome in ("", "unknown")}


def notices_of_withdrawal(
    ledger: Ledger, event: Event, channels: Collection[Channel], granted: Collection[Channel], purpose: str = ""
) -> list[tuple[Channel, Notice]]:
    """Return the notices that stop the user's marketing messages which may still wait in delivery.

    Parameters
    ----------
    ledger
        The ledger of the event's user; it is only read.
    event
        The withdrawal.
    channels
        The channels for which it withdraws consent.
    granted
        The channels for which consent was granted until now. There, messages may wait that the ledger no longer
        contains.
    purpose
        The purpose to which it withdraws consent; empty for all.
    """
    # A message without an outcome may wait for its first or next attempt. A message with an unknown outcome may be
    # tried again.
    waiting = _waiting(ledger)
    reason = event.reason or "consent was withdrawn"
    notice = Withdrawal(user=event.user, at=event.at, reason=reason, purpose=purpose)
    return [(channel, notice) for channel in channels if channel in granted or channel in waiting]


def notices_of_loss(
    ledger: Ledger, event: Event, lost: Mapping[str, Collection[Channel]]
) -> list[tuple[Channel, Notice]]:
    """Return the notices that stop the messages of a user who loses consent by a change of the profile.

    Parameters
    ----------
    ledger, event
        The ledger of the event's user, and the event.
    lost
        The channels on which consent was granted before, by its purpose.
    """
    found: list[tuple[Channel, Notice]] = []
    for purpose, channels in lost.items():
        found += notices_of_withdrawal(ledger, event, channels, channels, purpose)
    return found
