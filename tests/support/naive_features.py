"""The features of a user, computed from the whole list of their events, written from the documentation alone.

Every value is computed again from all events at each scored step. Nothing is shared with the product, neither its facts
nor its decayed counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from models.events import Event

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ORDER_WITHIN_MS = HOUR_MS
SESSION_GAP_MS = HOUR_MS // 2
VISITS = ("page_view", "product_view", "click", "cart_add", "cart_remove", "purchase", "rating", "support_message")
LIKES = ("product_view", "click", "cart_add")
"""Types of events that show an interest in the category of their item, besides good ratings."""


class FeatureEvent(NamedTuple):
    """An event, and the clock when it was read, milliseconds."""

    event: Event
    arrived: int

    @property
    def at(self) -> int:
        return self.event.at


class NaiveFeatures:
    """All events of a user, and the features that follow from them."""

    def __init__(self) -> None:
        self.events: list[FeatureEvent] = []
        self.scored_at: int | None = None
        self.values: dict[str, float] = {}

    def add(self, event: Event, now: int) -> None:
        """Add an event; one that is known has no effect."""
        if any(one.event.id == event.id for one in self.events):
            return
        self.events.append(FeatureEvent(event, now))
        if event.type in (*VISITS, "refund"):
            self.score(now)

    def score(self, now: int) -> None:
        """Compute the features, as the models do after a visit, a purchase, a refund, and once a day."""
        self.scored_at, self.values = now, self.computed(now)

    # --- the values --------------------------------------------------------------------------------------------------

    def computed(self, now: int) -> dict[str, float]:
        """Return every feature at a time."""
        visits = [one.at for one in self._of(*VISITS)]
        orders, refunds = list(self._of("purchase")), list(self._of("refund"))
        ratings = [one.event.rating for one in self._of("rating") if one.event.rating is not None]
        spent = sum(one.event.amount for one in orders) / 1_000_000
        begins, gap = self._sessions()
        days_since_last = max(now - max(visits), 0) / DAY_MS if visits else 0.0
        short, middle, long = (self._faded(VISITS, now, days) for days in (1, 7, 30))
        plain = {
            "activity_trend": min(middle / (long * 7 / 30), 3.0) if long > 1e-9 else 0.0,
            "rating_mean": sum(ratings) / len(ratings) - 3 if ratings else 0.0,
            "refund_share": min(len(refunds) / len(orders), 1.0) if orders else 0.0,
            "evening_share": sum(at // HOUR_MS % 24 >= 18 for at in visits) / len(visits) if visits else 0.0,
        }
        numbers = {
            "days_since_last": days_since_last,
            "days_since_first": max(now - min(visits), 0) / DAY_MS if visits else 0.0,
            "sessions": begins,
            "gap_days": gap / DAY_MS,
            "gap_ratio": days_since_last / max(gap / DAY_MS, 0.5),
            "activity_1d": short,
            "activity_7d": middle,
            "activity_30d": long,
            "spend_30d": self._faded(("purchase",), now, 30, lambda event: event.amount / 1_000_000),
            "orders": len(orders),
            "average_order": spent / len(orders) if orders else 0.0,
            "support": len(list(self._of("support_message"))),
            "categories": len(set(self._categories())),
            "cart_open": len(self._cart()),
            "messages_opened": len(list(self._of("message_opened"))),
        }
        for name, kind in (("views", "product_view"), ("carts", "cart_add"), ("purchases", "purchase")):
            for days in (7, 30):
                numbers[f"{name}_{days}d"] = self._faded((kind,), now, days)
        return plain | {name: math.log1p(value) for name, value in numbers.items()}

    def _of(self, *kinds: str) -> Iterator[FeatureEvent]:
        return (one for one in self.events if one.event.type in kinds)

    def _faded(
        self, kinds: Iterable[str], now: int, days: int, amount: Callable[[Event], float] = lambda _: 1.0
    ) -> float:
        """Return a count that halves in a number of days; it does not fade before its newest event."""
        found = list(self._of(*kinds))
        end = max([now, *(one.at for one in found)])
        return float(sum(amount(one.event) * 0.5 ** ((end - one.at) / (days * DAY_MS)) for one in found))

    def _in_order(self, kinds: Iterable[str]) -> Iterator[FeatureEvent]:
        """Yield the events that are not late: those within an hour of their time, and the newest of their kind."""
        newest = 0
        for one in self._of(*kinds):
            if one.at >= newest or one.at >= one.arrived - ORDER_WITHIN_MS:
                yield one
            newest = max(newest, one.at)

    def _sessions(self) -> tuple[int, float]:
        """Return the number of sessions, and the usual gap: each new gap counts three tenths."""
        times = sorted(one.at for one in self._in_order(VISITS))
        gaps = [float(end - begin) for begin, end in pairwise(times) if end - begin > SESSION_GAP_MS]
        usual = gaps[0] if gaps else 0.0
        for gap in gaps[1:]:
            usual = 0.7 * usual + 0.3 * gap
        return len(gaps) + bool(times), usual

    def _categories(self) -> Iterator[str]:
        for one in self._of(*VISITS):
            event = one.event
            if event.type == "purchase":
                yield from (line.category for line in event.lines if line.category is not None)
            likes = event.type in LIKES or (event.type == "rating" and (event.rating or 0) > 2)
            if event.item is not None and event.category is not None and likes:
                yield event.category

    def _cart(self) -> dict[str, int]:
        cart: dict[str, int] = {}
        changes = list(self._in_order(("cart_add", "cart_remove", "purchase")))
        for one in sorted(changes, key=lambda one: one.at):
            event = one.event
            if event.type == "purchase":
                cart = {}
            elif event.item is not None:
                quantity = cart.pop(event.item, 0) + event.quantity * (1 if event.type == "cart_add" else -1)
                if quantity > 0:
                    cart[event.item] = quantity
        return cart
