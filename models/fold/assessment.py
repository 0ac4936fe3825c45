"""The assessment of a user by the models: segment and churn risk, and the examples that the learners learn from.

The first pass over a piece schedules assessments and takes examples. The scores come from the second pass, so an
example is completed there.
"""

from __future__ import annotations

from bisect import bisect_right
from zlib import crc32

from models.events import Event
from models.fold.effects import StepEffects
from models.fold.live_user import LiveUser
from models.fold.piece import Piece, Step
from models.fold.scores import PieceScores
from models.fold.versions import Versions
from models.learning.examples import ChurnExample, SegmentExample, fingerprint
from models.profile import features, timers
from models.profile.ledger import Ledger
from models.profile.open_examples import OpenExample
from models.profile.state import Facts
from models.units import DAY

ASSESS, LABEL = "assess", "label"
"""Names of timers: the daily assessment of a user, and the release of the label of the oldest open example."""

SCHEMA = fingerprint(features.FEATURES)
"""Fingerprint of the features that this code computes."""


def align(piece: Piece, user: LiveUser) -> None:
    """Update the ledger to the versions in use, before a step that scores the user.

    The ledger then holds the results that the versions in use would have computed at the last assessment. So a result
    that changes only because of a new version gives no signal. Everything since then, inactivity included, is judged by
    one version.
    """
    user.is_aligned = True
    if user.ledger.assessed_at and (has_old_segment(user, piece.versions) or has_old_risk(user, piece.versions)):
        piece.align(user)


def has_old_segment(user: LiveUser, versions: Versions) -> bool:
    """Return whether an older version assigned the user's segment."""
    return user.ledger.segment_version != versions.segments_number and versions.segments is not None


def has_old_risk(user: LiveUser, versions: Versions) -> bool:
    """Return whether an older version computed the user's risk."""
    return user.ledger.risk_version != versions.churn_number and versions.churn is not None and user.facts.identified


def schedule(user: LiveUser, now: int) -> None:
    """Schedule the daily assessment, unless it is already scheduled; the user's id determines the time of day."""
    if not timers.is_set(user.customer, ASSESS):
        timers.set_timer(user.customer, ASSESS, _next_assessment(user.key, now))
        user.has_new_timers = True
    user.is_scheduled = True


def assess_daily(piece: Piece, step: Step) -> None:
    """Run the daily assessment: score the user, take examples if it is the day for them, schedule the next one.

    No next one is scheduled for a user who was inactive for longer than ``churn.active_within_days``. The user's next
    visit schedules it again. Examples are taken every ``churn.example_every_days`` days.
    """
    user, now = step.user, step.now
    churn = piece.versions.configuration.churn
    user.is_scheduled = False
    piece.score(step)
    if now - user.facts.last_seen > churn.active_within_days * DAY:
        return
    if (now // DAY + crc32(user.key)) % churn.example_every_days == 0:
        row = step.row

        def give(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - needs the row alone
            example = SegmentExample(user=user.name, at=now, schema=SCHEMA, row=scores.row(row))
            effects.segment_examples.append(example)

        step.later(give)
        if user.facts.identified:
            _take_example(piece, step)
    timers.set_timer(user.customer, ASSESS, _next_assessment(user.key, now))


def mark_returned(user: LiveUser, event: Event, versions: Versions) -> None:
    """Mark an open example as returned if the event is an activity of the user within the example's horizon."""
    churn = versions.configuration.churn
    if event.type in churn.activity:
        for example in user.ledger.examples:
            if example.at < event.at <= example.at + churn.horizon_days * DAY:
                example.returned = True


def mark_returned_by(user: LiveUser, visitor: Facts, versions: Versions) -> None:
    """Mark the open examples as returned within whose horizon a visitor was active who turns out to be this user.

    Of the visitor's activity, only some times are known: the first and the last one, the newest sessions and items.
    """
    horizon = versions.configuration.churn.horizon_days * DAY
    visits = [] if visitor.window is None else visitor.window.visits
    times = (visitor.first_seen, visitor.last_seen, visitor.session_at, *visits, *visitor.recent.times())
    for example in user.ledger.examples:
        example.returned |= any(example.at < at <= example.at + horizon for at in times)


def release_labels(piece: Piece, step: Step) -> None:
    """Release the examples whose horizon has passed, oldest first, with either label.

    Both labels are released at the same age. If "returned" were released at once, the learner would get too many
    examples of users who return, and would underestimate churn.
    """
    horizon = piece.versions.configuration.churn.horizon_days * DAY
    user, examples = step.user, step.user.ledger.examples
    while examples and examples[0].at + horizon <= step.now:
        _release(step, examples.pop(0), horizon)
    if examples:
        timers.set_timer(user.customer, LABEL, examples[0].at + horizon)


def crosses(thresholds: tuple[float, ...], previous: float, risk: float) -> bool:
    """Return whether a risk has risen to one of the ascending thresholds, or beyond it.

    Examples
    --------
    >>> crosses((0.5, 0.7), previous=0.5, risk=0.6), crosses((0.5, 0.7), previous=0.5, risk=0.7)
    (False, True)
    """
    return bisect_right(thresholds, previous) < bisect_right(thresholds, risk)


def _release(step: Step, example: OpenExample, horizon: int) -> None:
    user, has_returned = step.user.name, example.returned

    def give(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - the example is complete
        effects.churn_examples.append(
            ChurnExample(
                user=user,
                at=example.at,
                due=example.at + horizon,
                schema=example.schema,
                row=example.row,
                risk=example.risk,
                version=example.version,
                churned=not has_returned,
            )
        )

    step.later(give)


def _take_example(piece: Piece, step: Step) -> None:
    user, churn = step.user, piece.versions.configuration.churn
    example = OpenExample(step.now, b"", SCHEMA, None, 0)
    user.ledger.examples.waiting.append(example)
    piece.taken.append((example, step))
    if not timers.is_set(user.customer, LABEL):
        timers.set_timer(user.customer, LABEL, user.ledger.examples[0].at + churn.horizon_days * DAY)


def _next_assessment(key: bytes, now: int) -> int:
    phase = crc32(key) % DAY
    return now + DAY - (now - phase) % DAY
