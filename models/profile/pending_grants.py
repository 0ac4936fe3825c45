"""Grants that wait until the owner of the address has confirmed them by a link in an e-mail (double opt-in).

Until then they grant nothing. At most two such e-mails are sent for a purpose and a channel, the second one after a new
grant. A link counts only once, and only while the user has the address to which it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from models.events import Event
from models.profile import purposes
from models.profile.short_ids import shortened
from models.profile.state import Consent, PendingGrant
from models.units import MINUTE

MAX_ASKED = 2
"""Maximum number of e-mails that ask for the confirmation of one purpose on one channel."""
ASK_AGAIN_AFTER_MS = 10 * MINUTE
"""Time between two grants for which two e-mails are sent, milliseconds; a form that is sent twice is one grant."""
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
    if event.at <= known.at or (state is not None and ((state.granted and not state.basis) or event.at <= state.at)):
        return pending
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


def asked(pending: dict[str, PendingGrant], key: str, address: str, at: int) -> dict[str, PendingGrant]:
    """Return the pending grants after an e-mail to an address has asked for a confirmation."""
    known = pending[key]
    changed = msgspec.structs.replace(
        known, asked=known.asked + 1, asked_at=at, is_due=False, address=digest_of(address)
    )
    return {**pending, key: changed}


def may_confirm(pending: Mapping[str, PendingGrant], key: str, address: str | None) -> bool:
    """Return whether a link counts: its grant is pending, and the user has the address to which it was sent."""
    known = pending.get(key)
    return known is not None and address is not None and known.address == digest_of(address)


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


def digest_of(address: str) -> bytes:
    """Return the digest by which the address of an e-mail is recognized."""
    return blake2b(address.encode(), digest_size=8).digest()
