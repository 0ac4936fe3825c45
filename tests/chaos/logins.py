"""Visitors of the load who log in: some shoppers begin as anonymous visitors, and some go on in a second tab."""

from __future__ import annotations

import random
import zlib

from msgspec.structs import replace

from models.events import ANONYMOUS, Event

SHARE = 5
"""One of this many shoppers with an account begins as an anonymous visitor."""
MAX_EVENTS_BEFORE = 12
"""Maximum number of events before the login."""
SECOND_TAB = 0.15
"""Share of the events after the login that still come under the anonymous id."""


class Logins:
    """Rewriter of a shop's events.

    Parameters
    ----------
    seed
        Seed of the load.

    Attributes
    ----------
    owners
        Known user of each anonymous id whose login was sent.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: dict[str, int] = {}
        self._draws: dict[str, random.Random] = {}
        self.owners: dict[str, str] = {}

    def rewritten(self, event: Event) -> list[Event]:
        """Return an event under the id with which the shopper sends it, after the login if it comes now."""
        user = event.user
        if user.startswith(ANONYMOUS) or zlib.crc32(f"{self._seed} {user}".encode()) % SHARE:
            return [event]
        draw = self._draws.setdefault(user, random.Random(f"login {self._seed} {user}"))
        if user not in self._seen:
            self._seen[user] = -1 - draw.randrange(MAX_EVENTS_BEFORE)
        self._seen[user] += 1
        visitor = f"{ANONYMOUS}before-{user}"
        if self._seen[user] < 0:
            return [replace(event, user=visitor)]
        if self._seen[user] == 0:
            self.owners[visitor] = user
            login = Event(id=f"{event.id}-login", user=user, type="identify", at=event.at, anonymous=visitor)
            # Many sites identify again on the next page, so two logins of one visitor are on their way.
            second = replace(login, id=f"{event.id}-again")
            return [login, second, event] if zlib.crc32(user.encode()) % 2 else [login, event]
        return [replace(event, user=visitor if draw.random() < SECOND_TAB else user)]

    def person(self, user: str) -> str:
        """Return the known user that an id belongs to, or the id itself."""
        return self.owners.get(user, user)
