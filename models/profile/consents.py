"""The rule of consent: a withdrawal never weakens.

The state of a channel is (granted, at, newest grant). A withdrawal sets ``granted`` to no, and its time never moves
``at`` back. A grant counts only if its time is later than ``at``; at the same time, "no" wins. So the answer may be
"no" although a grant is newer, if an older withdrawal was read after it: then a new grant is needed.
"""

from __future__ import annotations

from models.profile.state import Consent


def withdraw(known: Consent | None, at: int, source: str = "") -> Consent:
    """Return the state after a withdrawal was read, whatever its time.

    Examples
    --------
    >>> withdraw(withdraw(None, at=30), at=10).at
    30
    """
    if known is None:
        return Consent(granted=False, at=at, source=source)
    return Consent(granted=False, at=max(known.at, at), source=source, newest_grant=_newest_grant(known))


def grant(known: Consent | None, at: int, source: str = "") -> Consent:
    """Return the state after a grant was read; it changes the answer only if it is newer than all that led to it.

    Examples
    --------
    >>> grant(withdraw(None, at=30), at=20).granted, grant(withdraw(None, at=30), at=30).granted
    (False, False)
    >>> grant(withdraw(None, at=30), at=31).granted
    True
    """
    if known is None:
        return Consent(granted=True, at=at, source=source, newest_grant=at)
    newest = max(_newest_grant(known), at)
    if at > known.at:
        return Consent(granted=True, at=at, source=source, newest_grant=newest)
    return Consent(granted=known.granted, at=known.at, source=known.source, newest_grant=newest)


def merge(one: Consent | None, other: Consent | None) -> Consent | None:
    """Return the state of two identities that turn out to be one person.

    Each state is taken for the statement that decided it: a "no" of one of them falls only to a later grant of the
    other.

    Examples
    --------
    >>> [merge(grant(None, at), withdraw(None, 40)).granted for at in (39, 40, 41)]
    [False, False, True]
    """
    if one is None or other is None:
        return other if one is None else one
    newest = max(_newest_grant(one), _newest_grant(other))
    # the later one decides; at the same time, "no" does; the source breaks the tie, so that the order does not matter
    decides = max(one, other, key=lambda state: (state.at, not state.granted, state.source))
    return Consent(granted=decides.granted, at=decides.at, source=decides.source, newest_grant=newest)


def needs_new_grant(known: Consent) -> bool:
    """Return whether a grant was read that is as new as the answer "no": the person may then expect messages."""
    return not known.granted and 0 < known.at <= _newest_grant(known)


def _newest_grant(known: Consent) -> int:
    # a state of the layout before this one says "yes" without the time of its grant, which is its own
    return max(known.newest_grant, known.at) if known.granted else known.newest_grant
