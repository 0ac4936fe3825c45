"""Load of single events: seeded events of many users, with a few very active users. Nearly each has another user.

It is the second load of the benchmarks; the first one comes in visits (:mod:`tests.benchmarks.load_visits`). There are
200,000 users and 20,000 items, and their activity follows Zipf's law. An event in the topic ``events`` has 300 bytes on
average. The log covers some days of a shop, with a tick every thousand events. Some users leave an address and a
consent. From the second day on, each active user is assessed once a day, as in production.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.events import MICROS, Event, EventType, OrderLine, Origin, encode_event
from models.log import Tick, encode_control
from models.units import DAY

START_MS = 1_760_000_000_000
TICK_EVERY = 1_000
_WORDS = ("summer", "linen", "garden", "ceramic", "walnut", "travel", "kitchen", "outdoor", "vintage", "everyday")

_MIX: dict[EventType, float] = {
    "page_view": 0.30,
    "product_view": 0.36,
    "click": 0.15,
    "cart_add": 0.08,
    "purchase": 0.05,
    "rating": 0.02,
    "identify": 0.02,
    "consent": 0.02,
}


@dataclass(frozen=True, slots=True)
class BenchLoad:
    """Parameters of the load of single events.

    Attributes
    ----------
    events, users, items
        Number of each.
    seed
        Seed; the same one gives the same bytes.
    days
        Length of the log.
    origin
        Origin of every event. In a log fed at once, ``live`` events would be treated as a replay, which costs a
        microsecond each.
    start_ms
        Time of the first event.
    """

    events: int = 200_000
    users: int = 200_000
    items: int = 20_000
    seed: int = 1
    days: float = 3.0
    origin: Origin = "replay"
    start_ms: int = START_MS

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each record, in order of time; those with a tick's key are for every partition."""
        apart = self.days * DAY / self.events
        random = np.random.default_rng(self.seed)
        users = _heavy_tail(random, self.users, self.events)
        items = _heavy_tail(random, self.items, self.events)
        kinds = random.choice(len(_MIX), size=self.events, p=list(_MIX.values()))
        names = list(_MIX)
        for number, (user, item, kind) in enumerate(zip(users.tolist(), items.tolist(), kinds.tolist(), strict=True)):
            at = self.start_ms + int(number * apart)
            if number % TICK_EVERY == 0:
                yield encode_control(Tick(at=at))
            head = {"id": f"bench-{number:012d}", "user": f"user-{user:06d}", "at": at, "origin": self.origin}
            event = _event(number, head, f"sku-{item:05d}", item, names[kind])
            yield event.user.encode(), encode_event(event)


def heavy_tail_weights(size: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the weight of the n-th most frequent of ``size`` things: 1 / (n + 20)."""
    return np.array(1.0 / (np.arange(size) + 20.0))


def words_of(item: int) -> str:
    """Return the category of an item."""
    return f"{_WORDS[item % 10]}-{_WORDS[item // 10 % 10]}"


def _heavy_tail(random: np.random.Generator, size: int, draws: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Draw numbers below ``size``; the n-th most frequent one has the weight 1 / (n + 20), and is a random number."""
    weights = heavy_tail_weights(size)
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(draws)).astype(np.int64)
    return random.permutation(size)[np.minimum(ranks, size - 1)]


def _event(number: int, head: dict[str, Any], item: str, rank: int, kind: EventType) -> Event:
    category = words_of(rank)
    price = (5 + rank % 195) * MICROS
    if kind == "identify":
        return Event(**head, type=kind, traits={"email": f"{head['user']}@shop.example"})
    if kind == "consent":
        return Event(**head, type=kind, channel="email", granted=True)
    bought = kind == "purchase"
    line = OrderLine(item=item, quantity=1 + number % 3, price=price, category=category)
    return Event(
        **head,
        type=kind,
        item=None if bought else item,
        category=None if bought else category,
        lines=(line,) if bought else (),
        amount=line.quantity * price if bought else price,
        order=f"order-{number}" if bought else None,
        rating=float(1 + number % 5) if kind == "rating" else None,
        properties={
            "url": f"https://shop.example/{category}/{item}?ref=campaign-{number % 97:02d}",
            "title": f"{category.replace('-', ' ')} {item}",
            "device": ("phone", "desktop", "tablet")[number % 3],
        },
    )
