"""All decisions about messages to a user that are kept, described for people and other systems.

The profile keeps the newest messages, with what delivery has reported about each, and the newest reasons for which
nothing was sent. The topic ``decisions`` keeps more: each decision for 90 days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from models.delivery.messages import message_id
from models.engage.decisions import Decision
from models.engage.why import REASONS
from models.fold.moments import moment
from models.profile.ledger import Pending, SentMessage, Withheld
from models.profile.signals import decode_signal
from models.profile.state import Customer

_KEYED = ("journey_step", "campaign")
"""Kinds of signals whose message has the same id at whatever time it is decided."""


def describe_messages(
    user: str, customer: Customer, now: int, decisions: Iterable[Decision] = (), since: int = 0
) -> dict[str, Any]:
    """Describe all kept decisions about messages to a user, the oldest first.

    Parameters
    ----------
    user, customer
        The user; the state is only read.
    now
        The partition's clock, milliseconds.
    decisions
        The user's decisions in the topic, in its order.
    since
        Time from which the topic has all decisions, milliseconds; 0 if it was not read.

    Returns
    -------
    dict
        Values that JSON can hold.
    """
    ledger, told = customer.ledger, list(decisions)
    delivered = {message.id: message for message in ledger.sent}
    waiting = {_id_of(user, pending): pending for pending in ledger.pending}
    newest = {one.id: place for place, one in enumerate(told)}
    rows: list[tuple[int, dict[str, Any]]] = []
    for place, one in enumerate(told):
        waits = one.id in waiting and one.outcome == "deferred" and newest[one.id] == place
        rows.append((one.at, _of_decision(one, delivered.get(one.id), waits=waits)))
    sent = {one.id for one in told if one.outcome == "sent"}
    rows += [(message.at, _of_sent(message)) for message in ledger.sent if message.id not in sent]
    dropped: Counter[tuple[str, str, str, int]] = Counter()
    dropped.update((one.rule, one.channel, one.reason, one.at) for one in told if one.outcome == "dropped")
    for withheld in ledger.withheld:
        same = withheld.rule, withheld.channel, withheld.reason, withheld.at
        if dropped[same]:
            dropped[same] -= 1
        else:
            rows.append((withheld.at, _of_withheld(withheld)))
    for name, pending in waiting.items():
        if name not in newest:
            rows.append(_of_pending(name, pending))
    rows.sort(key=lambda row: row[0])
    return {
        "user": user,
        "as_of": moment(now),
        "decisions_since": moment(since),
        "messages": [row for _, row in rows],
    }


def _id_of(user: str, pending: Pending) -> str:
    signal = decode_signal(pending.signal)
    return message_id(user, pending.rule, signal.cause, 0 if signal.kind in _KEYED else signal.at)


def _of_decision(one: Decision, message: SentMessage | None, *, waits: bool) -> dict[str, Any]:
    return {
        "at": moment(one.at),
        "id": one.id,
        "rule": one.rule,
        "channel": one.channel,
        "outcome": one.outcome,
        "reason": one.reason or None,
        "because": REASONS.get(one.reason),
        "detail": one.detail or None,
        "blocked": dict(one.blocked),
        "subject": None if message is None else message.subject,
        "why": one.why,
        "configuration": one.configuration,
        "until": moment(one.until),
        "waits": waits,
        "delivery": None if message is None or one.outcome != "sent" else _delivery(message),
        "kept_in": "decisions",
    }


def _row(at: int, rule: str, channel: str | None, outcome: str, reason: str = "") -> dict[str, Any]:
    """Return a decision of which only the profile knows."""
    return {
        "at": moment(at),
        "id": None,
        "rule": rule,
        "channel": channel,
        "outcome": outcome,
        "reason": reason or None,
        "because": REASONS.get(reason),
        "detail": None,
        "blocked": {},
        "subject": None,
        "why": None,
        "configuration": None,
        "until": None,
        "waits": False,
        "delivery": None,
        "kept_in": "profile",
    }


def _of_sent(message: SentMessage) -> dict[str, Any]:
    said = {"id": message.id, "subject": message.subject, "why": message.why, "delivery": _delivery(message)}
    return _row(message.at, message.rule, message.channel, "sent") | said


def _of_withheld(one: Withheld) -> dict[str, Any]:
    return _row(one.at, one.rule, one.channel, "dropped", one.reason) | {"detail": one.detail or None}


def _of_pending(name: str, pending: Pending) -> tuple[int, dict[str, Any]]:
    """Return a message that waits; the profile knows the time of its trigger, but not that of the decision."""
    at = decode_signal(pending.signal).at
    said = {"id": name, "detail": pending.detail or None, "until": moment(pending.until), "waits": True}
    return at, _row(at, pending.rule, None, "deferred", pending.reason) | said


def _delivery(message: SentMessage) -> dict[str, Any]:
    """Return what delivery has reported; without an outcome, the message is on its way."""
    return {
        "outcome": message.outcome or None,
        "because": message.because or None,
        "detail": message.detail or None,
    }
