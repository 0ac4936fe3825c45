"""Interactions of users with items: the fold writes them to ``interactions``, and the retrainer learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from models.events import Event, EventType, Origin

WEIGHTS: Mapping[EventType, float] = MappingProxyType(
    {"product_view": 1.0, "click": 1.0, "cart_add": 3.0, "purchase": 5.0},
)
"""Weight of an event as a sign that its user likes the item. Ratings count by their stars; other types do not count."""
_WEIGHTS = dict(WEIGHTS)

NEUTRAL_STARS = 2.0
"""Number of stars up to which a rating is no sign that its user likes the item."""
MAX_RECENT_ITEMS = 30
"""Maximum number of a user's newest interactions that are kept for serving, and used in grading."""


class Interaction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """An interaction of one user with one item.

    Attributes
    ----------
    user, item
        Ids of the user and the item.
    weight
        Weight, above 0; a click has 1.
    at
        Time of the event, milliseconds since the epoch.
    type
        Type of the event.
    origin
        Origin of the event.
    category
        Category of the item, if the event gives it.
    price
        Price of one piece, micros, if the event gives it.
    """

    user: str
    item: str
    weight: float
    at: int
    type: EventType
    origin: Origin = "live"
    category: str | None = None
    price: int | None = None


def weight_of(event_type: EventType, rating: float | None = None) -> float:
    """Return the weight of an event as a sign that its user likes the item; 0 if the event is no such sign.

    Parameters
    ----------
    event_type
        Type of the event.
    rating
        Stars of a rating, 1 to 5.

    Examples
    --------
    >>> [weight_of(kind) for kind in ("click", "cart_add", "purchase", "refund")]
    [1.0, 3.0, 5.0, 0.0]
    >>> [weight_of("rating", stars) for stars in (1, 2, 3, 5)]
    [0.0, 0.0, 1.0, 3.0]
    """
    if event_type == "rating":
        return max(0.0, (rating or 0.0) - NEUTRAL_STARS)
    return _WEIGHTS.get(event_type, 0.0)


def interactions_of(event: Event) -> tuple[Interaction, ...]:
    """Return the interactions of an event: one for each item of a purchase, at most one for any other event.

    Examples
    --------
    >>> from models.events import OrderLine
    >>> lines = (OrderLine(item="mug", quantity=2), OrderLine(item="pot"))
    >>> [i.item for i in interactions_of(Event(id="m1", user="u1", type="purchase", at=1, lines=lines))]
    ['mug', 'pot']
    >>> interactions_of(Event(id="m2", user="u1", type="page_view", at=1))
    ()
    """
    if not event.lines:
        one = interaction_of(event)
        return () if one is None else (one,)
    weight = weight_of(event.type, event.rating)
    if weight <= 0.0:
        return ()
    return tuple(
        Interaction(
            user=event.user,
            item=line.item,
            weight=weight,
            at=event.at,
            type=event.type,
            origin=event.origin,
            category=line.category,
            price=line.price or None,
        )
        for line in event.lines
        if line.quantity > 0
    )


def interaction_of(event: Event) -> Interaction | None:
    """Return the interaction of an event without lines; ``None`` if it has none."""
    if event.item is None:
        return None
    weight = weight_of(event.type, event.rating)
    if weight <= 0.0:
        return None
    return Interaction(
        user=event.user,
        item=event.item,
        weight=weight,
        at=event.at,
        type=event.type,
        origin=event.origin,
        category=event.category,
        price=event.amount or None,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Interaction)


def encode_interaction(interaction: Interaction) -> bytes:
    """Return the JSON of an interaction, which is its value in the topic ``interactions``.

    Examples
    --------
    >>> encode_interaction(Interaction(user="u1", item="mug", weight=1.0, at=7, type="click"))
    b'{"user":"u1","item":"mug","weight":1.0,"at":7,"type":"click"}'
    """
    return _encoder.encode(interaction)


def decode_interaction(value: bytes) -> Interaction:
    """Read the JSON of an interaction; raise ``msgspec.DecodeError`` if it is not one."""
    return _decoder.decode(value)
