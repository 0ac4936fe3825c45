"""Twenty visitors of a shop and their 300 calls: the events that every SDK must send, and the resulting profiles.

A story is plain JSON, so that Python, Node.js and a browser play the same one. Each visitor arrives anonymously, views
products, signs up, buys, reviews the purchase, and continues reading. One event after the sign-up comes from another
device that knows only the anonymous id, where the SDK runs on a server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from models.events import MICROS

Call = dict[str, Any]
"""One call of an SDK: ``call`` (its method), ``step``, its arguments, and ``at`` if the caller states a time.

``elsewhere`` says that the caller does not know of the sign-up. An SDK in a browser always knows, and ignores it.
"""

VISITORS = 20
CURRENCIES = ("EUR", "USD", "GBP")
PAGE_AGE_MS = 40 * 60_000
"""How long ago the first page was viewed, according to the caller, milliseconds; below ``events.order_within``."""
CUSTOM_AGE_MS = 20 * 60_000
"""How long ago the custom event happened, according to the caller, milliseconds."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One visitor in a story.

    Attributes
    ----------
    user
        Id after the sign-up.
    anonymous
        Anonymous id. It is the only id before the sign-up, and accompanies the user id afterwards. The SDK of a browser
        replaces it by another one.
    calls
        Calls, the first one first; those before ``identify`` belong to the anonymous visitor.
    """

    user: str
    anonymous: str
    calls: list[Call]


@dataclass(frozen=True, slots=True)
class Known:
    """Expected profile of one user.

    Attributes
    ----------
    events
        Number of events, by type.
    traits
        All traits.
    spent
        Amount in micros, by currency.
    orders
        Amount of each order in micros, by order id.
    ratings
        Number of ratings.
    """

    events: Counter[str] = field(default_factory=Counter)
    traits: dict[str, Any] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    ratings: int = 0


def story(name: str, now: int) -> list[Visitor]:
    """Return twenty visitors with fifteen calls each.

    Parameters
    ----------
    name
        Prefix of every id, so that no two runs share a user.
    now
        Time of the callers' clock, milliseconds.
    """
    return [_visitor(f"{name}-{number:02d}", number, now) for number in range(VISITORS)]


def _visitor(user: str, number: int, now: int) -> Visitor:
    calls: list[Call] = [
        {"call": "page", "name": "Home", "properties": {"path": "/"}, "at": now - PAGE_AGE_MS + number},
        _track("Product Viewed", **_product(number, "lamp"), currency=CURRENCIES[number % 3]),
        _track("Product List Viewed", list_id="spring", products=[_product(number, "lamp"), _product(number, "desk")]),
        {"call": "identify", "traits": traits(user, number)},
        {"call": "alias"},
        {"call": "group", "group": f"team-{number % 4}", "traits": {"seats": 3 + number}},
        _track("Product Added", **_product(number, "lamp"), quantity=2, currency=CURRENCIES[number % 3]),
        _track("Product Added", **_product(number, "desk"), quantity=3, currency=CURRENCIES[number % 3]),
        _track("Checkout Started", order_id=f"o-{user}", value=float(total(number)), products=_lines(number)),
        _track("Order Completed", **_order(user, number)),
        {"call": "screen", "name": "Account", "properties": {"tab": "orders"}},
        # the specification shows the rating as a number in quotes
        _track("Product Reviewed", product_id=f"lamp-{number}", review_body="It glows. ✨", rating="5"),
        {**_track("Newsletter Read", issue=7, parts=["news", "offers"]), "at": now - CUSTOM_AGE_MS + number},
        {**_track("Wishlist Product Added to Cart", wishlist_id="w-1", **_product(number, "chair")), "elsewhere": True},
        {"call": "page", "name": "Thanks", "category": "Checkout", "properties": {"path": "/thanks"}},
    ]
    return Visitor(user, f"visitor-{user}", [{**call, "step": step} for step, call in enumerate(calls)])


def sent_by_visitor(*, browser: bool) -> Counter[str]:
    """Return the number of events that are sent under the anonymous id, by type.

    Parameters
    ----------
    browser
        Whether the SDK runs in a browser.
    """
    # Product List Viewed, and an event of the shop from elsewhere, are custom events.
    return Counter({"page_view": 1, "product_view": 1, "custom": 1 if browser else 2})


def as_person(user: str, number: int) -> Known:
    """Return the expected profile of a user: the whole story, before and after the sign-up."""
    # An alias, a group, Product List Viewed, Checkout Started and two events of the shop are custom events.
    events = {"identify": 1, "custom": 6, "product_view": 1, "cart_add": 2, "purchase": 1, "page_view": 3, "rating": 1}
    amount = int(total(number) * MICROS)
    return Known(
        events=Counter(events),
        traits=traits(user, number),
        spent={CURRENCIES[number % 3]: amount},
        orders={f"o-{user}": amount},
        ratings=1,
    )


def traits(user: str, number: int) -> dict[str, Any]:
    """Return the traits that the caller gives for a visitor."""
    return {
        "email": f"{user}@example.org",
        "firstName": "Zoë",
        "lastName": f"Nº {number}",
        "plan": "pro" if number % 2 else "free",
        "age": 20 + number,
        "address": {"city": "Kraków", "postalCode": f"30-{number:03d}"},
    }


def total(number: int) -> Decimal:
    """Return the total of a visitor's order: two lamps, three desks and the shipping."""
    return 2 * _price(number, "lamp") + 3 * _price(number, "desk") + Decimal("4.95")


def _price(number: int, kind: str) -> Decimal:
    first = {"lamp": Decimal("19.99"), "desk": Decimal("149.3333"), "chair": Decimal("0.100001")}[kind]
    return first + number


def _product(number: int, kind: str) -> Call:
    price = float(_price(number, kind))
    return {"product_id": f"{kind}-{number}", "name": kind.title(), "category": "furniture", "price": price}


def _lines(number: int) -> list[Call]:
    return [{**_product(number, "lamp"), "quantity": 2}, {**_product(number, "desk"), "quantity": 3}]


def _order(user: str, number: int) -> Call:
    said = total(number)
    return {
        "order_id": f"o-{user}",
        # shops send money as numbers or as text
        "total": str(said) if number % 2 else float(said),
        "revenue": float(said - Decimal("4.95")),
        "shipping": 4.95,
        "currency": CURRENCIES[number % 3],
        "products": _lines(number),
    }


def _track(event: str, **properties: Any) -> Call:
    return {"call": "track", "event": event, "properties": properties}
