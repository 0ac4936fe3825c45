"""The plan to end a link: which logins it undoes, which other splits matter for it, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import NamedTuple

from models.errors import PerennialError
from models.identity.splitting import LeftOut, PairOfIds, split_visitor
from models.profile.links import IdentityLink, IdentityOwner, LinkSplit, ProfileIdentity


class NotLinked(PerennialError):
    """Two ids that are not linked, or not any more: there is nothing to split."""


class SplitPlan(NamedTuple):
    """The plan to end the link of a known user with an anonymous id.

    Attributes
    ----------
    pair
        Keys of the two profiles.
    split
        The split; its time ``at`` is 0.
    remaining
        Keys of the profiles that are not split yet, in the order in which they are to be.
    known, visitor
        Links of the two profiles.
    """

    pair: PairOfIds
    split: LinkSplit
    remaining: tuple[str, ...]
    known: ProfileIdentity
    visitor: ProfileIdentity

    @property
    def owner(self) -> IdentityOwner | None:
        """The known user who owns the anonymous id after the split; ``None`` if it has a profile of its own."""
        if self.pair.anonymous not in self.remaining:
            return self.visitor.owner
        return split_visitor(deepcopy(self.visitor), self.pair.known, self.split)

    def previous(self, user: str) -> int:
        """Return the offset of the newest control record by which a profile was split before; -1 without one."""
        return (self.known if user == self.pair.known else self.visitor).last_acted

    def left_out(self, more: Iterable[PairOfIds] = ()) -> LeftOut:
        """Return what a fold leaves out that computes the two profiles.

        Parameters
        ----------
        more
            Other links of the anonymous id that were split, and whose events went to the known user.
        """
        known, anonymous = self.pair
        links = {
            PairOfIds(known, other): link.split
            for other, link in self.known.links.items()
            if link.split is not None and link.split.after < link.split.until
        }
        links |= {pair: self.visitor.splits[pair.known] for pair in more}
        links[self.pair] = self.split
        acted = {known: frozenset(self.known.acted), anonymous: frozenset(self.visitor.acted)}
        return LeftOut(self.split.id, links, acted)


def plan_split(
    pair: PairOfIds, known: ProfileIdentity | None, visitor: ProfileIdentity | None, until: int, split_id: str
) -> SplitPlan:
    """Plan the end of a link; an earlier attempt that has split only one profile is continued.

    Parameters
    ----------
    pair
        Keys of the two profiles.
    known, visitor
        Their links.
    until
        Time of the split, milliseconds; it is later than all logins that have linked the two.
    split_id
        Id of the split, if no earlier one is continued.

    Raises
    ------
    NotLinked
        The two are not linked, or were split before.
    """
    known, visitor = known or ProfileIdentity(), visitor or ProfileIdentity()
    link, made = known.links.get(pair.anonymous), visitor.splits.get(pair.known)
    before = None if link is None else link.split
    if made is not None and (before is None or before.until < made.until):
        return SplitPlan(pair, made, (pair.known,), known, visitor)
    if before is not None and (made is None or made.until < before.until):
        return SplitPlan(pair, before, (pair.anonymous,), known, visitor)
    _require_link(pair, link, visitor)
    if link is not None:
        until = max(until, link.login_at)
    after = 0 if before is None else before.after
    return SplitPlan(pair, LinkSplit(split_id, until, 0, after=after), (pair.anonymous, pair.known), known, visitor)


def _require_link(pair: PairOfIds, link: IdentityLink | None, visitor: ProfileIdentity) -> None:
    known, anonymous = pair
    owners = {one.user for one in (*visitor.earlier, visitor.owner) if one is not None}
    if known in owners:
        return
    if link is not None and link.is_split:
        raise NotLinked(f"{known} and {anonymous} were split before, and no login has linked them again")
    if link is None:
        owned = "" if visitor.owner is None else f"; {anonymous} belongs to {visitor.owner.user}"
        raise NotLinked(f"{known} and {anonymous} are not linked{owned}")
    if link.outcome in ("newer_login", "other_origin"):
        raise NotLinked(f"{known} and {anonymous} were not merged ({link.outcome}), so there is nothing to split")
    if not link.outcome:
        raise NotLinked(f"{known} and {anonymous} are being merged; try again in a moment")
