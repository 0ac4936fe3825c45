"""Load of a shop: events that come in visits, whose laws are fitted to real data (``docs/load.md``).

Visits begin at random times at a constant rate, and many visitors are in the shop at the same time. Each user comes
with a rate of their own, and few users come often. A visitor looks at items and pages, sometimes fills a cart, and
sometimes buys. A visitor with an account signs in first. A buyer without one signs in before the purchase, and many
rate what they bought at their next visit.

The generator keeps a few numbers for each user and one state for each visit in progress. So its memory does not grow
with the number of events.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import Any

import numpy as np

from models.events import MICROS, Event, EventType, OrderLine, Origin, encode_event
from models.log import Tick, encode_control
from models.units import DAY
from tests.benchmarks.load import START_MS, TICK_EVERY, heavy_tail_weights, words_of
from tests.benchmarks.load_laws import Numbers, ShopLaws, fitted
from tests.benchmarks.load_visitor import Kind, ShopVisitor, ShopVisitors

VISITS_PER_PURCHASE = 20.0
"""Assumption: number of visits for each visit with a purchase. The benchmarks also measure half and twice of it."""
ACCOUNT_SHARE = 0.2
"""Assumption: share of the users who have an account, and sign in at each visit."""
CONSENT_SHARE = 0.5
"""Assumption: share of the users who agree to e-mails when they sign in for the first time in the log."""
RATING_SHARE = 0.2
"""Assumption: share of the purchases that are rated at the user's next visit."""
MAX_USERS = 2_000_000
"""Maximum number of users that follows from events and days. A busy shop in a short log has more than it needs."""
MIN_USERS = 100
SAMPLE = 1_000
"""Number of visits from which those are drawn that are in progress when the log begins."""
_CHUNK = 4_096
_TYPES: dict[Kind, EventType] = {
    "page": "page_view",
    "view": "product_view",
    "click": "click",
    "cart": "cart_add",
    "purchase": "purchase",
    "identify": "identify",
    "consent": "consent",
    "rating": "rating",
}


@dataclass(frozen=True, slots=True)
class VisitLoad:
    """Parameters of the load of a shop.

    Attributes
    ----------
    events
        Number of events. The log ends after the last one, even if visits are in progress.
    users
        Number of known users. With ``None``, it follows from the fitted laws: as many users as cause these events in
        these days. With another number, each user comes more or less often than the laws say.
    items
        Number of items; the n-th most popular one has the weight 1 / (n + 20).
    seed
        Seed; the same one gives the same bytes.
    days
        Approximate length of the log, above 0.
    origin
        Origin of every event.
    start_ms
        Time of the first visit.
    visits_per_purchase
        Number of visits for each visit with a purchase. Users visit a shop this many times as often as they buy there.
    """

    events: int = 200_000
    users: int | None = None
    items: int = 20_000
    seed: int = 1
    days: float = 3.0
    origin: Origin = "replay"
    start_ms: int = START_MS
    visits_per_purchase: float = VISITS_PER_PURCHASE

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each record, in order of time; those with a tick's key are for every partition."""
        return _ShopLog(self, fitted()).records()

    @property
    def visits_per_day(self) -> float:
        """Mean number of visits that begin in a day."""
        return self.events / self.days / (fitted().mean_length() + ACCOUNT_SHARE)

    @property
    def known_users(self) -> int:
        """Number of users, also if it follows from events and days."""
        if self.users is not None:
            return self.users
        each = fitted().purchases.more_often(self.visits_per_purchase).rate
        return min(MAX_USERS, max(MIN_USERS, round(self.visits_per_day / each)))


class _ShopLog:
    """State of one iteration of a load."""

    def __init__(self, load: VisitLoad, laws: ShopLaws) -> None:
        self._load = load
        self._random = Random(load.seed)
        numpy = np.random.default_rng(load.seed)
        items = numpy.permutation(load.items)
        self._next_item = _drawn(numpy, heavy_tail_weights(load.items), items)
        self._visitors = ShopVisitors(laws, load.visits_per_purchase, self._random, self._next_item)
        activity = numpy.gamma(laws.purchases.shape, size=load.known_users) + 1e-12  # no weight of 0
        self._next_user = _drawn(numpy, activity, np.arange(load.known_users))
        has_account = numpy.random(load.known_users) < ACCOUNT_SHARE
        self._has_account = bytearray(has_account.astype(np.uint8).tobytes())
        self._signed_in: set[int] = set()
        self._to_rate: dict[int, int] = {}
        self._here: set[int] = set()
        self._between_ms = DAY / load.visits_per_day
        # Each element: time of the visit's next event, a number that decides between equal times, the visit.
        self._coming: list[tuple[float, int, ShopVisitor]] = []
        self._visits = 0

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        load, coming, visitors = self._load, self._coming, self._visitors
        self._begin_in_the_midst()
        arrival = float(load.start_ms)
        number = 0
        while number < load.events:
            if not coming or arrival <= coming[0][0]:
                self._arrive(arrival)
                arrival += self._random.expovariate(1.0 / self._between_ms)
                continue
            at, order, visitor = heappop(coming)
            if number % TICK_EVERY == 0:
                yield encode_control(Tick(at=int(at)))
            event = self._event(number, int(at), visitor)
            yield event.user.encode(), encode_event(event)
            number += 1
            if self._go_on(visitor):
                heappush(coming, (at + visitors.pause(visitor.kind), order, visitor))
            else:
                self._here.discard(visitor.user)

    def _begin_in_the_midst(self) -> None:
        """Add the visits that are in progress at the beginning; a long visit is more often in progress."""
        states, ends = list[tuple[list[float], list[ShopVisitor]]](), list[float]()
        for _ in range(SAMPLE):
            visitor, at = self._visitors.begin(-1), 0.0
            self._visitors.advance(visitor, begins=True)
            times, copies = list[float](), list[ShopVisitor]()
            while True:
                times.append(at)
                copies.append(visitor.copy_for(-1))
                if not self._go_on(visitor):
                    break
                at += self._visitors.pause(visitor.kind)
            states.append((times, copies))
            ends.append(at)
        until = list(accumulate(ends))
        expected = until[-1] / SAMPLE / self._between_ms
        for _ in range(round(self._random.gauss(expected, math.sqrt(expected)))):
            where = self._random.random() * until[-1]
            which = bisect_right(until, where)
            if which == SAMPLE:
                continue  # the upper bound itself, by rounding
            times, copies = states[which]
            passed = where - (until[which] - ends[which])
            place = bisect_right(times, passed)
            if place < len(times):
                self._add(copies[place].copy_for(self._absent_user()), self._load.start_ms + times[place] - passed)

    def _arrive(self, at: float) -> None:
        user = self._absent_user()
        visitor = self._visitors.begin(user)
        if user in self._to_rate:
            visitor.to_rate = self._to_rate.pop(user)
            visitor.first.append("rating")
        if self._has_account[user]:
            visitor.first += self._sign_in(user)
        if visitor.first:
            visitor.kind = visitor.first.pop(0)
        else:
            self._visitors.advance(visitor, begins=True)
        self._add(visitor, at)

    def _add(self, visitor: ShopVisitor, at: float) -> None:
        self._here.add(visitor.user)
        heappush(self._coming, (at, self._visits, visitor))
        self._visits += 1

    def _absent_user(self) -> int:
        """Draw a user who is not in the shop; if almost all are there, any user."""
        user = self._next_user()
        for _ in range(100):
            if user not in self._here:
                break
            user = self._next_user()
        return user

    def _sign_in(self, user: int) -> list[Kind]:
        """Return the events of a sign-in; the consent is asked for once in the log."""
        if user in self._signed_in:
            return ["identify"]
        self._signed_in.add(user)
        return ["identify", "consent"] if self._random.random() < CONSENT_SHARE else ["identify"]

    def _go_on(self, visitor: ShopVisitor) -> bool:
        """Choose the visitor's next event, and return whether there is one."""
        if visitor.kind not in _BESIDE:
            visitor.left -= 1
            if visitor.left == 0:
                return False
        if visitor.first:
            visitor.kind = visitor.first.pop(0)
            return True
        user = visitor.user
        if visitor.buys and visitor.left == 1 and user >= 0 and not self._has_account[user]:
            self._has_account[user] = 1
            visitor.kind, *visitor.first = self._sign_in(user)
            return True
        self._visitors.advance(visitor)
        return True

    def _event(self, number: int, at: int, visitor: ShopVisitor) -> Event:
        user = f"user-{visitor.user:06d}"
        head: dict[str, Any] = {"id": f"bench-{number:012d}", "user": user, "at": at, "origin": self._load.origin}
        kind = visitor.kind
        head["type"] = _TYPES[kind]
        if kind == "identify":
            return Event(**head, traits={"email": f"{user}@shop.example"})
        if kind == "consent":
            return Event(**head, channel="email", granted=True)
        head["properties"] = {"device": ("phone", "desktop", "tablet")[visitor.user % 3]}
        if kind == "purchase":
            lines = tuple(_line(item, visitor.user) for item in visitor.cart)
            if self._random.random() < RATING_SHARE:
                self._to_rate[visitor.user] = visitor.cart[0]
            amount = sum(line.quantity * line.price for line in lines)
            return Event(**head, lines=lines, amount=amount, order=f"order-{number}")
        item = visitor.to_rate if kind == "rating" else visitor.item
        if kind == "page":
            category = words_of(visitor.user + number if item < 0 else item)
            head["properties"] |= {"url": f"https://shop.example/{category}?page={1 + number % 5}", "title": category}
            return Event(**head, category=category)
        line = _line(item, visitor.user)
        head["properties"] |= {
            "url": f"https://shop.example/{line.category}/{line.item}?ref=campaign-{visitor.user % 97:02d}",
            "title": f"{words_of(item).replace('-', ' ')} {line.item}",
        }
        return Event(
            **head,
            item=line.item,
            category=line.category,
            amount=line.price,
            quantity=line.quantity if kind == "cart" else 1,
            rating=float(1 + number % 5) if kind == "rating" else None,
        )


_BESIDE: frozenset[Kind] = frozenset({"identify", "consent", "rating"})
"""Kinds of events that the length of a visit does not count, because the data sets do not record them."""


def _line(item: int, user: int) -> OrderLine:
    return OrderLine(
        item=f"sku-{item:05d}",
        quantity=1 + (item + user) % 3,
        price=(5 + item % 195) * MICROS,
        category=words_of(item),
    )


def _drawn(random: np.random.Generator, weights: Numbers, values: np.ndarray[tuple[int], Any]) -> Callable[[], int]:
    """Return a function that draws one of the values with these weights."""
    sums = np.cumsum(weights)
    waiting: list[int] = []

    def draw() -> int:
        if not waiting:
            places = np.searchsorted(sums, random.random(_CHUNK) * sums[-1])
            waiting.extend(values[np.minimum(places, len(values) - 1)].tolist())
        return waiting.pop()

    return draw
