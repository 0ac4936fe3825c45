"""The links between a known user and anonymous ids: which login is the newest, and which records follow from it.

A login is an event of a known user that names an anonymous id. After the newest login, the id belongs to its user. Of
two logins with the same time, the one with the larger message id counts as newer.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from models.events import ALIAS, ANONYMOUS, TEST, Event, LoginNotice, MergeRecord, Origin
from models.profile.links import (
    MAX_CONFLICTS,
    MAX_EARLIER,
    MAX_LINKS,
    IdentityConflict,
    IdentityLink,
    IdentityOwner,
    ProfileIdentity,
)


def merge_id(anonymous: str, known: str, login: str) -> str:
    """Return the id of the merge record that follows from a login.

    Examples
    --------
    >>> merge_id("anonymous:a1", "u1", "m7")
    'cc5457cd0ffda0a6133efafb99026a54'
    """
    return blake2b(f"{anonymous}\0{known}\0{login}".encode(), digest_size=16).hexdigest()


def is_login(event: Event) -> bool:
    """Return whether an event states that its user is an anonymous visitor, instead of only naming the visitor's id."""
    return event.type == "identify" or (event.type == "custom" and event.name == ALIAS)


def link_login(identity: ProfileIdentity, event: Event, origin: Origin) -> list[Event]:
    """Record a login in the known user's profile, and return the notices that follow from it.

    Parameters
    ----------
    identity
        Links of the known user; changed in place.
    event
        An event of the user with an anonymous id.
    origin
        Origin of the user.

    Returns
    -------
    list of Event
        A notice for the profile of the anonymous id. There is none if the event is no login and the link is known, or
        if the link was split later. For an alias, there is a second one for the profile of a known user with the
        previous id, which must not be merged.
    """
    anonymous = event.anonymous
    assert anonymous is not None, "an event without an anonymous id"
    link = identity.links.get(anonymous)
    if link is not None and not is_login(event):
        return []
    if link is None:
        identity.links[anonymous] = link = IdentityLink(event.at, event.id)
        _forget_oldest(identity)
    elif link.split is not None and event.at <= link.split.until:
        return []
    elif link.is_split:
        link.login_at, link.login, link.merge, link.outcome = event.at, event.id, "", ""
        link.merged_at = link.events = link.forwarded = 0
    elif (event.at, event.id) > (link.login_at, link.login):
        link.login_at, link.login = event.at, event.id
    said = LoginNotice(event.user, event.id, event.at, origin, awaits=not link.merge)
    notices = [_record(event, anonymous, said)]
    if event.type == "custom":
        previous = anonymous.replace(ANONYMOUS, "", 1)
        if previous != event.user:
            notices.append(_record(event, previous, said))
    return notices


def own(identity: ProfileIdentity, anonymous: str, notice: LoginNotice) -> None:
    """Give an anonymous id the owner that a notice names, in the profile of the anonymous id."""
    before, number = identity.owner, identity.last_number
    same = [one for one in (*identity.earlier, before) if one is not None and one.user == notice.known]
    if before is not None and before.user != notice.known:
        remember(identity, before)
    identity.earlier = [one for one in identity.earlier if one.user != notice.known]
    owner = owner_of(anonymous, notice, number)
    identity.owner = msgspec.structs.replace(owner, forwarded=sum(one.forwarded for one in same))


def owner_of(anonymous: str, notice: LoginNotice, number: int) -> IdentityOwner:
    """Return the owner that a notice gives to an anonymous id, which has forwarded this number of events so far."""
    merge = merge_id(anonymous, notice.known, notice.login)
    return IdentityOwner(notice.known, notice.login_at, notice.login, merge, number)


def remember(identity: ProfileIdentity, owner: IdentityOwner) -> None:
    """Remember a known user as which the visitor of an anonymous id has logged in, besides its owner."""
    known = next((one for one in identity.earlier if one.user == owner.user), owner)
    if _when(known) <= _when(owner):
        others = [one for one in identity.earlier if one.user != owner.user]
        identity.earlier = sorted([*others, owner], key=_when)[-MAX_EARLIER:]


def is_newer(notice: LoginNotice, owner: IdentityOwner | None) -> bool:
    """Return whether a login is newer than the one by which an anonymous id has its owner."""
    return owner is None or (notice.login_at, notice.login) > _when(owner)


def answer(anonymous: str, event: Event, notice: LoginNotice, merge: MergeRecord) -> Event:
    """Return the record with which the profile of an anonymous id answers a notice."""
    return Event(
        id=merge_id(anonymous, notice.known, notice.login),
        user=notice.known,
        type="identity_merge",
        at=notice.login_at,
        origin=event.origin,
        trust=event.trust,
        anonymous=anonymous,
        identity=merge,
    )


def has_answer(link: IdentityLink, answer_id: str, merge: MergeRecord, now: int) -> bool:
    """Return whether a merge record is new, and note it in the known user's profile.

    What an anonymous profile hands over is numbered, and a number that is not above the highest one is a repeat. An
    answer without content may follow, if there were several logins. The link still names the record that brought the
    content.

    Parameters
    ----------
    link
        The link of the known user with the anonymous id; changed in place.
    answer_id, merge
        Id and content of the record.
    now
        The partition's clock, milliseconds.
    """
    brings = merge.outcome == "merged"
    if link.merge == answer_id or (brings and merge.part <= link.part):
        return False
    if brings:
        link.part = merge.part
    if brings or link.outcome != "merged":
        link.merge, link.outcome, link.merged_at = answer_id, merge.outcome, now
    link.number = max(link.number, merge.number)
    return True


def note_conflict(identity: ProfileIdentity, other: str, at: int, reason: str) -> None:
    """Record that two ids were not linked, once for each other user."""
    known = [one for one in identity.conflicts if (one.other, one.reason) != (other, reason)]
    identity.conflicts = [*known, IdentityConflict(other, at, reason)][-MAX_CONFLICTS:]


def has_number(identity: ProfileIdentity, event: Event, number: int) -> bool:
    """Return whether a forwarded event is new by its number, and note the number."""
    anonymous = event.anonymous
    assert anonymous is not None, "a forwarded event without its anonymous id"
    link = identity.links.get(anonymous)
    if link is None:
        link = identity.links[anonymous] = IdentityLink(event.at, event.id)
        _forget_oldest(identity)
    if number <= link.number:
        return False
    link.number = number
    return True


def note_forwarded(identity: ProfileIdentity, event: Event) -> None:
    """Count a forwarded event that the known user's profile has folded."""
    link = identity.links.get(event.anonymous or "")
    if link is not None:
        link.forwarded += 1


def is_nameless(user: str) -> bool:
    """Return whether a key is that of an anonymous id."""
    return user.removeprefix(TEST).startswith(ANONYMOUS)


def forwarded_to(owner: IdentityOwner, event: Event, anonymous: str, note: msgspec.Struct) -> Event:
    """Return an event of an anonymous id as it is forwarded to the known user."""
    return msgspec.structs.replace(event, user=owner.user, anonymous=anonymous, identity=note)


def _record(event: Event, user: str, notice: LoginNotice) -> Event:
    anonymous = event.anonymous or ""
    return Event(
        id=merge_id(anonymous, notice.known, notice.login),
        user=user,
        type="identity_notice",
        at=event.at,
        origin=event.origin,
        trust=event.trust,
        anonymous=anonymous,
        identity=notice,
    )


def _forget_oldest(identity: ProfileIdentity) -> None:
    """Forget the links with the oldest logins, if there are too many; those that were split come last."""
    links = identity.links
    while len(links) > MAX_LINKS:
        del links[min(links, key=lambda name: (links[name].is_split, links[name].login_at, name))]


def _when(owner: IdentityOwner) -> tuple[int, str]:
    return owner.login_at, owner.login
