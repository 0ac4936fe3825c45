"""The links between the profiles of one person: a known user, and the anonymous ids that belong to this user."""

from __future__ import annotations

import msgspec

MAX_LINKS = 50
"""Maximum number of anonymous ids that a known user's profile keeps; the one with the oldest login is forgotten."""
MAX_EARLIER = 10
"""Maximum number of other known users, as which a visitor has logged in too, that an anonymous profile keeps."""
MAX_SPLITS = 20
"""Maximum number of splits that an anonymous profile keeps; the oldest is forgotten."""
MAX_ACTED = 100
"""Maximum number of control records that have split a profile whose offsets it keeps; the oldest is forgotten."""
MAX_CONFLICTS = 10
"""Maximum number of conflicts that a known user's profile keeps; the oldest is forgotten."""


class LinkSplit(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The end of a link, as a person has decided it.

    Attributes
    ----------
    id
        Id of the split.
    until
        Logins up to this time do not link the two, milliseconds.
    at
        The partition's clock when the profile was split, milliseconds.
    events
        Number of events that went back to the anonymous profile.
    after
        What a login up to this time has brought stays where it is, milliseconds. If it is ``until``, nothing went back,
        and only later events are apart.
    """

    id: str
    until: int
    at: int
    events: int = 0
    after: int = 0

    def undoes(self, login_at: int) -> bool:
        """Return whether what a login has brought went back."""
        return self.after < login_at <= self.until


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
    part
        Number of the newest content that was merged, among all that the anonymous profile has handed over.
    split
        The newest split of the link; ``None`` without one. A login after it links the two again.
    forwarded
        Number of forwarded events that count for the known user.
    """

    login_at: int
    login: str
    merge: str = ""
    merged_at: int = 0
    outcome: str = ""
    number: int = 0
    events: int = 0
    part: int = 0
    split: LinkSplit | None = None
    forwarded: int = 0

    @property
    def is_split(self) -> bool:
        """Whether the link is split, and no login has linked the two again."""
        return self.split is not None and self.login_at <= self.split.until


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
        Number of the last event that was forwarded, also to other users.
    forwarded
        How many events were forwarded to this user.
    """

    user: str
    login_at: int
    login: str
    merge: str
    number: int = 0
    forwarded: int = 0


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
    earlier
        For an anonymous id: other known users as which its visitor has logged in, oldest login first.
    splits
        For an anonymous id: splits by known user, oldest first.
    number, parts
        For an anonymous id without an owner: number of the last event that was forwarded. For any anonymous id: how
        often it has handed over its content.
    acted
        Offsets of the control records by which the profile was split, ascending.
    """

    links: dict[str, IdentityLink] = {}
    owner: IdentityOwner | None = None
    conflicts: list[IdentityConflict] = []
    earlier: list[IdentityOwner] = []
    splits: dict[str, LinkSplit] = {}
    number: int = 0
    parts: int = 0
    acted: list[int] = []

    @property
    def last_acted(self) -> int:
        """Offset of the newest control record by which the profile was split; -1 without one."""
        return self.acted[-1] if self.acted else -1

    @property
    def last_number(self) -> int:
        """Number of the last event that was forwarded."""
        return self.number if self.owner is None else self.owner.number
