"""A visitor of the shop, whose next event follows from what the visitor has done before.

A visitor looks at pages and items as the visitors of trivago do, or at items only, as Diginetica records them. Some
visitors put viewed items into the cart, and some of these buy at the end of the visit. No data set here records carts
and sign-ins, so the shares below are assumptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, TypeAlias

from tests.benchmarks.load_laws import LengthLaw, ShopLaws

Kind: TypeAlias = Literal["page", "view", "click", "cart", "purchase", "identify", "consent", "rating"]

CARTS_PER_PURCHASE = 3.0
"""Assumption: number of visits with a cart for each visit with a purchase."""
CART_CHANCE = 0.3
"""Assumption: probability that a visitor who fills a cart adds the item that is being viewed."""
MIN_BUYING = 3
"""Minimum number of events of a visit with a purchase: a view, a cart, the purchase."""
MIN_CARTING = 2
"""Minimum number of events of a visit with a cart: a view, the cart."""
PAUSE_LIKE: dict[Kind, str] = {
    "page": "page",
    "view": "view",
    "click": "click",
    "cart": "view",
    "purchase": "view",
    "identify": "page",
    "consent": "page",
    "rating": "page",
}
"""Kind of trivago's events whose law of pauses is used, by kind of event. From ``cart`` on, this is an assumption."""
_BOTH = ("trivago", "diginetica")


@dataclass(slots=True)
class ShopVisitor:
    """State of one visit.

    Attributes
    ----------
    user
        Number of the user.
    left
        Number of events that are still to come, without those in ``first``.
    browses
        Whether the visitor looks at pages and clicks, as at trivago, or only at items.
    carts, buys
        Whether the visitor fills a cart, and buys it.
    kind
        Kind of the event that comes next.
    item
        Item that is being viewed, or -1.
    cart
        Items in the cart.
    first
        Kinds of events that come before all others: a rating or a sign-in.
    to_rate
        Item that the user has bought before and rates in this visit, or -1.
    """

    user: int
    left: int
    browses: bool
    carts: bool
    buys: bool
    kind: Kind = "page"
    item: int = -1
    cart: list[int] = field(default_factory=list)
    first: list[Kind] = field(default_factory=list)
    to_rate: int = -1

    def copy_for(self, user: int) -> ShopVisitor:
        """Return a copy of this state, for a visit of another user."""
        return replace(self, user=user, cart=self.cart.copy(), first=self.first.copy())


class ShopVisitors:
    """The visits that begin and go on by the laws of the shop.

    Parameters
    ----------
    laws
        Fitted laws.
    visits_per_purchase
        Assumption: number of visits for each visit with a purchase.
    random
        Source of all random numbers.
    next_item
        Function that draws an item.
    """

    def __init__(
        self, laws: ShopLaws, visits_per_purchase: float, random: Random, next_item: Callable[[], int]
    ) -> None:
        self._lengths: list[LengthLaw] = [laws.lengths[name] for name in _BOTH]
        self._following = {kind: _thresholds(row) for kind, row in laws.following.items()}
        self._pauses = {kind: laws.pauses[like] for kind, like in PAUSE_LIKE.items()}
        self._random, self._next_item = random, next_item
        # Only visits that are long enough can have a cart or a purchase. In these, the
        # probability of a cart or a purchase is higher than in all visits.
        long = [self._share_of_at_least(least) for least in (MIN_BUYING, MIN_CARTING)]
        self._buying = 1.0 / visits_per_purchase / long[0]
        self._carting = (CARTS_PER_PURCHASE - 1.0) / visits_per_purchase / long[1]

    def begin(self, user: int) -> ShopVisitor:
        """Begin a visit; its first event is not chosen before :meth:`advance`."""
        random = self._random
        which = random.random() < 0.5
        length = self._lengths[which].draw(random)
        draw = random.random()
        buys = length >= MIN_BUYING and draw < self._buying
        carts = buys or (length >= MIN_CARTING and draw >= 1.0 - self._carting)
        return ShopVisitor(user, length, browses=not which, carts=carts, buys=buys)

    def advance(self, visitor: ShopVisitor, *, begins: bool = False) -> None:
        """Choose the kind and the item of the visitor's next event, which ``left`` still counts."""
        visitor.kind = self._choose(visitor, "start" if begins else visitor.kind)
        if visitor.kind == "view":
            visitor.item = self._next_item()
        elif visitor.kind == "cart":
            visitor.cart.append(visitor.item)

    def pause(self, kind: Kind) -> float:
        """Draw the time before an event of this kind, milliseconds."""
        return self._pauses[kind].draw(self._random)

    def _choose(self, visitor: ShopVisitor, before: str) -> Kind:
        if visitor.carts:
            if visitor.buys and visitor.left == 1:
                return "purchase"
            if not visitor.cart and visitor.left <= (MIN_BUYING if visitor.buys else MIN_CARTING):
                if visitor.item < 0:
                    return "view"
                if visitor.left <= (2 if visitor.buys else 1):
                    return "cart"
            if visitor.item >= 0 and visitor.item not in visitor.cart and self._random.random() < CART_CHANCE:
                return "cart"
        if not visitor.browses:
            return "view"
        draw = self._random.random()
        kind = next(kind for below, kind in self._following[_LIKE.get(before, before)] if draw < below)
        return "view" if kind == "click" and visitor.item < 0 else kind

    def _share_of_at_least(self, least: int) -> float:
        return sum(law.share_of_at_least(least) for law in self._lengths) / len(self._lengths)


_LIKE = {"cart": "click", "identify": "start", "consent": "start", "rating": "start"}
"""Kind after which a visitor goes on in the same way as after the given kind."""


def _thresholds(row: Mapping[str, float]) -> list[tuple[float, Kind]]:
    kinds: tuple[Kind, ...] = ("page", "view", "click")
    total, found = 0.0, list[tuple[float, Kind]]()
    for kind in kinds:
        total += row.get(kind, 0.0)
        found.append((total, kind))
    return [*found[:-1], (1.0, found[-1][1])] if total else []
