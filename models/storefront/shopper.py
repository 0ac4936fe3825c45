"""Who shops: hidden types, and what a shopper carries from visit to visit."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.events import ANONYMOUS
from models.storefront.catalogue import FACTORS, Item
from models.storefront.season import Season


@dataclass(frozen=True, slots=True)
class Kind:
    """A hidden type of shopper.

    Attributes
    ----------
    name
        For tests and people.
    share
        Of all shoppers.
    gap_days
        Median days between visits while fully engaged.
    spread
        Of the log of the visit rate within the type.
    views
        Mean product views a visit.
    cart
        Probability that a viewed item goes into the cart.
    checkout
        Probability that a filled cart is paid for.
    quantity
        Mean pieces a line.
    fussy
        Probability that a purchase disappoints.
    leave
        Probability to leave for good, silently, after an ordinary visit.
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
"""The types."""

ZONES = (("Europe/Berlin", 1), ("America/New_York", -5), ("Asia/Tokyo", 9), ("UTC", 0))
"""Names and their offset in winter: shoppers live by it all year, so that nobody needs a zone table to simulate."""

_NAMES = (
    "Ada", "Ben", "Cleo", "Dan", "Ella", "Finn", "Greta", "Hugo", "Ida", "Jon", "Kira", "Liam", "Mia", "Noah", "Olga",
    "Paul", "Quinn", "Rosa", "Sam", "Tess", "Uma", "Viktor", "Wim", "Xenia", "Yara", "Zoe",
)  # fmt: skip
_AREAS = (201, 212, 303, 305, 312, 404, 415, 503, 512, 617, 702, 713, 801, 808, 917)


@dataclass(slots=True)
class Awaiting:
    """A purchase that the shopper has an opinion about at the next visit."""

    item: Item
    order: str
    quantity: int
    bad: bool


@dataclass(slots=True)
class Shopper:
    """One shopper: who they are, and what they carry from visit to visit.

    Attributes
    ----------
    user
        Key of the user on the wire.
    kind
        The hidden type.
    rate
        Visits a day while fully engaged.
    season
        Of their time zone.
    draw
        Their own source of chance: what happens to one shopper moves nobody else.
    shares
        Cumulative shares of attention, by item.
    arrives
        First visit, milliseconds.
    engagement
        Factor on the rate: bad experience lowers it, good visits bring it back.
    leave
        Probability with which the last visit was the last of all.
    left
        Gone for good, unless a message brings them back.
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
    cart: dict[str, tuple[Item, int]] = field(default_factory=dict)
    awaiting: Awaiting | None = None


def draw_kind(draw: random.Random) -> Kind:
    """A hidden type by its share."""
    ticket = draw.random()
    for kind in KINDS:
        ticket -= kind.share
        if ticket < 0:
            return kind
    return KINDS[-1]


def draw_taste(draw: random.Random) -> list[float]:
    """A taste: ``FACTORS`` numbers."""
    return [draw.gauss(0.0, 1.0) for _ in range(FACTORS)]


def draw_person(draw: random.Random, number: int) -> tuple[str, str, str]:
    """First name, e-mail address and phone of a shopper that exists nowhere.

    The addresses are under a domain that is reserved for examples, the phones in the block 555-01xx that no
    exchange ever connects.
    """
    name = draw.choice(_NAMES)
    phone = f"+1{_AREAS[number // 100 % len(_AREAS)]}55501{number % 100:02d}"
    return name, f"{name.lower()}.{number}@shoppers.example", phone


def user_id(number: int, *, identified: bool) -> str:
    """Key of a shopper on the wire.

    Examples
    --------
    >>> user_id(17, identified=True), user_id(17, identified=False)
    ('shopper-0017', 'anonymous:visitor-0017')
    """
    return f"shopper-{number:04d}" if identified else f"{ANONYMOUS}visitor-{number:04d}"
