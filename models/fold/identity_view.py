"""The links of a user to other profiles of the same person, described for people and other systems."""

from __future__ import annotations

from typing import Any

from models.fold.moments import moment
from models.profile.links import LinkSplit, ProfileIdentity
from models.profile.state import Customer


def describe_identity(customer: Customer) -> dict[str, Any]:
    """Describe the anonymous ids of a known user, or the known user whose anonymous id this is.

    Parameters
    ----------
    customer
        The user's state; it is only read.
    """
    identity = customer.identity or ProfileIdentity()
    owner = identity.owner
    return {
        "links": [
            {
                "id": anonymous,
                "login_at": moment(link.login_at),
                "login": link.login,
                "merged_at": moment(link.merged_at),
                "merge": link.merge or None,
                "outcome": link.outcome or "waiting",
                "events": link.events,
                "forwarded": link.forwarded,
                "is_split": link.is_split,
                "split": None if link.split is None else _split(link.split),
            }
            for anonymous, link in identity.links.items()
        ],
        "owner": None
        if owner is None
        else {
            "user": owner.user,
            "login_at": moment(owner.login_at),
            "login": owner.login,
            "merge": owner.merge,
            "forwarded": owner.forwarded,
        },
        "splits": [{"user": user, **_split(one)} for user, one in identity.splits.items()],
        "conflicts": [{"other": one.other, "at": moment(one.at), "reason": one.reason} for one in identity.conflicts],
    }


def _split(split: LinkSplit) -> dict[str, Any]:
    return {"id": split.id, "at": moment(split.at), "until": moment(split.until), "events": split.events}
