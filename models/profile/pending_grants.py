"""Grants that wait until the owner of the address has confirmed them by a link in an e-mail (double opt-in).

Until then they grant nothing. At most two such e-mails are sent for a purpose and a channel while their links work. The
second one is sent after a new grant. A link counts only once, only while a grant waits, and only while the user has the
address to which it was sent.

A withdrawal ends a grant that is not newer. Its entry then has no time, so no link counts, but its e-mails still count:
grants and withdrawals in turn send no more of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b

import msgspec

from models.events import Event
from models.profile import purposes
from models.profile.short_ids import shortened
from models.profile.state import Consent, PendingGrant
from models.units import DAY, MINUTE

MAX_ASKED = 2
"""Maximum number of e-mails that ask for the confirmation of one purpose on one channel, while their links work."""
VALID_MS = 7 * DAY
"""Time for which a link can confirm, milliseconds. After it, the e-mails do not count any more."""
ASK_AGAIN_AFTER_MS = 10 * MINUTE
"""Time between an e-mail and a grant that sends another one, milliseconds; a form that is sent twice is one grant."""
_NO_GRANT = PendingGrant(0)


def requested(
    pending: dict[str, PendingGrant], consent: Mapping[str, Consent], key: str, event: Event
) -> dict[str, PendingGrant]:
    """Return the pending grants after a grant that has to be confirmed.

    Parameters
    ----------
    pending, consent
        The pending grants before, and the entries of consent.
    key
        Name of the entry of consent that is granted.
    event
        The grant. If it has no effect, because there is a consent or a newer withdrawal, nothing changes.
    """
    state = purposes.state_of(consent, *purposes.parts_of(key))
    known = pending.get(key, _NO_GRANT)
    if event.at <= known.at or _is_answered(state, event.at):
        return pending
    if known.asked and event.at - known.asked_at >= VALID_MS:
        known = msgspec.structs.replace(known, asked=0)
    asks = known.asked < MAX_ASKED and (not known.asked or event.at - known.asked_at >= ASK_AGAIN_AFTER_MS)
    changed = msgspec.structs.replace(
        known,
        at=event.at,
        source=event.reason or "",
        event=shortened(event.id),
        text=event.text or "",
        is_due=known.is_due or asks,
    )
    return {**pending, key: changed}


def ended(
    pending: dict[str, PendingGrant], channels: Collection[str], purpose: str | None, at: int
) -> dict[str, PendingGrant]:
    """Return the pending grants after a withdrawal, which ends those that are not newer.

    Parameters
    ----------
    pending
        The pending grants before.
    channels, purpose
        The channels and the purpose of the withdrawal; ``None`` means all purposes.
    at
        The time of the withdrawal, milliseconds.
    """
    left = dict(pending)
    for key, one in pending.items():
        own, channel = purposes.parts_of(key)
        if channel in channels and purpose in (None, own) and one.at <= at:
            _end(left, key)
    return left


def still_pending(pending: dict[str, PendingGrant], consent: Mapping[str, Consent]) -> dict[str, PendingGrant]:
    """Return the pending grants without those that other statements have answered, after a change of these."""
    left = dict(pending)
    for key, one in pending.items():
        if _is_answered(purposes.state_of(consent, *purposes.parts_of(key)), one.at):
            _end(left, key)
    return left


def waits(one: PendingGrant) -> bool:
    """Return whether a grant waits; otherwise a withdrawal has ended it, and only its e-mails count."""
    return one.at > 0


def asked(pending: dict[str, PendingGrant], key: str, address: str, at: int) -> dict[str, PendingGrant]:
    """Return the pending grants after an e-mail to an address has asked for a confirmation, at a time."""
    known = pending[key]
    changed = msgspec.structs.replace(
        known, asked=known.asked + 1, asked_at=at, is_due=False, address=digest_of(address)
    )
    return {**pending, key: changed}


def passed_over(pending: dict[str, PendingGrant], key: str) -> dict[str, PendingGrant]:
    """Return the pending grants after an e-mail that was not sent. It does not count, so the next grant asks again."""
    return {**pending, key: msgspec.structs.replace(pending[key], is_due=False)}


def may_confirm(pending: Mapping[str, PendingGrant], key: str, address: str | None) -> bool:
    """Return whether a link counts: its grant is pending, and the user has the address to which it was sent."""
    known = pending.get(key)
    return known is not None and waits(known) and address is not None and known.address == digest_of(address)


def without(pending: dict[str, PendingGrant], key: str) -> dict[str, PendingGrant]:
    """Return the pending grants without one that is not pending any more."""
    return {name: one for name, one in pending.items() if name != key} if key in pending else pending


def join(one: Mapping[str, PendingGrant], other: Mapping[str, PendingGrant]) -> dict[str, PendingGrant]:
    """Return the pending grants of two identities that turn out to be one person. Their e-mails count together."""
    joint = dict(one)
    for key, theirs in other.items():
        mine = joint.get(key)
        if mine is None:
            joint[key] = theirs
            continue
        newest = max(mine, theirs, key=lambda each: (each.at, each.event))
        last = max(mine, theirs, key=lambda each: (each.asked_at, each.address))
        number = mine.asked + theirs.asked
        joint[key] = msgspec.structs.replace(
            newest,
            asked=number,
            asked_at=last.asked_at,
            address=last.address,
            is_due=(mine.is_due or theirs.is_due) and number < MAX_ASKED,
        )
    return joint


def _is_answered(state: Consent | None, at: int) -> bool:
    """Return whether there is a consent, or a withdrawal that is not older than a grant; a basis is neither."""
    return state is not None and not state.basis and (state.granted or at <= state.at)


def _end(pending: dict[str, PendingGrant], key: str) -> None:
    """End a grant, in place. Its e-mails still count, and a newer grant may be confirmed by their links."""
    one = pending.pop(key)
    if one.asked:
        pending[key] = msgspec.structs.replace(one, at=0, is_due=False, source="", event=b"", text="")


def digest_of(address: str) -> bytes:
    """Return the digest by which the address of an e-mail is recognized."""
    return blake2b(address.encode(), digest_size=8).digest()
