"""The rule of consent: a withdrawal always counts, whatever its time.

The state of a channel is (granted, at, newest grant). A withdrawal sets ``granted`` to no, and never decreases ``at``.
A grant counts only if its time is later than ``at``. If both have the same time, "no" counts. If an old withdrawal is
read after a newer grant, the answer is "no" although the grant is newer. Then a new grant is needed.
"""

from __future__ import annotations

from models.profile.state import Consent


def withdraw(known: Consent | None, at: int, source: str = "") -> Consent:
    """Return the state after a withdrawal, whatever its time.

    Examples
    --------
    >>> withdraw(withdraw(None, at=30), at=10).at
    30
    """
    if known is None:
        return Consent(granted=False, at=at, source=source)
    return Consent(granted=False, at=max(known.at, at), source=source, newest_grant=_newest_grant(known))


def grant(known: Consent | None, at: int, source: str = "") -> Consent:
    """Return the state after a grant; it changes the answer only if it is newer than the statements that led to it.

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
    """Return the joint state of two identities that turn out to be one person.

    Each state stands for the statement that decided it. So a "no" of one identity is replaced only by a later grant of
    the other one.

    Examples
    --------
    >>> [merge(grant(None, at), withdraw(None, 40)).granted for at in (39, 40, 41)]
    [False, False, True]
    """
    if one is None or other is None:
        return other if one is None else one
    newest = max(_newest_grant(one), _newest_grant(other))
    # The later one decides. If both have the same time, "no" decides. The source breaks a tie, so the order does not
    # matter.
    decides = max(one, other, key=lambda state: (state.at, not state.granted, state.source))
    return Consent(granted=decides.granted, at=decides.at, source=decides.source, newest_grant=newest)


def needs_new_grant(known: Consent) -> bool:
    """Return whether a grant was read that is at least as new as the answer "no".

    The person may then expect messages that they do not get.
    """
    return not known.granted and 0 < known.at <= _newest_grant(known)


def _newest_grant(known: Consent) -> int:
    # A state of schema 3 has no time of its newest grant. If its answer is "yes", the time of the answer is used.
    return max(known.newest_grant, known.at) if known.granted else known.newest_grant
