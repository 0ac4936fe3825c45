"""The budget of what all clauses remember of one user: above it, the largest entries become approximate."""

from __future__ import annotations

from operator import itemgetter

from models.conditions.leaf import Person
from models.conditions.program import ConditionProgram
from models.conditions.steps import ClauseStep
from models.conditions.user_state import UserConditions

MAX_STATE_BYTES = 128 * 1024
"""Maximum size of what all clauses remember of one user, bytes."""
MIN_SHRUNK_BYTES = 200
"""Minimum size of an entry that is shrunk, bytes."""


def bound(program: ConditionProgram, user: UserConditions, step: ClauseStep, now: int, person: Person) -> None:
    """Make the largest entries of a user approximate, until all of them have room.

    This follows whatever adds to the entries: an event, the entries of another profile, or those from the log.

    Parameters
    ----------
    program, user, person
        The conditions, the user, and what clauses read of the user.
    step
        The step; it gets the clauses that have changed.
    now
        The partition's clock, milliseconds.
    """
    if user.state.weight <= MAX_STATE_BYTES:
        return
    held = [leaf for leaf in program.leaves.values() if user.has_entry(leaf.key)]
    while user.state.weight > MAX_STATE_BYTES:
        weight, _, leaf = max(((leaf.weigh(user.entry(leaf)), leaf.key, leaf) for leaf in held), key=itemgetter(0, 1))
        entry = user.entry(leaf)
        if weight < MIN_SHRUNK_BYTES or entry is None:
            return
        before = leaf.truth(entry, now, person)
        leaf.shrink(entry)
        user.put(leaf, entry, leaf.next_change(entry, now, person))
        step.change(program, leaf.key, before, leaf.truth(entry, now, person))
