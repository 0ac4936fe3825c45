"""One user's state: facts (what happened) and ledger (what we decided and sent), packed behind a fixed header.

Its structs hold values and what JSON can hold, and nothing that points back: no cycle, so the garbage collector is told
to leave them alone (``gc=False``).

Facts can be recomputed from the log by new code; the ledger is only ever carried over. A packed state is bytes:
a header that answers "which offset has this user seen" and "when is the next timer due" without unpacking, then
msgpack of the two structs. Of a user who has gone silent it is squeezed (``resting``), but for what the daily look
changes. Which form it is follows from the state alone, so that it is the same bytes however a log is cut.
"""

from __future__ import annotations

import struct
from copy import copy
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from models.errors import StateMismatch
from models.events import Origin
from models.profile import compression as resting
from models.profile.lazy_fields import Lazily, defer
from models.profile.open_examples import Example as Example
from models.profile.open_examples import OpenExamples
from models.profile.recent_items import Recent
from models.profile.recent_items import Touch as Touch
from models.profile.seen_ids import SeenIds
from models.units import DAY

SCHEMA = 4
"""Version of the layout of :class:`Customer`'s bytes."""
PREVIOUS_SCHEMA = 3
"""The older layout that is still read. Its structs are today's without their last fields, which get their defaults:
``Facts.known_orders``, ``Facts.stated``, ``Window.forgotten``, ``Consent.newest_grant``, ``Sent.because``,
``Sent.detail``, ``Withheld.detail``, and three of ``Pending``."""
NEVER = 2**63 - 1
"""The due time of a user without timers."""
SILENCE = DAY
"""Whom the models still looked at so long after the last activity rests. Who was packed under another value keeps that
form until something is folded into them: compare what is in it, not bytes."""

_HEADER = struct.Struct("<Bqq")


class Timer(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
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


class Decay(msgspec.Struct, array_like=True, gc=False):
    """Exponentially decayed counts of one thing at several half-lives (``features.HALF_LIVES``).

    Attributes
    ----------
    at
        When they were last brought up to date, milliseconds.
    values
        One count a half-life; none before the first.
    """

    at: int = 0
    values: tuple[float, ...] = ()


class CartLine(msgspec.Struct, array_like=True, gc=False):
    """What lies in the cart: pieces, and the micros a piece."""

    quantity: int
    price: int


class CartChange(msgspec.Struct, array_like=True, frozen=True, gc=False):
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


class Window(msgspec.Struct, array_like=True, gc=False):
    """Facts of the last hours that put a late event into its place in time; they are forgotten afterwards.

    Attributes
    ----------
    visits
        Begin and end of each session that an event may still prolong, join or precede, oldest first; flat.
    ended, gap
        When the session before them ended (0: there is none, or its distance counts already), and the decayed mean gap
        between sessions until there.
    orders
        Orders of the last hours in states of schema 3, by their ids; not written since.
    cart, changes
        The cart as it was, and what has been done to it since, in the order of time.
    traits
        When each trait was said or taken back, by name.
    forgotten
        Newest of those times that had to be forgotten, because there were too many; 0 for nearly everybody.
    """

    visits: list[int] = []
    ended: int = 0
    gap: float = 0.0
    orders: dict[str, int] = {}
    cart: dict[str, CartLine] = {}
    changes: list[CartChange] = []
    traits: dict[str, int] = {}
    forgotten: int = 0


class Consent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer to whether marketing over a channel is allowed.

    Attributes
    ----------
    granted
        The answer.
    at
        Newest time of the statements that led to it, milliseconds. It never moves back.
    source
        Where the deciding statement comes from.
    newest_grant
        Newest time of a grant that was read, milliseconds, also of one that was too old to count; 0 without any.
    """

    granted: bool
    at: int
    source: str = ""
    newest_grant: int = 0


class KnownOrder(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An order that is remembered, so that it counts once and is never refunded beyond its amount.

    Attributes
    ----------
    at
        When it was placed: the earliest time of the purchases that stated it, milliseconds. Of an order that only
        refunds named so far: the earliest time of those.
    amount, currency
        What it counts with, micros. Before any purchase stated it: 0, and the currency of its refunds. The currency is
        empty where nothing has said it.
    claimed
        Sum of the amounts that refunds of it stated, micros; it may be above the amount.
    known
        What stated it, a sum of ``orders.LINES``, ``WHOLE``, ``UPDATED``, ``TRUSTED`` and ``REFUNDED``.
    updated
        Time of the newest update, milliseconds; 0 without any.
    """

    at: int
    amount: int = 0
    currency: str = ""
    claimed: int = 0
    known: int = 0
    updated: int = 0


class Facts(msgspec.Struct, array_like=True, eq=False, gc=False):
    """Everything known of a user from their events.

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
    orders, refunds
        Counts.
    last_order
        Id of the newest order in states of schema 3, which did not remember more; not written since.
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
    known_orders
        The newest orders by their ids, see ``orders``.
    stated
        Digests of the newest withdrawals, complaints and bounces that counted, see ``statements``.
    """

    identified: bool = False
    traits: Lazily[dict[str, Any]] = {}
    first_seen: int = 0
    last_seen: int = 0
    events: Lazily[dict[str, int]] = {}
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
    recent: Lazily[Recent] = msgspec.field(default_factory=Recent)
    ratings: int = 0
    rating_sum: float = 0.0
    support: int = 0
    messages: dict[str, int] = {}
    consent: Lazily[dict[str, Consent]] = {}
    origin: Origin = "live"
    seen_ids: SeenIds = msgspec.field(default_factory=SeenIds)
    window: Window | None = None
    known_orders: Lazily[dict[str, KnownOrder]] = {}
    stated: bytes = b""


class Sent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was handed over for delivery.

    Attributes
    ----------
    id, rule, channel, category, at, subject, why
        As it was decided.
    outcome
        Its outcome (``engage.outcomes``): ``sent``, ``failed``, ``unknown``, ``delivered`` ...; empty before.
    because
        For a suppressed message: the reason on the suppression list.
    detail
        More about the message: why its fallback went out, or why it failed.
    """

    id: str
    rule: str
    channel: str
    category: str
    at: int
    subject: str = ""
    why: str = ""
    outcome: str = ""
    because: str = ""
    detail: str = ""


class Withheld(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that was not sent, and what blocked it.

    Attributes
    ----------
    rule, channel, reason, at
        As it was decided.
    detail
        More about the reason, such as file and line of a template.
    """

    rule: str
    channel: str
    reason: str
    at: int
    detail: str = ""


class Pending(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A message that waits: for quiet hours to end, or for its template to be mended.

    Attributes
    ----------
    rule
        Which rule wants it.
    signal
        The signal that triggered it, as JSON.
    until, expires
        When it is tried again, and when it is stale; milliseconds.
    reason
        Why it waits: ``quiet_hours`` or ``template_error``.
    configuration
        Version that failed to render it; 0 where none did.
    detail
        What failed, with file and line.
    """

    rule: str
    signal: bytes
    until: int
    expires: int
    reason: str = "quiet_hours"
    configuration: int = 0
    detail: str = ""


class Ledger(msgspec.Struct, array_like=True, eq=False, gc=False):
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
    examples: OpenExamples = msgspec.field(default_factory=OpenExamples)
    sent: Lazily[list[Sent]] = []
    withheld: Lazily[list[Withheld]] = []
    pending: list[Pending] = []
    fired: Lazily[dict[str, int]] = {}


defer(Facts)
defer(Ledger)


class Customer(msgspec.Struct, array_like=True, eq=False, gc=False):
    """Everything about one user.

    Attributes
    ----------
    seen
        Offset of the newest record folded into it.
    squeezed
        What it was unpacked from, before and after :func:`resting.squeeze`: who still rests when packed again and has
        the same in it need not be squeezed anew. Not a part of the state.
    """

    facts: Facts = msgspec.field(default_factory=Facts)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    seen: int = -1
    squeezed: tuple[bytes, bytes] | None = None

    @property
    def next_due(self) -> int:
        """When the next timer is due; ``NEVER`` without one."""
        return self.ledger.timers[0].due if self.ledger.timers else NEVER

    @property
    def is_resting(self) -> bool:
        """Whether the models have looked at this user after a silence, and nothing has happened since."""
        return self.ledger.assessed_at - self.facts.last_seen >= SILENCE and self.facts.last_seen > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Customer):
            return NotImplemented
        return (self.facts, self.ledger, self.seen) == (other.facts, other.ledger, other.seen)

    __hash__ = None  # type: ignore[assignment]


class _Body(msgspec.Struct, array_like=True, gc=False):
    facts: Facts
    ledger: Ledger


class _Resting(msgspec.Struct, array_like=True, gc=False):
    """A user who rests: what the daily look changes, which stays as it is, and everything else, squeezed.

    Attributes
    ----------
    assessed_at, risk
        Of the ledger.
    risk_behind
        How long before ``assessed_at`` the risk was issued.
    timers
        Their names; the first one's due time stands in the header.
    waits
        From each timer to the next one.
    seen_ids
        Of the facts: nothing makes digests smaller, and the look forgets them.
    """

    assessed_at: int
    risk: float | None
    risk_behind: int
    timers: list[str]
    waits: list[int]
    seen_ids: SeenIds
    squeezed: bytes
    dictionary: int = resting.DICTIONARY


_READABLE = (SCHEMA, PREVIOUS_SCHEMA)
"""Their headers are alike."""
_AWAKE = 0x92
"""First byte of a body's msgpack: an array of two. That of one who rests is an array of eight."""
_NO_IDS = SeenIds()

_encode = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(_Body).decode
_decode_resting = msgspec.msgpack.Decoder(_Resting).decode


def pack(customer: Customer) -> bytes:
    """Bytes of a customer: header (schema, seen, next due) and body."""
    header = _HEADER.pack(SCHEMA, customer.seen, customer.next_due)
    if customer.is_resting:
        return header + _encode(_rest(customer))
    return header + _encode(_Body(customer.facts, customer.ledger))


def unpack(data: bytes) -> Customer:
    """Read what :func:`pack` wrote.

    Raises
    ------
    StateMismatch
        Neither this schema version nor the one before wrote it.
    """
    schema, seen, due = _HEADER.unpack_from(data)
    if schema not in _READABLE:
        raise StateMismatch("profile", schema, SCHEMA)
    packed = memoryview(data)[_HEADER.size :]
    if packed[0] != _AWAKE:
        return _wake(_decode_resting(packed), seen, due)
    body = _decode_body(packed)
    return Customer(body.facts, body.ledger, seen)


def resting_body(customer: Customer) -> bytes:
    """What is squeezed of a customer who rests: all but what the daily look changes."""
    facts, ledger = copy(customer.facts), customer.ledger
    facts.seen_ids = _NO_IDS
    still = Ledger(
        segment=ledger.segment,
        segment_version=ledger.segment_version,
        risk_version=ledger.risk_version,
        examples=ledger.examples,
        sent=ledger.sent,
        withheld=ledger.withheld,
        pending=ledger.pending,
        fired=ledger.fired,
    )
    return _encode(_Body(facts, still))


def _rest(customer: Customer) -> _Resting:
    ledger, body, known = customer.ledger, resting_body(customer), customer.squeezed
    return _Resting(
        assessed_at=ledger.assessed_at,
        risk=ledger.risk,
        risk_behind=ledger.assessed_at - ledger.risk_at,
        timers=[timer.name for timer in ledger.timers],
        waits=[after.due - before.due for before, after in pairwise(ledger.timers)],
        seen_ids=customer.facts.seen_ids,
        squeezed=known[1] if known is not None and known[0] == body else resting.squeeze(body),
    )


def _wake(rests: _Resting, seen: int, due: int) -> Customer:
    packed = resting.unsqueeze(rests.squeezed, rests.dictionary)
    body = _decode_body(packed)
    body.facts.seen_ids, ledger = rests.seen_ids, body.ledger
    ledger.assessed_at, ledger.risk = rests.assessed_at, rests.risk
    ledger.risk_at = rests.assessed_at - rests.risk_behind
    ledger.timers = [
        Timer(at, name) for at, name in zip(accumulate(rests.waits, initial=due), rests.timers, strict=False)
    ]
    return Customer(body.facts, ledger, seen, (packed, rests.squeezed))


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
