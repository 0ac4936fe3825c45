"""The vocabulary of the wire: one typed :class:`Event` for everything that happens to a user.

``models/wire.py`` reads the two forms that the doors accept into it; inside, between our own topics, it is JSON
of this very struct.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

EventType = Literal[
    "page_view",
    "product_view",
    "click",
    "cart_add",
    "cart_remove",
    "purchase",
    "refund",
    "rating",
    "support_message",
    "identify",
    "consent",
    "custom",
    # what our own messages caused
    "message_sent",
    "message_failed",
    "message_unknown",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
    "message_suppressed",
]
"""What can happen. An unsubscription is ``consent`` with ``granted=False``."""

Origin = Literal["live", "replay", "simulate", "test"]
"""Where an event comes from; only ``live`` can reach a real provider."""

ORIGINS: tuple[Origin, ...] = ("live", "replay", "simulate", "test")
"""From the most to the least live."""

Trust = Literal["server", "public"]
"""The writer of an event: a holder of a secret key, or anybody, with the public key of a page."""

OrderForm = Literal["lines", "whole", "replacement"]
"""The form in which a purchase states its order: lines that add up, the whole order, or a replacement of it."""

UPDATE = "Order Updated"
"""Name of a purchase that is a replacement; rules can wait for it."""

Channel = Literal["email", "sms"]
CHANNELS: tuple[Channel, ...] = ("email", "sms")

MICROS = 1_000_000
"""Money is integer micros: 10^-6 of the currency's unit."""


DEFAULT_CURRENCY = "USD"
"""Currency of money whose sender leaves the currency out."""
UNREADABLE_CURRENCY = "XXX"
"""ISO's own code for amounts without a currency: money whose currency cannot be read is never added to another one."""


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of an order or of a refund.

    Attributes
    ----------
    item
        Item id.
    quantity
        Pieces, at least 0.
    price
        Micros a piece, at least 0.
    category
        Of the item, if known.
    """

    item: str
    quantity: int = 1
    price: int = 0
    category: str | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One thing that happened to one user.

    Attributes
    ----------
    id
        ``messageId``; a second event of the user with the same one is ignored.
    user
        Key of the user: the ``userId``, or ``anonymous:`` and the ``anonymousId``; of a test event after ``test:``.
    type
        What happened.
    at
        When, milliseconds since the epoch.
    origin
        Where it comes from.
    trust
        ``public``: it came with a key that anybody can read; it counts as behaviour, and grants nothing.
    name
        The wire's event name where it says more than ``type`` (custom events, pages).
    item, category
        What was viewed, clicked, put into the cart, rated.
    quantity
        Pieces put into or taken out of the cart.
    lines
        Of a purchase or refund.
    amount
        Micros, at least 0: the order's total, or what was paid back; price of ``item`` elsewhere.
    currency
        ISO 4217. Of a purchase or refund with an order id that leaves it out: empty, for that of the order.
    order
        Order id.
    order_form
        Of a purchase with an order id: ``lines`` are added to those that were read before; ``whole`` counts once;
        ``replacement`` takes the place of what was read before. Of a refund: ``whole`` pays back all that is left of
        the order.
    rating
        1 to 5.
    text
        A support message or a comment.
    traits
        Of identify: ``email``, ``phone``, ``firstName``, ``timezone`` ... Of any other event: nothing but traits that
        state something about consent.
    channel, granted
        Of consent: for which channel (``None``: all), given or withdrawn.
    complaint
        Of a withdrawal: the recipient marked a message as spam.
    confirmed
        Of a grant: the owner of the address confirmed it, such as by a link in an e-mail.
    message
        Id of the message of ours that it is about.
    reason
        Why a message failed or bounced; where a consent comes from.
    properties
        What else the sender said; usable in rules and templates.
    forced
        Folded however late it is, because a person decided so; no door takes it from a sender.
    """

    id: str
    user: str
    type: EventType
    at: int
    origin: Origin = "live"
    trust: Trust = "server"
    name: str | None = None
    item: str | None = None
    category: str | None = None
    quantity: int = 1
    lines: tuple[OrderLine, ...] = ()
    amount: int = 0
    currency: str = DEFAULT_CURRENCY
    order: str | None = None
    order_form: OrderForm = "lines"
    rating: float | None = None
    text: str | None = None
    traits: dict[str, Any] | None = None
    channel: Channel | None = None
    granted: bool | None = None
    complaint: bool = False
    confirmed: bool = False
    message: str | None = None
    reason: str | None = None
    properties: dict[str, Any] | None = None
    forced: bool = False

    @property
    def identified(self) -> bool:
        """Whether the user is known by a ``userId``."""
        return not self.user.startswith(_NAMELESS)


ANONYMOUS = "anonymous:"
TEST = "test:"
"""Begins the key of the separate user that test events are folded into."""
_NAMELESS = (ANONYMOUS, TEST + ANONYMOUS)

REPORTED: frozenset[str] = frozenset(kind for kind in get_args(EventType) if kind.startswith("message_"))
"""Types of what became of our own messages: only we report them."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """JSON of an event, as it stands in ``events``.

    Examples
    --------
    >>> encode_event(Event(id="m1", user="u1", type="click", at=1, item="sku1"))
    b'{"id":"m1","user":"u1","type":"click","at":1,"item":"sku1"}'
    """
    return _encoder.encode(event)


def decode_event(value: bytes) -> Event:
    """Read JSON of an event; raises ``msgspec.DecodeError`` (``ValidationError`` among them) where it is none."""
    return _decoder.decode(value)
