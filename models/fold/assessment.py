"""What the models say about a user, and what of that is news: segments, churn risk, examples to learn from."""

from __future__ import annotations

from bisect import bisect_right
from zlib import crc32

from models.events import Event
from models.fold.effects import Effects
from models.fold.versions import Versions
from models.learning.examples import ChurnExample, SegmentExample, fingerprint
from models.profile import features, timers
from models.profile.signals import Signal
from models.profile.state import Customer, Example
from models.units import DAY

ASSESS, LABEL = "assess", "label"
"""Timers: look at a user once a day; release the label of the oldest open example."""

SCHEMA = fingerprint(features.FEATURES)


def align(customer: Customer, versions: Versions) -> None:
    """Bring the ledger to the versions in use, before anything else happens to the user.

    The versions in use say what they would have said at the last assessment. So a move that only a new version caused
    is no signal, while whatever happened since, silence included, is judged by one and the same version.
    """
    facts, ledger = customer.facts, customer.ledger
    if not ledger.assessed_at:
        return
    stale_segment = ledger.segment_version != versions.segments_number and versions.segments is not None
    stale_risk = ledger.risk_version != versions.churn_number and versions.churn is not None and facts.identified
    if not (stale_segment or stale_risk):
        return
    row = features.row(facts, ledger.assessed_at)
    if stale_segment and versions.segments is not None:
        ledger.segment = versions.segments.segment(row)
        ledger.segment_version = versions.segments_number
    if stale_risk and versions.churn is not None:
        ledger.risk = versions.churn.predict_one(row)
        ledger.risk_version = versions.churn_number
        ledger.risk_at = ledger.assessed_at


def assess(
    customer: Customer, user: str, now: int, versions: Versions, cause: str, at: int, effects: Effects
) -> list[float]:
    """Score a user and emit the signals that follow.

    Parameters
    ----------
    customer, user
        Whom.
    now
        When, of the partition's clock.
    versions
        In use.
    cause, at
        What gave rise to it, and when that happened: a signal is as old as its cause.
    effects
        Grow.

    Returns
    -------
    list of float
        The row that was scored.
    """
    facts, ledger = customer.facts, customer.ledger
    ledger.assessed_at = now
    row = features.row(facts, now)
    if versions.segments is not None:
        segment = versions.segments.segment(row)
        if segment != ledger.segment:
            version = versions.segments_number
            if ledger.segment is not None:
                effects.signals.append(
                    Signal(kind="segment_left", user=user, at=at, cause=cause, name=ledger.segment, version=version)
                )
            effects.signals.append(
                Signal(kind="segment_entered", user=user, at=at, cause=cause, name=segment, version=version)
            )
            ledger.segment = segment
        ledger.segment_version = versions.segments_number
    if versions.churn is not None and facts.identified:
        risk = versions.churn.predict_one(row)
        previous = 0.0 if ledger.risk is None else ledger.risk
        if _crosses(versions.risk_thresholds, previous, risk):
            effects.signals.append(
                Signal(
                    kind="churn_risk",
                    user=user,
                    at=at,
                    cause=cause,
                    value=risk,
                    previous=previous,
                    version=versions.churn_number,
                    reasons=versions.churn.reasons(row),
                )
            )
        ledger.risk, ledger.risk_version, ledger.risk_at = risk, versions.churn_number, now
    return row


def arm(customer: Customer, user: str, now: int) -> None:
    """Make sure that the daily look at this user will come, at a time of day that follows from the user id."""
    if not timers.is_set(customer, ASSESS):
        timers.set_timer(customer, ASSESS, _next_look(user, now))


def look(customer: Customer, user: str, now: int, versions: Versions, effects: Effects) -> None:
    """The daily look: score, take an example on the user's day of the week, and look again tomorrow.

    It ends for users who were silent for longer than ``churn.active_within_days``; their next visit arms it again.
    """
    churn = versions.configuration.churn
    row = assess(customer, user, now, versions, f"timer:{ASSESS}", now, effects)
    if now - customer.facts.last_seen > churn.active_within_days * DAY:
        return
    if (now // DAY + crc32(user.encode())) % churn.example_every_days == 0:
        effects.segment_examples.append(SegmentExample(user=user, at=now, schema=SCHEMA, row=row))
        if customer.facts.identified:
            _take(customer, now, row, versions)
    timers.set_timer(customer, ASSESS, _next_look(user, now))


def witness(customer: Customer, event: Event, versions: Versions) -> None:
    """Note for the open examples that the user came back."""
    churn = versions.configuration.churn
    if customer.ledger.examples and event.type in churn.activity:
        for example in customer.ledger.examples:
            if example.at < event.at <= example.at + churn.horizon_days * DAY:
                example.returned = True


def release(customer: Customer, user: str, now: int, versions: Versions, effects: Effects) -> None:
    """Release the labels whose horizon has passed, oldest first, whatever they turned out to be.

    Never earlier for the one class than for the other: releasing "returned" at once would show the learner a world
    in which hardly anybody churns.
    """
    horizon = versions.configuration.churn.horizon_days * DAY
    examples = customer.ledger.examples
    while examples and examples[0].at + horizon <= now:
        example = examples.pop(0)
        effects.churn_examples.append(
            ChurnExample(
                user=user,
                at=example.at,
                due=example.at + horizon,
                schema=example.schema,
                row=example.row,
                risk=example.risk,
                version=example.version,
                churned=not example.returned,
            )
        )
    if examples:
        timers.set_timer(customer, LABEL, examples[0].at + horizon)


def _take(customer: Customer, now: int, row: list[float], versions: Versions) -> None:
    ledger = customer.ledger
    ledger.examples.append(Example(at=now, row=row, schema=SCHEMA, risk=ledger.risk, version=ledger.risk_version))
    if not timers.is_set(customer, LABEL):
        timers.set_timer(customer, LABEL, ledger.examples[0].at + versions.configuration.churn.horizon_days * DAY)


def _crosses(thresholds: tuple[float, ...], previous: float, risk: float) -> bool:
    """Whether a risk has risen to one of the thresholds, which ascend, or beyond."""
    return bisect_right(thresholds, previous) < bisect_right(thresholds, risk)


def _next_look(user: str, now: int) -> int:
    phase = crc32(user.encode()) % DAY
    return now + DAY - (now - phase) % DAY
