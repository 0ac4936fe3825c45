"""The part of the first pass that conditions need: what events and timers change in the clauses of a user.

Only clauses on events, traits and consent are evaluated here, because they follow from the events alone. Each step that
may change a segment leaves the segments to decide for the third pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC

from models.conditions.budget import bound
from models.conditions.clauses import BucketClause, ValueClause
from models.conditions.joining import Joining, PersonSide, join_clauses
from models.conditions.leaf import Person
from models.conditions.periods import NEVER
from models.conditions.program import ValueName
from models.conditions.recording import TruthRecord
from models.conditions.steps import Change, ClauseStep, ValueChange
from models.events import Event
from models.fold import campaign_steps
from models.fold.campaign_steps import CAMPAIGN
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.live_user import LiveUser
from models.fold.piece import Piece, Step
from models.fold.stages import StageCount
from models.fold.user_values import FactValues, time_zone
from models.log import UserHistory
from models.profile import timers
from models.profile.ledger import Timer
from models.profile.state import Consent, Facts

CLAUSES = "clauses"
"""Name of the timer at which a clause of the user can change without an event."""
ADOPT = "adopt"
"""Name of the partition's timer at which a user without a step comes to new conditions."""


def instant_of(step: Step) -> int:
    """Return the time at which a step decides: the due time of a timer of this module, otherwise the clock.

    The turn of a user in a campaign is such a timer, too.
    """
    timer = step.timer
    if timer is None:
        return step.now
    return timer.due if timer.name in (CLAUSES, ADOPT) or timer.name.startswith(CAMPAIGN) else step.now


def begin(piece: Piece, conditions: ConditionsInUse, step: Step) -> None:
    """Bring the user of a step to the conditions in use, before the step changes anything."""
    campaign_steps.begin(piece, step)
    user, facts, event = step.user, step.user.facts, step.event
    if event is not None and event.traits is not None and conditions.program.zoned:
        _person(piece, conditions, user)  # has the time zone before the event, which may change it
    if facts.conditions == conditions.generation:
        return
    now, step.adopts_from = instant_of(step), facts.conditions
    step.is_unstaged = facts.conditions < conditions.staged_from and not user.is_merged
    facts.conditions, user.has_changed = conditions.generation, True
    if conditions.machine is not None and step.is_unstaged:
        piece.stages.append(StageCount("", conditions.machine.initial, now, is_silent=bool(facts.events)))
    if not facts.events:  # the user is new, so there is nothing to bring
        return
    facts.known_since = facts.known_since or facts.first_seen or now
    if conditions.features and user.ledger.assessed_at and not _holds(user, conditions.features):
        piece.recall(user)
    person, since = _person(piece, conditions, user), user.open_conditions().memberships.since
    for key in [key for key in since if step.adopts_from < conditions.begun.get(key, 0)]:
        del since[key]  # the segment was removed, and came again, since the user was decided
    step.adoption = conditions.evaluator.adopt(user.open_conditions(), now, person, has_scores=False)
    step.user.has_steps = True
    _set_timer(conditions, user, now, person)


def give_up(conditions: ConditionsInUse | None, user: LiveUser) -> None:
    """Let a user count as come to the conditions although the step has failed, so that it fails only once."""
    if conditions is not None:
        user.facts.conditions = conditions.generation


def observe(
    piece: Piece, conditions: ConditionsInUse, step: Step, event: Event, consent: Mapping[str, Consent] | None
) -> None:
    """Add an event, which is folded into the facts already, to the clauses that it can change.

    Parameters
    ----------
    piece, conditions, step
        The piece, the conditions in use, and the step of the event.
    event
        The event.
    consent
        The user's consent before the event; ``None`` if no clause reads consent.
    """
    user, facts = step.user, step.user.facts
    changed: list[ValueName] = [("trait", name) for name in conditions.traits_read(event.traits or ())]
    if consent is not None and facts.consent is not consent:
        changed += conditions.consents
    if facts.known_since and not changed and event.traits is None and not _reads(conditions, event):
        return
    person, clauses, evaluator = _person(piece, conditions, user), user.open_conditions(), conditions.evaluator
    found = evaluator.observe(clauses, event, step.now, person)
    if changed:
        found = _joined(found, evaluator.revalue(clauses, _changes(changed), step.now, person))
    if event.traits is not None and conditions.program.zoned:
        zone = time_zone(facts.traits, piece.versions.configuration)
        if zone != person.zone:
            found = _joined(found, evaluator.relocate(clauses, zone, step.now, person))
    facts.known_since = clauses.state.known_since
    _keep(step, found)
    _set_timer(conditions, user, step.now, person)


def withdraw(piece: Piece, conditions: ConditionsInUse, step: Step) -> None:
    """Apply the fact that consent was withdrawn by an event that is not folded as a whole."""
    if conditions.consents:
        user = step.user
        person = _person(piece, conditions, user)
        changes = _changes(conditions.consents)
        found = conditions.evaluator.revalue(user.open_conditions(), changes, step.now, person)
        _keep(step, found)


def join(piece: Piece, conditions: ConditionsInUse, step: Step, before: Facts, visitor: Facts) -> None:
    """Join the clauses of a visitor with those of the step's user, whose facts are those of both already.

    Parameters
    ----------
    piece, conditions, step
        The piece, the conditions in use, and the step of the merge.
    before, visitor
        The facts about the user before the merge, and those about the visitor.
    """
    user, evaluator = step.user, conditions.evaluator
    clauses, values = user.open_conditions(), [*conditions.program.by_value, *conditions.program.numbers]
    zone = time_zone(before.traits, piece.versions.configuration) if conditions.program.zoned else UTC
    previous = user.person or Person(user.name, FactValues(before), zone, before.known_since)
    clauses.state.known_since = user.facts.known_since
    user.person = None
    person = _person(piece, conditions, user)
    sides = (PersonSide(one.known_since, one.events) for one in (before, visitor))
    found: ClauseStep | None = join_clauses(
        conditions.program, clauses, visitor.clauses, Joining(step.now, previous, person, *sides)
    )
    changed = [(subject, name) for subject, name in sorted(set(values)) if subject in ("trait", "consent")]
    found = _joined(evaluator.revalue(clauses, [ValueChange(*name) for name in changed], step.now, person), found)
    if conditions.program.zoned and previous.zone != person.zone:
        zone, person.zone = person.zone, previous.zone
        found = _joined(evaluator.relocate(clauses, zone, step.now, person), found)
    found = found or ClauseStep()
    bound(conditions.program, clauses, found, step.now, person)
    _keep(step, found or None)
    _set_timer(conditions, user, step.now, person)


def end(piece: Piece, conditions: ConditionsInUse, step: Step) -> None:
    """Record the truths of all clauses of a user whose profile ends with the step, for decisions about earlier steps.

    After the step, the user has no timer any more that would fire when a clause changes.
    """
    user = step.user
    person, clauses = _person(piece, conditions, user), user.open_conditions()
    if user.truths is None:
        user.truths = TruthRecord()
    for key, leaf in conditions.program.leaves.items():
        if not isinstance(leaf.clause, ValueClause | BucketClause):
            user.truths.add(step.number, [Change(key, leaf.truth(clauses.entry(leaf), step.now, person), None)])


def expire(piece: Piece, conditions: ConditionsInUse, step: Step, timer: Timer) -> None:
    """Fire the timer of the clauses."""
    user = step.user
    person = _person(piece, conditions, user)
    _keep(step, conditions.evaluator.expire_clauses(user.open_conditions(), timer.due, person))
    _set_timer(conditions, user, timer.due, person)


def bring(piece: Piece, conditions: ConditionsInUse, step: Step, history: UserHistory) -> None:
    """Replace the memory of the clauses that wait for their history by a memory of the whole log."""
    begin(piece, conditions, step)
    user, now = step.user, step.now
    person, clauses = _person(piece, conditions, user), user.open_conditions()
    person.known_since = clauses.state.known_since = user.facts.known_since = history.known_since
    for key in sorted(conditions.program.pending):
        leaf, content = conditions.program.leaves[key], history.entries.get(key)
        clauses.entry(leaf)  # so that its weight is known before it is replaced
        entry = None if content is None else leaf.forget(leaf.decode(content), now, person)
        clauses.put(leaf, entry, NEVER if entry is None else leaf.next_change(entry, now, person))
    user.has_changed = True
    found = ClauseStep()
    bound(conditions.program, clauses, found, now, person)
    _keep(step, found or None)
    _set_timer(conditions, user, now, person)
    piece.finish(step)


def _holds(user: LiveUser, features: Iterable[str]) -> bool:
    """Return whether the ledger has all of these features."""
    held = user.ledger.features
    return held is not None and held.keys() >= set(features)


def _reads(conditions: ConditionsInUse, event: Event) -> bool:
    return conditions.program.reading(event) is not None


def _person(piece: Piece, conditions: ConditionsInUse, user: LiveUser) -> Person:
    """Return what clauses read of a user in the first pass."""
    person, configuration = user.person, piece.versions.configuration
    if person is None:
        zone = time_zone(user.facts.traits, configuration) if conditions.program.zoned else UTC
        person = user.person = Person(user.name, FactValues(user.facts), zone, user.facts.known_since)
    person.late_before = piece.now - configuration.events.order_within
    return person


def _changes(names: Iterable[ValueName]) -> list[ValueChange]:
    return [ValueChange(*name) for name in names]


def _joined(one: ClauseStep | None, other: ClauseStep | None) -> ClauseStep | None:
    if one is None or other is None:
        return one or other
    one.merge(other)
    return one


def _keep(step: Step, found: ClauseStep | None) -> None:
    """Leave the segments to decide, and record which clauses have changed."""
    if found is None:
        return
    step.clauses, user = found, step.user
    user.has_steps = True
    if found.changes:
        if user.truths is None:
            user.truths = TruthRecord()
        user.truths.add(step.number, found.changes)


def _set_timer(conditions: ConditionsInUse, user: LiveUser, at: int, person: Person) -> None:
    due = conditions.evaluator.next_clause_due(user.open_conditions(), at, person)
    known = next((timer.due for timer in user.ledger.timers if timer.name == CLAUSES), NEVER)
    if due == known:
        return
    user.has_new_timers = True
    if due == NEVER:
        timers.cancel(user.customer, CLAUSES)
    else:
        timers.set_timer(user.customer, CLAUSES, due)
