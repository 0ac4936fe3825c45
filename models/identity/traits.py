"""Join the traits of a visitor with those of the known user: of each trait, the newer value counts."""

from __future__ import annotations

from models.profile import lateness, trait_limits
from models.profile.state import Facts
from models.profile.trait_limits import ADDRESSES


def join_traits(facts: Facts, known: Facts, visitor: Facts) -> list[str]:
    """Set the joint traits and their times; return the names of the visitor's traits for which there was no room.

    A value of the known user wins if its time is the same, or if it is not known which of the two is newer. An address
    of the known user is never replaced, because anybody can log in as a visitor and state another address.

    Parameters
    ----------
    facts
        The joint facts. Its traits, and the times of its traits, are set.
    known, visitor
        The facts to join; they are only read.
    """
    mine, theirs = _times(known), _times(visitor)
    forgotten = 0 if known.window is None else known.window.forgotten
    said = {
        name: value
        for name, value in visitor.traits.items()
        if name not in known.traits or (name not in ADDRESSES and theirs.get(name, 0) > mine.get(name, forgotten))
    }
    removed = {name for name in mine if name not in known.traits}
    said = {name: value for name, value in said.items() if name not in removed or theirs.get(name, 0) > mine[name]}
    left_out = trait_limits.beyond(known.traits, said)
    facts.traits = known.traits | {name: value for name, value in said.items() if name not in left_out}
    for name, at in theirs.items():
        if name not in visitor.traits and at > mine.get(name, forgotten) and name not in ADDRESSES:
            facts.traits.pop(name, None)  # the visitor removed it later
    if facts.window is None:
        return left_out
    times = dict(mine)
    for name, at in theirs.items():
        times[name] = max(at, times.get(name, 0))
    facts.window.traits = times
    facts.window.forgotten = max(forgotten, 0 if visitor.window is None else visitor.window.forgotten)
    lateness.bound_traits(facts)
    return left_out


def _times(facts: Facts) -> dict[str, int]:
    return {} if facts.window is None else facts.window.traits
