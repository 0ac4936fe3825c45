"""The links between the profiles of one person: a known user, and the anonymous ids that belong to this user."""

from __future__ import annotations

import msgspec

MAX_LINKS = 50
"""Maximum number of anonymous ids that a known user's profile keeps; the one with the oldest login is forgotten."""
MAX_CONFLICTS = 10
"""Maximum number of conflicts that a known user's profile keeps; the oldest is forgotten."""


class IdentityLink(msgspec.Struct, array_like=True, gc=False):
    """An anonymous id of a known user, as the known user's profile keeps it.

    Attributes
    ----------
    login_at, login
        Time of the newest login that linked the two, milliseconds, and its event's id.
    merge
        Id of the merge record that brought the content of the anonymous profile, otherwise of the newest one; empty
        while the profile waits for it.
    merged_at
        The partition's clock when the record came, milliseconds; 0 before.
    outcome
        The outcome of that merge, see :data:`models.events.MergeOutcome`; empty before.
    number
        Highest number of a forwarded event.
    events
        Number of events of the anonymous profile that were merged.
    """

    login_at: int
    login: str
    merge: str = ""
    merged_at: int = 0
    outcome: str = ""
    number: int = 0
    events: int = 0


class IdentityOwner(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The known user that an anonymous id belongs to, as the anonymous profile keeps it.

    Attributes
    ----------
    user
        The known user.
    login_at, login
        Time of the newest login, milliseconds, and its event's id.
    merge
        Id of the merge record.
    number
        Number of the last event that was forwarded.
    """

    user: str
    login_at: int
    login: str
    merge: str
    number: int = 0


class IdentityConflict(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A link that was not made, because both ids belong to known users, or the origins of their events differ.

    Attributes
    ----------
    other
        The other user.
    at
        Time of the event that would have linked the two, milliseconds.
    reason
        ``known_to_known`` or ``other_origin``.
    """

    other: str
    at: int
    reason: str


class ProfileIdentity(msgspec.Struct, array_like=True, gc=False):
    """The links of one profile.

    Attributes
    ----------
    links
        For a known user: the links by anonymous key, in the order in which they were made.
    owner
        For an anonymous id: the known user that it belongs to; ``None`` without one.
    conflicts
        Links that were not made, oldest first.
    """

    links: dict[str, IdentityLink] = {}
    owner: IdentityOwner | None = None
    conflicts: list[IdentityConflict] = []
