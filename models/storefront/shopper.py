"""Shoppers: their hidden types, and their state from visit to visit."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.events import ANONYMOUS
from models.storefront.assortment import FACTORS, Product
from models.storefront.device import Device
from models.storefront.season import Season


@dataclass(frozen=True, slots=True)
class Kind:
    """A hidden type of shopper.

    Attributes
    ----------
    name
        Name for tests and people.
    share
        Share of all shoppers, 0 to 1.
    gap_days
        Median time between visits while fully engaged, days.
    spread
        Standard deviation of the logarithm of the visit rate within the type.
    views
        Mean number of product views per visit.
    cart
        Probability that a viewed product is put into the cart.
    checkout
        Probability that a filled cart is paid for.
    quantity
        Mean number of pieces per line of an order.
    fussy
        Probability that a purchase disappoints.
    leave
        Probability that the shopper leaves permanently after an ordinary visit, without any event.
    """

    name: str
    share: float
    gap_days: float
    spread: float
    views: float
    cart: float
    checkout: float
    quantity: float
    fussy: float
    leave: float


KINDS = (
    Kind("enthusiast", 0.25, 1.7, 0.30, 2.3, 0.22, 0.65, 1.2, 0.18, 0.002),
    Kind("regular", 0.30, 3.2, 0.30, 2.6, 0.24, 0.60, 1.3, 0.22, 0.004),
    Kind("browser", 0.15, 6.0, 0.30, 5.0, 0.06, 0.35, 1.0, 0.22, 0.010),
    Kind("stocker", 0.10, 9.0, 0.25, 4.0, 0.45, 0.80, 4.0, 0.12, 0.010),
    Kind("passer-by", 0.20, 11.0, 0.40, 2.2, 0.10, 0.40, 1.1, 0.22, 0.450),
)
"""All types; their shares add up to 1."""

ZONES = (("Europe/Berlin", 1), ("America/New_York", -5), ("Asia/Tokyo", 9), ("UTC", 0))
"""Names of zones with their winter offset, hours. Shoppers use this offset all year, so no zone table is needed."""

_NAMES = (
    "Ada", "Ben", "Cleo", "Dan", "Ella", "Finn", "Greta", "Hugo", "Ida", "Jon", "Kira", "Liam", "Mia", "Noah", "Olga",
    "Paul", "Quinn", "Rosa", "Sam", "Tess", "Uma", "Viktor", "Wim", "Xenia", "Yara", "Zoe",
)  # fmt: skip
_AREAS = (201, 212, 303, 305, 312, 404, 415, 503, 512, 617, 702, 713, 801, 808, 917)


@dataclass(slots=True)
class Awaiting:
    """A purchase on which the shopper gives feedback at the next visit.

    Attributes
    ----------
    product, order, quantity
        Product, id of the order, and number of pieces.
    bad
        Whether the purchase disappointed.
    """

    product: Product
    order: str
    quantity: int
    bad: bool


@dataclass(slots=True)
class Shopper:
    """One shopper, and their state from visit to visit.

    Attributes
    ----------
    user
        User id in events.
    identified
        Whether the shopper has an account; others stay anonymous.
    kind
        Hidden type.
    rate
        Visits per day while fully engaged.
    zone, season
        Time zone, and its season.
    draw
        Random generator of this shopper. The events of one shopper therefore do not affect others.
    shares
        Cumulative shares of attention, int64 of shape ``(products,)``.
    arrives
        Time of the first visit, milliseconds since the epoch.
    first_name, email, phone
        Traits of the shopper.
    engagement
        Factor on the rate, 0 to 1. A bad experience lowers it, and good visits raise it again.
    leave
        Probability that the newest visit was the last one, 0 to 1.
    left
        Whether the shopper has left permanently; only a message can bring them back.
    introduced, consented
        Whether the shopper has sent traits, and whether marketing is allowed at present.
    events, orders, visits
        Number of events, orders and visits so far.
    cart
        Product and number of pieces by product id.
    awaiting
        Purchase for which the feedback is still missing.
    device
        Browser of a shopper who logs in; ``None`` for a shopper whose events always have the same user id.
    """

    user: str
    identified: bool
    kind: Kind
    rate: float
    zone: str
    season: Season
    draw: random.Random
    shares: NDArray[np.int64]
    arrives: int
    first_name: str
    email: str
    phone: str
    engagement: float = 1.0
    leave: float = 0.0
    left: bool = False
    introduced: bool = False
    consented: bool = False
    events: int = 0
    orders: int = 0
    visits: int = 0
    cart: dict[str, tuple[Product, int]] = field(default_factory=dict)
    awaiting: Awaiting | None = None
    device: Device | None = None

    @property
    def sender(self) -> str:
        """User id of the events that the shopper sends at present."""
        return self.user if self.device is None or self.device.is_logged_in else self.device.visitor


def draw_kind(draw: random.Random) -> Kind:
    """Draw a hidden type by its share."""
    ticket = draw.random()
    for kind in KINDS:
        ticket -= kind.share
        if ticket < 0:
            return kind
    return KINDS[-1]


def draw_taste(draw: random.Random) -> list[float]:
    """Draw a taste of ``FACTORS`` numbers."""
    return [draw.gauss(0.0, 1.0) for _ in range(FACTORS)]


def draw_person(draw: random.Random, number: int) -> tuple[str, str, str]:
    """Draw first name, e-mail address and phone number of a person who does not exist.

    The addresses are under a domain that is reserved for examples. The phone numbers are in the block
    555-01xx, which is never assigned.
    """
    name = draw.choice(_NAMES)
    phone = f"+1{_AREAS[number // 100 % len(_AREAS)]}55501{number % 100:02d}"
    return name, f"{name.lower()}.{number}@shoppers.example", phone


def user_id(number: int, *, identified: bool) -> str:
    """Return the user id of a shopper in events.

    Examples
    --------
    >>> user_id(17, identified=True), user_id(17, identified=False)
    ('shopper-0017', 'anonymous:visitor-0017')
    """
    return f"shopper-{number:04d}" if identified else f"{ANONYMOUS}visitor-{number:04d}"
