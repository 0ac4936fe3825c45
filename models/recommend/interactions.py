"""A user met an item: what the fold writes to ``interactions``, and the retrainer learns from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from models.events import Event, EventType, Origin

WEIGHTS: Mapping[EventType, float] = MappingProxyType(
    {"product_view": 1.0, "click": 1.0, "cart_add": 3.0, "purchase": 5.0},
)
"""How much an event says about what its user likes; ratings weigh by their stars, all else says nothing."""

NEUTRAL_STARS = 2.0
"""A rating of so many stars, or fewer, says no good of the item."""


class Interaction(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One user met one item.

    Attributes
    ----------
    user, item
        Ids.
    weight
        Above 0; a click is 1.
    at
        When, milliseconds since the epoch.
    type
        What happened.
    origin
        Where the event came from.
    category
        Of the item, if the event said so.
    price
        Micros a piece, if the event said so.
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
    """How much an event of a type says that its user likes its item; 0 where it says nothing.

    Parameters
    ----------
    event_type
        What happened.
    rating
        1 to 5 stars, of a rating.

    Examples
    --------
    >>> [weight_of(kind) for kind in ("click", "cart_add", "purchase", "refund")]
    [1.0, 3.0, 5.0, 0.0]
    >>> [weight_of("rating", stars) for stars in (1, 2, 3, 5)]
    [0.0, 0.0, 1.0, 3.0]
    """
    if event_type == "rating":
        return max(0.0, (rating or 0.0) - NEUTRAL_STARS)
    return WEIGHTS.get(event_type, 0.0)


def interactions_of(event: Event) -> tuple[Interaction, ...]:
    """Every interaction that an event is: one for each item of a purchase, at most one of any other.

    Examples
    --------
    >>> from models.events import OrderLine
    >>> lines = (OrderLine(item="mug", quantity=2), OrderLine(item="pot"))
    >>> [i.item for i in interactions_of(Event(id="m1", user="u1", type="purchase", at=1, lines=lines))]
    ['mug', 'pot']
    >>> interactions_of(Event(id="m2", user="u1", type="page_view", at=1))
    ()
    """
    weight = weight_of(event.type, event.rating)
    if weight <= 0.0:
        return ()
    if event.lines:
        return tuple(
            _interaction(event, weight, line.item, line.category, line.price)
            for line in event.lines
            if line.quantity > 0
        )
    if event.item is None:
        return ()
    return (_interaction(event, weight, event.item, event.category, event.amount),)


def _interaction(event: Event, weight: float, item: str, category: str | None, price: int) -> Interaction:
    return Interaction(
        user=event.user,
        item=item,
        weight=weight,
        at=event.at,
        type=event.type,
        origin=event.origin,
        category=category,
        price=price or None,
    )


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Interaction)


def encode_interaction(interaction: Interaction) -> bytes:
    """JSON of an interaction, as it stands in ``interactions``.

    Examples
    --------
    >>> encode_interaction(Interaction(user="u1", item="mug", weight=1.0, at=7, type="click"))
    b'{"user":"u1","item":"mug","weight":1.0,"at":7,"type":"click"}'
    """
    return _encoder.encode(interaction)


def decode_interaction(value: bytes) -> Interaction:
    """Read JSON of an interaction; raises ``msgspec.DecodeError`` where it is none."""
    return _decoder.decode(value)
