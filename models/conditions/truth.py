"""Three truth values: true, false, and unknown (``None``), with Kleene's rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Truth: TypeAlias = bool | None
"""The truth of a condition. ``None`` is unknown: what was not seen could change the answer."""


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return false if one is false, otherwise unknown if one is unknown, otherwise true.

    Examples
    --------
    >>> all_of([True, None, False]), all_of([True, None]), all_of([])
    (False, None, True)
    """
    result: Truth = True
    for truth in truths:
        if truth is False:
            return False
        if truth is None:
            result = None
    return result


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return true if one is true, otherwise unknown if one is unknown, otherwise false.

    Examples
    --------
    >>> any_of([False, None, True]), any_of([False, None]), any_of([])
    (True, None, False)
    """
    result: Truth = False
    for truth in truths:
        if truth is True:
            return True
        if truth is None:
            result = None
    return result


def negated(truth: Truth) -> Truth:
    """Return the negation; unknown stays unknown."""
    return None if truth is None else not truth
