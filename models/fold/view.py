"""A user described for people and other systems: plain values, times in RFC 3339, money in units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.engage.planner import again_from
from models.engage.user_zone import unknown_zone, zone_of
from models.engage.why import REASONS
from models.events import MICROS
from models.fold.identity_view import describe_identity
from models.fold.membership_view import memberships
from models.fold.moments import moment
from models.fold.rfm import SCORES, buyer_of, issued_score, next_change
from models.fold.run_view import describe_runs
from models.fold.versions import CHURN, CONFIGURATION, POPULATION, SEGMENTS, Versions
from models.profile import consents, features, orders, pending_grants, purposes
from models.profile.decay import month_share
from models.profile.ledger import NEVER, Pending, SentMessage, Withheld
from models.profile.short_ids import restored
from models.profile.state import Consent, Customer, Facts, PendingGrant


def money(amounts: Mapping[str, int]) -> dict[str, float]:
    """Convert micros by currency to units by currency."""
    return {currency: micros / MICROS for currency, micros in sorted(amounts.items())}


def describe(user: str, customer: Customer, now: int, versions: Versions) -> dict[str, Any]:
    """Describe everything that we know and have decided about one user.

    Parameters
    ----------
    user
        The user's id.
    customer
        The user's state; it is only read.
    now
        The partition's clock, milliseconds.
    versions
        The versions in use in the partition.

    Returns
    -------
    dict
        Values that JSON can hold.
    """
    facts, ledger = customer.facts, customer.ledger
    row = features.row(facts, now) if facts.sessions else None
    return {
        "user": user,
        "as_of": moment(now),
        "profile": _profile(facts),
        "identity": describe_identity(customer),
        "zone": _zone(facts, versions),
        "segment": {
            "name": ledger.segment,
            "version": ledger.segment_version,
            "since": moment(ledger.segment_since),
        },
        "segments": memberships(customer, versions),
        "lifecycle": _lifecycle(customer, versions),
        "churn": _churn(customer, row, versions),
        "rfm": _rfm(customer, now, versions),
        "features": None if row is None else dict(zip(features.FEATURES, (round(x, 4) for x in row), strict=True)),
        "journeys": describe_runs(customer, versions),
        "marks": ledger.marks,
        "messages": [_sent(message) for message in ledger.sent],
        "not_sent": [_withheld(message, customer, versions) for message in ledger.withheld],
        "waiting": [_pending(message) for message in ledger.pending],
        "timers": [{"due": moment(t.due), "name": t.name} for t in ledger.timers],
        "versions": {name: versions.number(name) for name in (CONFIGURATION, CHURN, SEGMENTS, POPULATION)},
    }


def _churn(customer: Customer, row: list[float] | None, versions: Versions) -> dict[str, Any]:
    facts, ledger = customer.facts, customer.ledger
    reasons: tuple[str, ...] = ()
    if versions.churn is not None and row is not None:
        # The reasons are those of the time when the shown risk was computed, because they change with each day.
        reasons = versions.churn.reasons(features.row(facts, ledger.risk_at) if ledger.risk_at else row)
    return {
        "risk": None if ledger.risk is None else round(ledger.risk, 4),
        "as_of": moment(ledger.risk_at),
        "version": ledger.risk_version,
        "reasons": list(reasons),
    }


def _lifecycle(customer: Customer, versions: Versions) -> dict[str, Any] | None:
    """Return the stage of the user, and the time of the move into it; ``None`` without a lifecycle."""
    lifecycle, stage = versions.configuration.lifecycle, customer.ledger.stage
    if lifecycle is None:
        return None
    if stage is None:
        return {"stage": lifecycle.stages[0], "since": None}
    return {"stage": stage.name, "since": moment(stage.since)}


def _rfm(customer: Customer, now: int, versions: Versions) -> dict[str, Any] | None:
    """Return the scores that were issued last, and the numbers behind them; ``None`` for a user without purchases."""
    buyer, ledger = buyer_of(customer.facts), customer.ledger
    if buyer is None:
        return None
    changes_at = NEVER if versions.population is None else next_change(buyer, versions.population, now)
    return {
        **{name: issued_score(ledger, name) for name in SCORES},
        "version": 0 if ledger.rfm is None else ledger.rfm.version,
        "last_purchase": moment(buyer.bought_at),
        "orders": buyer.orders,
        "spent_without_refunds": money(buyer.spent),
        "recency_falls_at": None if changes_at == NEVER else moment(changes_at),
    }


def _sent(message: SentMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "at": moment(message.at),
        "rule": message.rule,
        "channel": message.channel,
        "category": message.category,
        "subject": message.subject,
        "why": message.why,
        "outcome": message.outcome or None,
        "because": message.because or None,
        "detail": message.detail or None,
    }


def _pending(message: Pending) -> dict[str, Any]:
    return {
        "rule": message.rule,
        "reason": message.reason,
        "detail": message.detail or None,
        "until": moment(message.until),
        "expires": moment(message.expires),
    }


def _withheld(one: Withheld, customer: Customer, versions: Versions) -> dict[str, Any]:
    shown = {"at": moment(one.at), "rule": one.rule, "channel": one.channel, "reason": one.reason}
    shown["because"], shown["detail"] = REASONS.get(one.reason, ""), one.detail or None
    shown["last_sent"] = shown["again_from"] = None
    rule = next((rule for rule in versions.configuration.rules if rule.name == one.rule), None)
    if one.reason == "cooldown" and rule is not None:
        fired = customer.ledger.fired.get(one.rule, 0)
        if fired <= one.at:  # otherwise the rule has sent another message since
            shown["last_sent"] = moment(fired)
            shown["again_from"] = moment(again_from(rule, customer.ledger))
    return shown


def _zone(facts: Facts, versions: Versions) -> dict[str, Any]:
    answer = zone_of(facts.traits, versions.configuration.timezone)
    return {
        "name": answer.name,
        "zones": list(answer.zones),
        "source": answer.source,
        "rule": answer.rule,
        "unknown": unknown_zone(facts.traits),
    }


def _profile(facts: Facts) -> dict[str, Any]:
    return {
        "identified": facts.identified,
        "traits": facts.traits,
        "origin": facts.origin,
        "first_seen": moment(facts.first_seen),
        "last_seen": moment(facts.last_seen),
        "sessions": facts.sessions,
        "events": dict(sorted(facts.events.items())),
        "orders": facts.orders,
        "refunds": facts.refunds,
        "spent": money(facts.spent),
        "refunded": money(facts.refunded),
        "refunds_beyond_orders": money(orders.beyond(facts)),
        "known_orders": [
            {
                "order": order,
                "at": moment(one.at),
                "amount": one.amount / MICROS,
                "currency": orders.currency_of(one),
                "refunded": orders.refunded(one) / MICROS,
            }
            for order, one in sorted(facts.known_orders.items(), key=lambda pair: (-pair[1].at, pair[0]))
        ],
        "categories": {
            name: round(value * month_share(max(facts.last_seen - facts.categories_at, 0)), 2)
            for name, value in sorted(facts.categories.items(), key=lambda pair: (-pair[1], pair[0]))
        },
        "cart": {item: line.quantity for item, line in facts.cart.items()},
        "recent": [recent.item for recent in reversed(facts.recent)],
        "ratings": {
            "count": facts.ratings,
            "mean": round(facts.rating_sum / facts.ratings, 2) if facts.ratings else None,
        },
        "support_messages": facts.support,
        "our_messages": dict(sorted(facts.messages.items())),
        "pending_consent": _pending_grants(facts),
        "consent": {key: _consent(key, state) for key, state in sorted(facts.consent.items())},
    }


def _pending_grants(facts: Facts) -> dict[str, Any]:
    waiting = sorted((key, one) for key, one in facts.pending.items() if pending_grants.waits(one))
    return {key: _pending_grant(key, one) for key, one in waiting}


def _pending_grant(key: str, one: PendingGrant) -> dict[str, Any]:
    """Return a grant that waits for its confirmation, and the e-mails that have asked for it."""
    purpose, channel = purposes.parts_of(key)
    return {
        "purpose": purpose,
        "channel": channel,
        "at": moment(one.at),
        "event": restored(one.event),
        "source": one.source or None,
        "text": one.text or None,
        "asked": one.asked,
        "asked_at": moment(one.asked_at),
    }


def _consent(key: str, state: Consent) -> dict[str, Any]:
    """Return the answer for a purpose and a channel, and the statement that decided it."""
    proof, (purpose, channel) = consents.proof_of(state), purposes.parts_of(key)
    event = {"id": proof.event, "type": proof.event_type, "at": moment(consents.event_time(state))}
    return {
        "granted": state.granted,
        "at": moment(state.at),
        "purpose": purpose,
        "channel": channel,
        "basis": (state.basis or "consent") if state.granted else None,
        "text": proof.text or None,
        "source": proof.source or None,
        "confirmed": proof.confirmed,
        "event": event if proof.event else None,
        "bought": moment(state.bought),
        "newest_grant": moment(state.newest_grant),
        "because": "a new grant is needed" if consents.needs_new_grant(state) else None,
    }
