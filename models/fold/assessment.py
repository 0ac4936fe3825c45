"""The assessment of a user by the models: segment and churn risk, and the examples that the learners learn from."""

from __future__ import annotations

from bisect import bisect_right
from zlib import crc32

from models.events import Event
from models.fold.effects import Step
from models.fold.versions import Versions
from models.learning.examples import ChurnExample, SegmentExample, fingerprint
from models.profile import features, timers
from models.profile.open_examples import Example
from models.profile.signals import Signal
from models.profile.state import Customer
from models.units import DAY

ASSESS, LABEL = "assess", "label"
"""Names of timers: the daily assessment of a user, and the release of the label of the oldest open example."""

SCHEMA = fingerprint(features.FEATURES)
"""Fingerprint of the features that this code computes."""


def align(customer: Customer, versions: Versions) -> None:
    """Update the ledger to the versions in use, before anything else happens to the user.

    The ledger then holds the results that the versions in use would have computed at the last assessment. So a result
    that changes only because of a new version gives no signal. Everything since then, inactivity included, is judged by
    one version.
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


def assess(step: Step, cause: str, at: int) -> list[float]:
    """Score the step's user, and emit a signal if the segment has changed or the risk has risen to a threshold.

    Parameters
    ----------
    step
        The step; its user is scored at its ``now``.
    cause, at
        The cause of the assessment, and the time of the cause in milliseconds. A signal gets the same time.

    Returns
    -------
    list of float
        The row that was scored.
    """
    customer, versions, now = step.customer, step.versions, step.now
    facts, ledger = customer.facts, customer.ledger
    ledger.assessed_at = now
    row = features.row(facts, now)
    if versions.segments is not None:
        segment, number = versions.segments.segment(row), versions.segments_number
        if segment != ledger.segment:
            left, signals = ledger.segment, step.effects.signals
            if left is not None:
                signals.append(
                    Signal(kind="segment_left", user=step.user, at=at, cause=cause, name=left, version=number)
                )
            signals.append(
                Signal(kind="segment_entered", user=step.user, at=at, cause=cause, name=segment, version=number)
            )
            ledger.segment = segment
        ledger.segment_version = number
    if versions.churn is not None and facts.identified:
        risk = versions.churn.predict_one(row)
        previous = 0.0 if ledger.risk is None else ledger.risk
        if crosses(versions.risk_thresholds, previous, risk):
            step.effects.signals.append(
                Signal(
                    kind="churn_risk",
                    user=step.user,
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


def schedule(step: Step) -> None:
    """Schedule the daily assessment, unless it is already scheduled; the user's id determines the time of day."""
    if not timers.is_set(step.customer, ASSESS):
        timers.set_timer(step.customer, ASSESS, _next_assessment(step.user, step.now))


def assess_daily(step: Step) -> None:
    """Run the daily assessment: score the user, take examples if it is the day for them, schedule the next one.

    No next one is scheduled for a user who was inactive for longer than ``churn.active_within_days``. The user's next
    visit schedules it again. Examples are taken every ``churn.example_every_days`` days.
    """
    customer, user, now = step.customer, step.user, step.now
    churn = step.versions.configuration.churn
    row = assess(step, f"timer:{ASSESS}", now)
    if now - customer.facts.last_seen > churn.active_within_days * DAY:
        return
    if (now // DAY + crc32(user.encode())) % churn.example_every_days == 0:
        step.effects.segment_examples.append(SegmentExample(user=user, at=now, schema=SCHEMA, row=row))
        if customer.facts.identified:
            _take_example(step, row)
    timers.set_timer(customer, ASSESS, _next_assessment(user, now))


def mark_returned(customer: Customer, event: Event, versions: Versions) -> None:
    """Mark an open example as returned if the event is an activity of the user within the example's horizon."""
    churn = versions.configuration.churn
    if customer.ledger.examples and event.type in churn.activity:
        for example in customer.ledger.examples:
            if example.at < event.at <= example.at + churn.horizon_days * DAY:
                example.returned = True


def release_labels(step: Step) -> None:
    """Release the examples whose horizon has passed, oldest first, with either label.

    Both labels are released at the same age. If "returned" were released at once, the learner would get too many
    examples of users who return, and would underestimate churn.
    """
    horizon = step.versions.configuration.churn.horizon_days * DAY
    examples = step.customer.ledger.examples
    while examples and examples[0].at + horizon <= step.now:
        example = examples.pop(0)
        step.effects.churn_examples.append(
            ChurnExample(
                user=step.user,
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
        timers.set_timer(step.customer, LABEL, examples[0].at + horizon)


def crosses(thresholds: tuple[float, ...], previous: float, risk: float) -> bool:
    """Return whether a risk has risen to one of the ascending thresholds, or beyond it.

    Examples
    --------
    >>> crosses((0.5, 0.7), previous=0.5, risk=0.6), crosses((0.5, 0.7), previous=0.5, risk=0.7)
    (False, True)
    """
    return bisect_right(thresholds, previous) < bisect_right(thresholds, risk)


def _take_example(step: Step, row: list[float]) -> None:
    ledger, churn = step.customer.ledger, step.versions.configuration.churn
    ledger.examples.append(Example(at=step.now, row=row, schema=SCHEMA, risk=ledger.risk, version=ledger.risk_version))
    if not timers.is_set(step.customer, LABEL):
        timers.set_timer(step.customer, LABEL, ledger.examples[0].at + churn.horizon_days * DAY)


def _next_assessment(user: str, now: int) -> int:
    phase = crc32(user.encode()) % DAY
    return now + DAY - (now - phase) % DAY
