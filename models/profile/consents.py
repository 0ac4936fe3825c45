"""The rule of consent: a withdrawal always counts, whatever its time.

The state of a channel is (granted, at, newest grant), and the proof of the statement that decided it. A withdrawal sets
``granted`` to no, and never decreases ``at``. A grant counts only if its time is later than ``at``. If both have the
same time, "no" counts. If an old withdrawal is read after a newer grant, the answer is "no" although the grant is
newer. Then a new grant is needed.

The basis ``existing_customer`` is weaker than each of these statements. It counts only if there is no other one, so any
withdrawal ends it for ever, and a consent replaces it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from models.profile.short_ids import restored, shortened
from models.profile.state import Consent


class ConsentProof(NamedTuple):
    """Proof of a statement about consent: where it comes from.

    Attributes
    ----------
    source
        Its source, in words.
    event, event_type
        Id and type of its event.
    confirmed
        Whether the owner of the address has confirmed it.
    text
        Version of the text to which the user has agreed.
    """

    source: str = ""
    event: str = ""
    event_type: str = ""
    confirmed: bool = False
    text: str = ""


NO_PROOF = ConsentProof()
EXISTING_CUSTOMER: Final = "existing_customer"
"""Basis of e-mails to a customer who could refuse them when the address was collected."""


def withdraw(known: Consent | None, at: int, proof: ConsentProof = NO_PROOF) -> Consent:
    """Return the state after a withdrawal, whatever its time. Of two withdrawals, the later one is the proof.

    Examples
    --------
    >>> withdraw(withdraw(None, at=30), at=10).at
    30
    """
    if known is None or known.basis:
        return _stated(at, proof, granted=False)
    newest = max(known.at, at)
    if not known.granted and (event_time(known), proof_of(known)) >= (at, proof):
        return known
    found = _stated(newest, proof, granted=False, newest_grant=_newest_grant(known))
    return found if at == newest else msgspec.structs.replace(found, event_at=at)


def grant(known: Consent | None, at: int, proof: ConsentProof = NO_PROOF) -> Consent:
    """Return the state after a grant; it changes the answer only if it is newer than the statements that led to it.

    Examples
    --------
    >>> grant(withdraw(None, at=30), at=20).granted, grant(withdraw(None, at=30), at=30).granted
    (False, False)
    >>> grant(withdraw(None, at=30), at=31).granted
    True
    """
    if known is None or known.basis:
        return _stated(at, proof, granted=True, newest_grant=at)
    newest = max(_newest_grant(known), at)
    if at > known.at or (known.granted and at == known.at and proof > proof_of(known)):
        return _stated(at, proof, granted=True, newest_grant=newest)
    return msgspec.structs.replace(known, newest_grant=newest)


def permit(known: Consent | None, at: int, proof: ConsentProof = NO_PROOF) -> Consent:
    """Return the state after the statement that the user is an existing customer; other statements outweigh it.

    Examples
    --------
    >>> permit(None, 50).basis, permit(withdraw(None, 10), 50).granted, withdraw(permit(None, 50), 10).granted
    ('existing_customer', False, False)
    """
    if known is not None and not (known.basis and (at, proof) > (known.at, proof_of(known))):
        return known
    return msgspec.structs.replace(_stated(at, proof, granted=True), basis=EXISTING_CUSTOMER)


def proof_of(known: Consent) -> ConsentProof:
    """Return the proof of the deciding statement."""
    return ConsentProof(known.source, restored(known.event), known.event_type, known.confirmed, known.text)


def event_time(known: Consent) -> int:
    """Return the time of the event of the deciding statement, milliseconds."""
    return known.event_at or known.at


def _stated(at: int, proof: ConsentProof, *, granted: bool, newest_grant: int = 0) -> Consent:
    return Consent(
        granted=granted,
        at=at,
        source=proof.source,
        newest_grant=newest_grant,
        event=shortened(proof.event),
        event_type=proof.event_type,
        confirmed=proof.confirmed,
        text=proof.text,
    )


def merge(one: Consent | None, other: Consent | None) -> Consent | None:
    """Return the joint state of two identities that turn out to be one person.

    Each state stands for the statement that decided it. So a "no" of one identity is replaced only by a later grant of
    the other one. The proof is that of the deciding one.

    Examples
    --------
    >>> [merge(grant(None, at), withdraw(None, 40)).granted for at in (39, 40, 41)]
    [False, False, True]
    """
    if one is None or other is None:
        return other if one is None else one
    if bool(one.basis) is not bool(other.basis):
        return other if one.basis else one
    newest = max(_newest_grant(one), _newest_grant(other))
    # The later one decides. If both have the same time, "no" decides. The rest breaks a tie, so the order does not
    # matter.
    decides = max(one, other, key=lambda state: (state.at, not state.granted, event_time(state), proof_of(state)))
    return msgspec.structs.replace(decides, newest_grant=newest)


def needs_new_grant(known: Consent) -> bool:
    """Return whether a grant was read that is at least as new as the answer "no".

    The person may then expect messages that they do not get.
    """
    return not known.granted and 0 < known.at <= _newest_grant(known)


def _newest_grant(known: Consent) -> int:
    if known.basis:
        return 0
    # A state of schema 3 has no time of its newest grant. If its answer is "yes", the time of the answer is used.
    return max(known.newest_grant, known.at) if known.granted else known.newest_grant
