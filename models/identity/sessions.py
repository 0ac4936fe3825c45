"""Join the sessions of a visitor with those of the known user.

Sessions of the last hours are known with begin and end, so they are joined as if all events had come to one profile. Of
older sessions, only their number and the mean gap between them are known.
"""

from __future__ import annotations

from typing import NamedTuple

from models.profile import lateness
from models.profile.lateness import SESSION_GAP_MS
from models.profile.state import Facts, Window


class _Sessions(NamedTuple):
    """Sessions of one profile.

    Attributes
    ----------
    spans
        Begin and end of the newest sessions, oldest first.
    closed
        Number of the sessions before them.
    gap
        Mean gap between those, milliseconds.
    ended
        End of the last one of those if the gap after it is not counted yet; otherwise 0.
    """

    spans: list[list[int]]
    closed: int
    gap: float
    ended: int


def join_sessions(facts: Facts, known: Facts, visitor: Facts, late_before: int) -> None:
    """Set the number of sessions, the newest one, and the gaps of the joint facts.

    Parameters
    ----------
    facts
        The joint facts.
    known, visitor
        The facts to join; they are only read.
    late_before
        Time before which events are late, milliseconds.
    """
    if not known.sessions or not visitor.sessions:
        _copy(facts, known if known.sessions else visitor)
        return
    one, other = _of(known), _of(visitor)
    joined: list[list[int]] = []
    for begin, end in sorted([*one.spans, *other.spans]):
        if joined and begin - joined[-1][1] <= SESSION_GAP_MS:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    closed = one.closed + other.closed
    facts.sessions, facts.session_at = closed + len(joined), joined[-1][0]
    gap = (one.gap * one.closed + other.gap * other.closed) / closed if one.closed and other.closed else 0.0
    gap = gap or one.gap or other.gap
    ended = max(one.ended, other.ended) if max(one.ended, other.ended) < joined[0][0] else 0
    window = lateness.window_of(facts)
    window.visits = [moment for span in joined for moment in span]
    window.gap, window.ended = gap, ended
    for number, (begin, end) in enumerate(joined, closed):
        if ended:
            gap = lateness.mean_gap(gap, begin - ended, first=number == 1)
        ended = end
    facts.gap = gap
    lateness.close_sessions(facts, window, late_before)


def _copy(facts: Facts, one: Facts) -> None:
    """Take over the sessions of the only profile that has any."""
    facts.sessions, facts.session_at, facts.gap = one.sessions, one.session_at, one.gap
    if one.window is not None and facts.window is not None:
        window = facts.window
        window.visits, window.ended, window.gap = list(one.window.visits), one.window.ended, one.window.gap


def _of(facts: Facts) -> _Sessions:
    window = facts.window or Window()
    visits = window.visits
    if not visits:
        return _Sessions([[facts.session_at, facts.last_seen]], facts.sessions - 1, facts.gap, 0)
    spans = [[begin, end] for begin, end in zip(visits[::2], visits[1::2], strict=True)]
    return _Sessions(spans, facts.sessions - len(spans), window.gap, window.ended)
