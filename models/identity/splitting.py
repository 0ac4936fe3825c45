"""The end of a link between a known user and an anonymous id: which logins it undoes, and who owns the id then.

A person ends a link by a control record in both partitions. It names a time. A login up to this time does not link the
two any more. What such a login brings to the known user's profile is passed over. A later login links them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from models.events import Event, Forwarding, LoginNotice, MergeRecord
from models.identity.linking import is_nameless
from models.profile.ledger import Ledger
from models.profile.links import MAX_ACTED, MAX_SPLITS, IdentityLink, IdentityOwner, LinkSplit, ProfileIdentity

KEPT = ("sent", "withheld", "pending", "fired", "examples", "runs", "marks")
"""Parts of a ledger that a split does not change: what was decided and sent. All other parts follow from the facts."""


class PairOfIds(NamedTuple):
    """The keys of a known user and of an anonymous id."""

    known: str
    anonymous: str


@dataclass(slots=True)
class LeftOut:
    """The links that a fold leaves out, because it computes profiles as if they had never been linked by them.

    In all else, such a fold does what the running one has done. A login that is left out gives the anonymous id an
    owner. But the profile of the anonymous id still folds its events itself.

    Attributes
    ----------
    id
        Id of the split for which the fold computes profiles. Its records are passed over.
    links
        The links, each with the range of the logins that are left out.
    acted
        For profiles of these links: offsets of the control records that have split them in the running fold.
    missing
        Links that have to be left out, too: their events went to the profile from which they are taken now.
    """

    id: str
    links: dict[PairOfIds, LinkSplit]
    acted: dict[str, frozenset[int]]
    missing: list[PairOfIds] = field(default_factory=list)

    def has_login(self, known: str, anonymous: str, at: int) -> bool:
        """Return whether a login of a known user is left out."""
        split = self.links.get(PairOfIds(known, anonymous))
        return split is not None and split.undoes(at)

    def has_record(self, event: Event) -> bool:
        """Return whether a record between profiles came to the known user through a link that is left out."""
        said = event.identity
        if isinstance(said, MergeRecord | Forwarding):
            return self.has_login(event.user, event.anonymous or "", said.login_at)
        return False


def pair_of(user: str, other: str) -> PairOfIds:
    """Return the pair of two keys, of which one is an anonymous id.

    Examples
    --------
    >>> pair_of("anonymous:a1", "u1") == pair_of("u1", "anonymous:a1")
    True
    """
    return PairOfIds(other, user) if is_nameless(user) else PairOfIds(user, other)


def is_passed_over(identity: ProfileIdentity | None, event: Event) -> bool:
    """Return whether a record between profiles follows from a login that a split has undone.

    Parameters
    ----------
    identity
        Links of the profile that reads the record.
    event
        The record.
    """
    if identity is None:
        return False
    match event.identity:
        case LoginNotice(known=known, login_at=at):
            split = identity.splits.get(known)
            return split is not None and at <= split.until
        case MergeRecord(login_at=at) | Forwarding(login_at=at):
            link = identity.links.get(event.anonymous or "")
            return link is not None and link.split is not None and link.split.undoes(at)
    return False


def split_of(identity: ProfileIdentity | None, user: str, other: str) -> LinkSplit | None:
    """Return the newest split of a profile from another one; ``None`` without one.

    Parameters
    ----------
    identity
        Links of the profile.
    user, other
        Keys of the profile and of the other one.
    """
    if identity is None:
        return None
    if is_nameless(user):
        return identity.splits.get(other)
    link = identity.links.get(other)
    return None if link is None else link.split


def split_known(identity: ProfileIdentity, anonymous: str, split: LinkSplit) -> None:
    """Record a split in the profile of the known user."""
    link = identity.links.get(anonymous)
    if link is None:
        link = identity.links[anonymous] = IdentityLink(split.until, "")
    link.split = split


def split_visitor(identity: ProfileIdentity, known: str, split: LinkSplit) -> IdentityOwner | None:
    """Record a split in the profile of an anonymous id, and return the owner that it has then.

    That is the known user of the newest login that is left; ``None`` if there is none.
    """
    number = identity.last_number
    owners = [*identity.earlier, *([] if identity.owner is None else [identity.owner])]
    left = [one for one in owners if one.user != known or one.login_at > split.until]
    identity.owner, identity.number, identity.earlier = None, number, []
    if left:
        *identity.earlier, last = sorted(left, key=lambda one: (one.login_at, one.login))
        identity.owner = msgspec.structs.replace(last, number=number)
    splits = {user: one for user, one in identity.splits.items() if user != known}
    identity.splits = dict([*splits.items(), (known, split)][-MAX_SPLITS:])
    return identity.owner


def note_record(identity: ProfileIdentity, offset: int) -> None:
    """Remember the offset of a control record that has split a profile."""
    identity.acted = [*identity.acted, offset][-MAX_ACTED:]


def settled_ledger(found: Ledger, kept: Ledger) -> Ledger:
    """Return the ledger of a profile after a split.

    Parameters
    ----------
    found
        The ledger of a fold without the link. Its scores, segments and timers count; it is changed and returned.
    kept
        The ledger until now. What was decided and sent counts.
    """
    for name in KEPT:
        setattr(found, name, getattr(kept, name))
    return found
