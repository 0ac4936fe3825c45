"""One user's state: facts (what happened) and ledger (what we decided and sent), packed behind a fixed header.

Facts can be recomputed from the log by new code; the ledger is only ever carried over. A state at rest is bytes:
a header that answers "which offset has this user seen" and "when is the next timer due" without unpacking, then
msgpack of the two structs.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from models.customer import upgrade
from models.customer.repeats import SeenIds
from models.errors import StateMismatch
from models.events import Origin

SCHEMA = 2
"""Of :class:`Customer`'s bytes; ``upgrade`` reads the one before."""
NEVER = 2**63 - 1
"""The due time of a user without timers."""

_HEADER = struct.Struct("<Bqq")


class Timer(msgspec.Struct, array_like=True, frozen=True, order=True):
    """Something to do for this user when ``now`` passes ``due``.

    Attributes
    ----------
    due
        Milliseconds since the epoch.
    name
        What to do; unique within a user. The part before ``:`` names the reducer, the part behind it is its argument.
    """

    due: int
    name: str


class Decay(msgspec.Struct, array_like=True):
    """Exponentially decayed counts of one thing at several half-lives (``features.HALF_LIVES``).

    Attributes
    ----------
    at
        When they were last brought up to date, milliseconds.
    values
        One count a half-life.
    """

    at: int = 0
    values: list[float] = []


class CartLine(msgspec.Struct, array_like=True):
    """What lies in the cart: pieces, and the micros a piece."""

    quantity: int
    price: int


class Touch(msgspec.Struct, array_like=True, frozen=True):
    """A user's interaction with an item, newest last in ``Facts.recent``."""

    item: str
    weight: float
    at: int


class CartChange(msgspec.Struct, array_like=True, frozen=True):
    """What an event did to the cart.

    Attributes
    ----------
    at
        When, milliseconds.
    item
        Which item; ``None``: everything was bought.
    quantity
        Pieces put in, or taken out where it is below zero.
    price
        Micros a piece; 0 where it was not said.
    """

    at: int
    item: str | None = None
    quantity: int = 0
    price: int = 0


class Window(msgspec.Struct, array_like=True):
    """What it takes to put an event of the last hours into its place in time; nothing of it once they are over.

    Attributes
    ----------
    visits
        Begin and end of each session that an event may still prolong, join or precede, oldest first; flat.
    ended, gap
        When the session before them ended (0: there is none, or its distance counts already), and the decayed mean gap
        between sessions until there.
    orders
        Newest time of each order's lines, by order id.
    cart, changes
        The cart as it was, and what has been done to it since, in the order of time.
    traits
        When each trait was said or taken back, by name.
    """

    visits: list[int] = []
    ended: int = 0
    gap: float = 0.0
    orders: dict[str, int] = {}
    cart: dict[str, CartLine] = {}
    changes: list[CartChange] = []
    traits: dict[str, int] = {}


class Consent(msgspec.Struct, array_like=True, frozen=True):
    """Whether marketing over a channel was agreed to, since when, and by what."""

    granted: bool
    at: int
    source: str = ""


class Facts(msgspec.Struct, array_like=True):
    """What happened.

    Attributes
    ----------
    identified
        Known by a ``userId``.
    traits
        From identify: ``email``, ``phone``, ``timezone``, ``firstName`` and what else was sent.
    first_seen, last_seen
        Event times of the first and the newest activity, milliseconds; 0 before any.
    events
        Count by event type.
    sessions, session_at, gap
        Sessions (30 minutes of silence end one), start of the current one, decayed mean gap between sessions (ms).
    orders, refunds, last_order
        Counts, and the id of the newest order: further lines of one order are not a new order.
    spent, refunded
        Micros by currency.
    activity, views, carts, purchases, spend
        Decayed counts; spend in units of whatever currency was paid in.
    categories
        Decayed interest by category, at most 12.
    hours
        Events by hour of the day (configured zone), 24 counts.
    cart, cart_at
        What lies in the cart, and when it last changed, also where that emptied it.
    recent
        Newest items touched, in the order of time, at most 30.
    ratings, rating_sum
        Count and sum of ratings given.
    support
        Messages to support.
    messages
        What became of ours: count by event type (``message_opened`` ...).
    consent
        By channel.
    origin
        The least live origin seen.
    seen_ids
        What is remembered of the ``messageId`` of each event, see ``repeats``.
    window
        What late events need to find their place, see ``lateness``.
    """

    identified: bool = False
    traits: dict[str, Any] = {}
    first_seen: int = 0
    last_seen: int = 0
    events: dict[str, int] = {}
    sessions: int = 0
    session_at: int = 0
    gap: float = 0.0
    orders: int = 0
    refunds: int = 0
    last_order: str | None = None
    spent: dict[str, int] = {}
    refunded: dict[str, int] = {}
    activity: Decay = msgspec.field(default_factory=Decay)
    views: Decay = msgspec.field(default_factory=Decay)
    carts: Decay = msgspec.field(default_factory=Decay)
    purchases: Decay = msgspec.field(default_factory=Decay)
    spend: Decay = msgspec.field(default_factory=Decay)
    categories: dict[str, float] = {}
    categories_at: int = 0
    hours: list[int] = []
    cart: dict[str, CartLine] = {}
    cart_at: int = 0
    recent: list[Touch] = []
    ratings: int = 0
    rating_sum: float = 0.0
    support: int = 0
    messages: dict[str, int] = {}
    consent: dict[str, Consent] = {}
    origin: Origin = "live"
    seen_ids: SeenIds = msgspec.field(default_factory=SeenIds)
    window: Window | None = None


class Example(msgspec.Struct, array_like=True):
    """A churn example whose label is not known yet.

    Attributes
    ----------
    at
        When it was taken, milliseconds.
    row, schema
        Features then, and the fingerprint of their names: code with other features may release it.
    risk, version
        The probability issued then and the version that issued it; ``None`` and 0 before any version existed.
    returned
        Whether there was activity since.
    """

    at: int
    row: list[float]
    schema: str
    risk: float | None
    version: int
    returned: bool = False


class Sent(msgspec.Struct, array_like=True, frozen=True):
    """A message that was handed over for delivery.

    Attributes
    ----------
    id, rule, channel, category, at, subject, why
        As it was decided.
    outcome
        What was told of it (``engage.outcomes``): ``sent``, ``failed``, ``unknown``, ``delivered`` ...; empty before.
    """

    id: str
    rule: str
    channel: str
    category: str
    at: int
    subject: str = ""
    why: str = ""
    outcome: str = ""


class Withheld(msgspec.Struct, array_like=True, frozen=True):
    """A message that was not sent, and what blocked it."""

    rule: str
    channel: str
    reason: str
    at: int


class Pending(msgspec.Struct, array_like=True, frozen=True):
    """A message that waits, for quiet hours to end.

    Attributes
    ----------
    rule
        Which rule wants it.
    signal
        The signal that triggered it, as JSON.
    until, expires
        When it is tried again, and when it is stale; milliseconds.
    """

    rule: str
    signal: bytes
    until: int
    expires: int


class Ledger(msgspec.Struct, array_like=True):
    """What we decided and sent.

    Attributes
    ----------
    timers
        In the order (due, name).
    segment, segment_version
        The segment the user is in (``None`` before any version) and the version that last placed them.
    risk, risk_version, risk_at
        The newest churn probability, the version that issued it, and when.
    assessed_at
        When the models last looked at the user, milliseconds; 0 before they ever did.
    examples
        Open churn examples, oldest first.
    sent
        Newest messages, oldest first, at most 30; those within the longest cap window are always kept.
    withheld
        Newest messages not sent, at most 20.
    pending
        Messages that wait.
    fired
        When each rule last fired, by rule name.
    """

    timers: list[Timer] = []
    segment: str | None = None
    segment_version: int = 0
    risk: float | None = None
    risk_version: int = 0
    risk_at: int = 0
    assessed_at: int = 0
    examples: list[Example] = []
    sent: list[Sent] = []
    withheld: list[Withheld] = []
    pending: list[Pending] = []
    fired: dict[str, int] = {}


class Customer(msgspec.Struct, array_like=True):
    """Everything about one user.

    Attributes
    ----------
    seen
        Offset of the newest record folded into it.
    """

    facts: Facts = msgspec.field(default_factory=Facts)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    seen: int = -1

    @property
    def next_due(self) -> int:
        """When the next timer is due; ``NEVER`` without one."""
        return self.ledger.timers[0].due if self.ledger.timers else NEVER


class _Body(msgspec.Struct, array_like=True):
    facts: Facts
    ledger: Ledger


_READABLE = (SCHEMA, upgrade.SCHEMA)
"""Their headers are alike."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Body)


def pack(customer: Customer) -> bytes:
    """Bytes of a customer: header (schema, seen, next due) and msgpack."""
    header = _HEADER.pack(SCHEMA, customer.seen, customer.next_due)
    return header + _encoder.encode(_Body(customer.facts, customer.ledger))


def unpack(data: bytes) -> Customer:
    """Read what :func:`pack` wrote.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the one before wrote it.
    """
    schema, seen, _ = _HEADER.unpack_from(data)
    if schema not in _READABLE:
        raise StateMismatch("profile", schema, SCHEMA)
    packed = memoryview(data)[_HEADER.size :]
    body = _decoder.decode(packed if schema == SCHEMA else upgrade.upgraded(packed))
    return Customer(facts=body.facts, ledger=body.ledger, seen=seen)


def header(data: bytes) -> tuple[int, int]:
    """``(seen, next due)`` of packed bytes, without unpacking them.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the one before wrote it.

    Examples
    --------
    >>> header(pack(Customer(seen=7))) == (7, NEVER)
    True
    """
    schema, seen, due = _HEADER.unpack_from(data)
    if schema not in _READABLE:
        raise StateMismatch("profile", schema, SCHEMA)
    return seen, due
