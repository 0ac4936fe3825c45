"""Findings about processes that were stopped for longer than their session, while the others had to continue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.crew import Crew
from tests.chaos.flow import Flow
from tests.chaos.lives import Life, ProcessNote, awakenings, has_moved_on, held_by, now_ms

MIN_STALL_S = 4.0
"""Minimum length of a stall that is checked, seconds; in this time every partition gets events."""


def not_moved_on(crew: Crew, deeds: Counter[str]) -> list[str]:
    """Describe the lives that woke up without a rebalance afterwards; count the others in ``deeds``."""
    found, lives, notes = [], crew.lives, crew.notes
    for life, woken in awakenings(lives):
        if life.role == "learn":
            continue  # learners read only two topics, so possibly no other learner takes part in a rebalance
        if has_moved_on(life, woken, lives, notes):
            deeds[f"rebalance beside a {life.role} that woke up"] += 1
        else:
            found.append(f"no rebalance after {life.name} woke up")
    return found


def held_back(
    flow: Flow, lives: Sequence[Life], notes: Sequence[ProcessNote], ended: float, deeds: Counter[str]
) -> list[str]:
    """Describe the partitions that a frozen process blocked although it must not; count the other stalls in ``deeds``.

    A frozen delivery process must not block the fold of any partition. A frozen router is also a frozen fold. The users
    of this fold wait until the group assigns their partitions to another process, and all other users are served. Each
    partition of ``events`` stays open to its readers.
    """
    wall = time.time() - time.monotonic()
    found = []
    for life in lives:
        for stall in life.stalls:
            begin, end = stall.begin / 1000 - wall, min((stall.end or now_ms()) / 1000 - wall, ended)
            if life.role == "learn" or end - begin < MIN_STALL_S:
                continue
            held = held_by(life, stall.begin, lives, notes)
            silent = [number for number in flow.silent_in(begin, end) if f"events-{number}" not in held]
            unread = flow.unread_in(begin, end)
            while_ = f"while {life.name} was frozen for {end - begin:.1f} s"
            if silent:
                found.append(f"partitions without a commit {while_}: {silent}")
            if unread:
                found.append(f"partitions of events with nothing to read {while_}: {unread}")
            if not (silent or unread):
                deeds[f"users' events flowed on beside a frozen {life.role}"] += 1
    return found
