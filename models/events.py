"""The vocabulary of events: one typed :class:`Event` for everything that happens to a user.

``models/wire/`` converts both forms that are accepted from outside into this struct. In our topics, an event is the
JSON of this struct.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from models.imported import ImportNote

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
    # outcomes of our messages
    "message_sent",
    "message_failed",
    "message_unknown",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
    "message_suppressed",
    # records between the profiles of one person
    "identity_notice",
    "identity_merge",
]
"""Type of an event. An unsubscription is ``consent`` with ``granted=False``."""

Origin = Literal["live", "replay", "simulate", "test"]
"""Origin of an event: how real it is. Only the effects of ``live`` events can reach a real provider."""

ORIGINS: tuple[Origin, ...] = ("live", "replay", "simulate", "test")
"""All origins, from the most to the least live."""

Trust = Literal["server", "public"]
"""Trust in the sender of an event: a holder of a server key, or any visitor of a page with its browser key."""

OrderForm = Literal["lines", "whole", "replacement"]
"""Form in which a purchase states its order: some of its lines, the whole order, or a replacement of the order."""

UPDATE = "Order Updated"
"""Name of a purchase that replaces an order. A rule can name it as its trigger."""

Channel = Literal["email", "sms", "push"]
CHANNELS: tuple[Channel, ...] = ("email", "sms", "push")
FIRST_CHANNELS: tuple[Channel, ...] = ("email", "sms")
"""The channels of format level 1. A grant for all channels is one for these; every other channel has to be named."""

MARKETING = "marketing"
"""The purpose of a consent that names none."""
PURPOSE_PATTERN = "^[a-z][a-z0-9_]{0,63}$"
"""Pattern of the name of a purpose."""

MICROS = 1_000_000
"""Micros in one unit of a currency. Money is a whole number of micros."""

DEFAULT_CURRENCY = "USD"
"""Currency of an amount whose sender states no currency."""
UNREADABLE_CURRENCY = "XXX"
"""ISO's code for no currency, for amounts whose currency cannot be read. They are not added to known currencies."""


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of an order or of a refund.

    Attributes
    ----------
    item
        Id of the item.
    quantity
        Number of pieces, at least 0.
    price
        Micros per piece, at least 0.
    category
        Category of the item, if it is known.
    """

    item: str
    quantity: int = 1
    price: int = 0
    category: str | None = None


class LoginNotice(msgspec.Struct, tag_field="is", tag="notice", frozen=True, omit_defaults=True, gc=False):
    """A notice to the profile of an anonymous id: its visitor has logged in as a known user.

    Attributes
    ----------
    known
        The known user.
    login, login_at
        Id and time of the event that linked the two ids. After the newest login, the anonymous id belongs to its user.
    origin
        Origin of the known user.
    awaits
        Whether the known user's profile waits for an answer.
    """

    known: str
    login: str
    login_at: int
    origin: Origin = "live"
    awaits: bool = False


MergeOutcome = Literal["merged", "empty", "newer_login", "other_origin"]
"""Answer of an anonymous profile to a notice.

- ``merged``: its whole content is handed over.
- ``empty``: it has nothing to hand over, because it is new, or because its content was handed over before.
- ``newer_login``: it belongs to another user, who has logged in later.
- ``other_origin``: the two profiles have events of different origins, so they stay apart.
"""


class MergeRecord(msgspec.Struct, tag_field="is", tag="merge", frozen=True, omit_defaults=True, gc=False):
    """The answer of an anonymous profile to a notice, for the profile of the known user.

    Attributes
    ----------
    outcome
        The answer.
    login, login_at
        Id and time of the event that linked the two ids.
    number
        Number of the last event that was forwarded before.
    payload
        For ``merged``: the anonymous profile, packed (:mod:`models.profile.codec`).
    reminded
        Names of the rules that have sent a message since the last change of the cart, or whose message waits.
    notice
        Offset of the notice that it answers, in the partition of the anonymous id.
    part
        Number of this content, among all that the anonymous profile has handed over.
    """

    outcome: MergeOutcome
    login: str
    login_at: int
    number: int = 0
    payload: bytes = b""
    reminded: tuple[str, ...] = ()
    notice: int = -1
    part: int = 1


class Forwarding(msgspec.Struct, tag_field="is", tag="forwarding", frozen=True, omit_defaults=True, gc=False):
    """A note on an event that the profile of an anonymous id has forwarded to the known user.

    Attributes
    ----------
    number
        Number of the event among those that this anonymous id has forwarded, from 1.
    is_late
        Whether the event was too late when it arrived at the anonymous profile.
    login_at
        Time of the login by which the known user owns the anonymous id, milliseconds.
    signal
        For the outcome of a message that was handed over (:class:`HandoverNote`): the signal that triggered it.
    """

    number: int
    is_late: bool = False
    login_at: int = 0
    signal: bytes = b""


class HandoverNote(msgspec.Struct, tag_field="is", tag="handed_over", frozen=True, omit_defaults=True, gc=False):
    """A note on the outcome of a visitor's marketing message that waited in delivery when the visitor logged in.

    The message is certainly not sent. The known user's profile decides about it again.

    Attributes
    ----------
    known
        The known user who took over the visitor's profile.
    signal
        The signal that triggered the message, as JSON (:class:`models.profile.signals.Signal`).
    """

    known: str
    signal: bytes


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One thing that happened to one user.

    Attributes
    ----------
    id
        The ``messageId``. A second event of the user with the same id is ignored.
    user
        Key of the user: the ``userId``, or ``anonymous:`` and the ``anonymousId``. The key of a test event
        begins with ``test:``.
    type
        Type of the event.
    at
        Time of the event, milliseconds since the epoch.
    origin
        Origin of the event.
    trust
        ``public``: the event came with a key that every visitor can read, so it counts only as behaviour.
    name
        Name of the event on the wire, if it says more than ``type`` (custom events, pages).
    item, category
        The item that was viewed, clicked, put into the cart or rated, and its category.
    quantity
        Number of pieces put into the cart or taken out of it.
    lines
        Lines of a purchase or a refund.
    amount
        Micros, at least 0: total of an order, or amount of a refund. For other types, the price of ``item``.
    currency
        Code of ISO 4217. It is empty if a purchase or a refund states an order id but no currency; then the currency of
        the order counts.
    order
        Id of the order.
    order_form
        For a purchase with an order id: ``lines`` adds its lines to the order, ``whole`` counts once, and
        ``replacement`` replaces the order. For a refund: ``whole`` refunds the remainder of the order.
    rating
        A number from 1 to 5.
    text
        Text of a support message or of a review; for a grant, the version of the text to which the user agreed.
    traits
        For ``identify``: ``email``, ``phone``, ``firstName``, ``timezone`` ... For other types: only traits that state
        something about consent.
    channel, granted
        For ``consent``: its channel (``None`` means all channels), and whether it is granted or withdrawn. ``granted``
        is ``None`` for a grant of another purpose than ``marketing``, or on another basis than consent. So code that
        does not know these does not read it as a consent to marketing.
    purpose
        For ``consent``: its purpose. ``None`` means ``marketing`` for a grant, and all purposes for a withdrawal.
    basis
        For a grant: ``existing_customer`` if it is not a consent. The sender says with it that the user could refuse
        e-mails when the address was collected.
    complaint
        For a withdrawal: whether the recipient marked a message as spam.
    confirmed
        For a grant: whether the owner of the address confirmed it, for example by a link in an e-mail.
    message
        Id of our message that the event is about.
    reason
        Reason why a message failed or bounced; source of a consent.
    properties
        Everything else that the sender stated, for rules and templates.
    forced
        Whether the event is folded even if it is too late, because a person decided so. Senders cannot set it.
    anonymous
        Key of the anonymous profile that belongs to the same person, ``anonymous:`` and the ``anonymousId``, if the
        event names one besides its known user. Records between profiles have it, too.
    identity
        For records between the profiles of one person, and for the outcome of a message that was handed over: their
        content. Senders cannot set it.
    imported
        For an event of `perennial import`: its run, and what the file states beyond an event. Senders cannot set it.
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
    purpose: str | None = None
    basis: Literal["existing_customer"] | None = None
    complaint: bool = False
    confirmed: bool = False
    message: str | None = None
    reason: str | None = None
    properties: dict[str, Any] | None = None
    forced: bool = False
    anonymous: str | None = None
    identity: LoginNotice | MergeRecord | Forwarding | HandoverNote | None = None
    imported: ImportNote | None = None

    @property
    def stated_at(self) -> int:
        """Time at which the content was stated, milliseconds: that of the event, or the one that a file gives."""
        return self.at if self.imported is None else self.imported.stated_at or self.at

    @property
    def is_silent(self) -> bool:
        """Whether the event is imported, and nothing reacts to it."""
        return self.imported is not None and not self.imported.enters

    @property
    def identified(self) -> bool:
        """Whether the user is known by a ``userId``."""
        return not self.user.startswith(_NAMELESS)

    @property
    def is_grant(self) -> bool:
        """Whether the event states a consent, or another basis of messages."""
        return self.granted is True or (self.granted is None and self.purpose is not None)


ANONYMOUS = "anonymous:"
"""Beginning of the key of a user without a ``userId``."""
TEST = "test:"
"""Beginning of the key of the separate user for test events."""
_NAMELESS = (ANONYMOUS, TEST + ANONYMOUS)

REPORTED: frozenset[str] = frozenset(kind for kind in get_args(EventType) if kind.startswith("message_"))
"""Types of the outcomes of our messages. Only we report them."""

INTERNAL: frozenset[str] = REPORTED | {"identity_notice", "identity_merge"}
"""Types of events that no sender may use."""

ALIAS = "Alias"
"""Name of a custom event which states that a user had another id before."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Return the JSON of an event, in the stored form of ``events``.

    Examples
    --------
    >>> encode_event(Event(id="m1", user="u1", type="click", at=1, item="sku1"))
    b'{"id":"m1","user":"u1","type":"click","at":1,"item":"sku1"}'
    """
    return _encoder.encode(event)


def decode_event(value: bytes) -> Event:
    """Read the JSON of an event; raise ``msgspec.DecodeError`` (or its ``ValidationError``) if it is not one."""
    return _decoder.decode(value)
