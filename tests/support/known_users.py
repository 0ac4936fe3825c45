"""Users with a history of some months, for a segment ``absent: purchase, for: 90d``, and what a naive evaluation says.

Some have bought within the 90 days, some before, and some never. Some are known for less than 90 days. For some, the 90
days end while the proof runs. Purchases are repeated, come late, or come so late that they are refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from models.conditions.clauses import Condition
from models.conditions.parsing import parse_condition
from models.events import Event, EventType
from models.units import DAY, HOUR, MINUTE
from tests.support.naive_conditions import NaiveUser

ABSENCE = 90 * DAY
MAX_KNOWN_MS = 130 * DAY
"""Maximum time since the first event of a user, milliseconds."""
MAX_LATE_MS = 40 * HOUR
"""Maximum delay of a late event that is accepted, milliseconds; the horizon is 48 h."""
REFUSED_MS = 72 * HOUR
"""Delay of an event that is refused, milliseconds."""
_PLANS = ("free", "pro")


class KnownArrival(NamedTuple):
    """An event of the log.

    Attributes
    ----------
    arrives
        Timestamp of its record, milliseconds.
    event
        The event.
    counts
        Whether it is accepted: it is neither a repeat nor too late.
    """

    arrives: int
    event: Event
    counts: bool = True


class KnownUsers:
    """Seeded users and their events.

    Parameters
    ----------
    count
        Number of users.
    seed
        Seed of everything.
    now
        End of the history, milliseconds.
    """

    def __init__(self, count: int, seed: int, now: int) -> None:
        self._random = random.Random(seed)
        self._now = now
        self._number = 0
        self.names = [f"user-{number:06d}" for number in range(count)]
        self.arrivals: dict[str, list[KnownArrival]] = {}
        for name in self.names:
            self.arrivals[name] = sorted(self._history(name))

    def __repr__(self) -> str:
        return f"KnownUsers({len(self.names)}, {self._number} events)"

    # --- history -----------------------------------------------------------------------------------------------------

    def _history(self, name: str) -> Iterator[KnownArrival]:
        """Yield the events of a user in any sequence."""
        chance, now = self._random.random(), self._now
        if chance < 0.3:  # has bought within 90 days
            bought = now - self._between(HOUR, ABSENCE - DAY)
        elif chance < 0.55:  # has bought before
            bought = now - self._between(ABSENCE + HOUR, MAX_KNOWN_MS - 4 * DAY)
        elif chance < 0.65:  # the 90 days end about now
            bought = now - ABSENCE + self._between(-5 * MINUTE, 15 * MINUTE)
        else:
            bought = None
        first = self._between(HOUR, MAX_KNOWN_MS) if chance < 0.85 else self._between(HOUR, ABSENCE - HOUR)
        if bought is not None:
            first = max(first, now - bought + 3 * DAY)
            yield from self._purchases(name, bought)
            if self._random.random() < 0.2:
                yield from self._purchases(name, bought - self._between(HOUR, 3 * DAY - 2 * HOUR))
        elif self._random.random() < 0.05:
            yield self._arrival(name, "purchase", now - self._between(REFUSED_MS + HOUR, ABSENCE), REFUSED_MS)._replace(
                counts=False
            )
        yield self._arrival(name, "product_view", now - first)
        if self._random.random() < 0.4:
            yield self._arrival(name, "identify", now - self._between(MINUTE, first))
        if self._random.random() < 0.5:
            yield self._arrival(name, "product_view", now - self._between(MINUTE, first))

    def _purchases(self, name: str, at: int) -> Iterator[KnownArrival]:
        """Yield a purchase; it may come late, and again."""
        chance = self._random.random()
        delay = self._between(0, min(MAX_LATE_MS, self._now - at)) if chance < 0.05 else 0
        found = self._arrival(name, "purchase", at, delay)
        yield found
        if chance > 0.9:
            yield found._replace(arrives=min(found.arrives + self._between(1, HOUR), self._now), counts=False)

    def _arrival(self, name: str, kind: EventType, at: int, delay: int = 0) -> KnownArrival:
        return KnownArrival(min(at + delay, self._now), self._event(name, kind, at))

    def _event(self, name: str, kind: EventType, at: int) -> Event:
        self._number += 1
        more: dict[str, Any] = {"item": f"sku-{self._random.randrange(500)}"}
        if kind == "identify":
            more = {"traits": {"plan": self._random.choice(_PLANS)}}
        elif kind == "purchase":
            more = {"amount": self._random.randrange(1, 90) * 500_000, "currency": "EUR"}
        return Event(id=f"m{self._number}", user=name, type=kind, at=at, **more)

    def _between(self, low: int, high: int) -> int:
        return self._random.randrange(low, high)

    # --- live events -------------------------------------------------------------------------------------------------

    def live(self, at: int) -> Event:
        """Return an event that a user, or sometimes a new one, sends now; most of them are views."""
        if self._random.random() < 0.01:
            name = f"new-{self._number}"
            self.names.append(name)
            self.arrivals[name] = []
        else:
            name = self._random.choice(self.names)
        chance = self._random.random()
        event = self._event(name, "purchase" if chance < 0.03 else "identify" if chance < 0.05 else "product_view", at)
        self.arrivals[name].append(KnownArrival(at, event))
        return event


def in_order(users: Iterable[Sequence[KnownArrival]]) -> list[KnownArrival]:
    """Return the events of many users in the order of their arrival."""
    return sorted((arrival for arrivals in users for arrival in arrivals), key=lambda one: (one.arrives, one.event.id))


def naive(name: str, arrivals: Sequence[KnownArrival], when: dict[str, Any]) -> NaiveUser:
    """Return the naive evaluation of a condition for a user, after all of the user's events."""
    rule: Condition = parse_condition(when, "when")
    user = NaiveUser(name, {"segment": rule}, {})
    for arrival in arrivals:
        if arrival.counts:
            user.add(arrival.event, arrival.arrives)
    return user
