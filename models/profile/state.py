"""One user's state: facts (what happened) and ledger (what we decided and sent).

Facts can be recomputed from the log by new code. The ledger is only carried over. :mod:`models.profile.codec` stores
both.

The structs contain only plain values and JSON, and never refer to each other in a circle. So the garbage collector need
not track them (``gc=False``).
"""

from __future__ import annotations

from typing import Any

import msgspec

from models.conditions.user_state import ClauseState
from models.events import Origin
from models.profile.import_records import ImportedPast, ImportRecord
from models.profile.lazy_fields import Lazily, defer
from models.profile.ledger import NEVER, Ledger
from models.profile.links import ProfileIdentity
from models.profile.recent_items import RecentItems
from models.profile.seen_ids import SeenIds
from models.units import HOUR

DORMANT_AFTER_MS = 12 * HOUR
"""Inactivity after which a user is dormant, milliseconds.

A user is dormant once a daily assessment has run at least this long after their last activity; dormant users are stored
compressed. A stored user is encoded again only when its next event or timer is folded. So two states that were written
under different values of this constant may differ in their bytes; compare their contents instead.
"""


class CartLine(msgspec.Struct, array_like=True, gc=False):
    """A line of a cart: the number of pieces, and the price of one in micros."""

    quantity: int
    price: int


class CartChange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A change of the cart by one event.

    Attributes
    ----------
    at
        Time of the event, milliseconds.
    item
        The item that was added or removed; ``None`` if the whole cart was bought.
    quantity
        Number of pieces added; negative if they were removed.
    price
        Price of one piece, micros; 0 if the event does not give it.
    """

    at: int
    item: str | None = None
    quantity: int = 0
    price: int = 0


class Window(msgspec.Struct, array_like=True, gc=False):
    """Recent history needed to reorder late events; empty once the reordering window has passed.

    Attributes
    ----------
    visits
        Begin and end of each session that an event may still prolong, join or precede, oldest first. It is a flat list.
    ended, gap
        End of the session before them, and the decayed mean gap between sessions until then, both in milliseconds.
        ``ended`` is 0 if there is no such session, or if the gap after it is counted already.
    orders
        Times of the last hours' orders by id, in states of schema 3; not written since.
    cart, changes
        The cart before the changes, and the changes since, oldest first.
    traits
        Time at which each trait was last set or removed, by name.
    forgotten
        Newest of the times that were removed from ``traits`` because there were too many; 0 for nearly all users.
    """

    visits: list[int] = []
    ended: int = 0
    gap: float = 0.0
    orders: dict[str, int] = {}
    cart: dict[str, CartLine] = {}
    changes: list[CartChange] = []
    traits: dict[str, int] = {}
    forgotten: int = 0


UNKNOWN_TIME = -1
"""A time that states of the first format level do not have."""


class Consent(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The state of consent to one purpose over one channel (:mod:`models.profile.purposes`).

    Attributes
    ----------
    granted
        Whether messages are allowed.
    at
        Newest time of the statements that led to this answer, milliseconds. It never decreases.
    source
        The source of the deciding statement.
    newest_grant
        Newest time of all grants that were read, milliseconds; 0 without any. It includes grants too old to count.
    event, event_type, event_at
        The event of the deciding statement: its id (:mod:`models.profile.short_ids`), its type, and its time in
        milliseconds. Id and type are empty in older states. Time 0 stands for ``at``.
    confirmed
        Whether the owner of the address has confirmed the deciding grant.
    everything
        For the entry of ``marketing``: the newest time of a withdrawal of all purposes of the channel, milliseconds; 0
        if there was none. States of the first level do not have it.
    text
        Version of the text to which the user has agreed; empty if it is not known.
    basis
        Empty for a consent, or ``existing_customer``.
    bought
        For the basis ``existing_customer``: time of the last purchase, milliseconds; 0 without one.
    """

    granted: bool
    at: int
    source: str = ""
    newest_grant: int = 0
    event: bytes = b""
    event_type: str = ""
    event_at: int = 0
    confirmed: bool = False
    everything: int = UNKNOWN_TIME
    text: str = ""
    basis: str = ""
    bought: int = 0


class PendingGrant(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A grant that waits for its confirmation (:mod:`models.profile.pending_grants`).

    Attributes
    ----------
    at
        Time of the newest grant that waits, milliseconds; 0 if a withdrawal has ended it, and only its e-mails count.
    asked, asked_at
        Number of e-mails that have asked for a confirmation, and time of the last one, milliseconds.
    is_due
        Whether another e-mail has to be sent, as soon as the user has an address.
    source, event, text
        Source, id (:mod:`models.profile.short_ids`) and version of the text of the newest grant.
    address
        Digest of the address to which the last e-mail was sent.
    """

    at: int
    asked: int = 0
    asked_at: int = 0
    is_due: bool = False
    source: str = ""
    event: bytes = b""
    text: str = ""
    address: bytes = b""


class KnownOrder(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An order that is remembered, so that it counts once and is never refunded beyond its amount.

    Attributes
    ----------
    at
        Time of the order: the earliest time of the purchases that stated it, milliseconds. If only refunds have named
        the order so far, the earliest time of those.
    amount, currency
        Amount and currency that count, micros. Before a purchase has stated the order, the amount is 0 and the
        currency is that of its refunds. The currency is empty if no event has given it.
    claimed
        Sum of the amounts of its refunds, micros; it may be above the amount.
    known
        Flags of the known statements: a sum of ``orders.LINES``, ``WHOLE``, ``UPDATED``, ``TRUSTED`` and ``REFUNDED``.
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
        Whether the user is known by a ``userId``.
    traits
        From ``identify``: ``email``, ``phone``, ``timezone``, ``firstName`` and any others that were sent.
    first_seen, last_seen
        Event times of the first and the newest activity, milliseconds; 0 before any.
    events
        Count by event type.
    sessions, session_at, gap
        Number of sessions (30 minutes of inactivity end one), start of the current one, and decayed mean gap between
        sessions; both in milliseconds.
    orders, refunds
        Number of orders and of refunds.
    last_order
        Id of the newest order, in states of schema 3, which remembered one only; not written since.
    spent, refunded
        Micros by currency.
    decayed
        The decayed counts, see :mod:`models.profile.numbers`.
    categories, categories_at
        Interest by category, at most 12, and the time as of which it is decayed, milliseconds.
    hours
        Events by hour of the day (configured zone), 24 counts.
    cart, cart_at
        Lines of the cart by item, and the time of its last change, milliseconds. Emptying the cart is a change too.
    recent
        The items that the user interacted with last, oldest first, at most 30.
    ratings, rating_sum
        Count and sum of ratings given.
    support
        Number of messages to support.
    messages
        Number of events about our messages, by event type (``message_opened`` ...).
    consent
        By channel, and by purpose and channel (:mod:`models.profile.purposes`).
    origin
        The least live origin of all events, in the order of ``events.ORIGINS``.
    seen_ids
        Digests of the ``messageId`` of each event, see :mod:`models.profile.seen_ids`.
    window
        Recent history that puts late events in order, see :mod:`models.profile.lateness`.
    known_orders
        The newest orders by id, see :mod:`models.profile.orders`.
    stated
        Digests of the newest withdrawals, complaints and bounces that counted, see :mod:`models.profile.statements`.
    visits, evening_visits
        The sum of ``hours``, and its part from 18:00 on.
    known_since
        Time of the first accepted event of any type, milliseconds; 0 for users of older states.
    conditions
        Generation of the conditions that ``clauses`` follows; 0 before any.
    clauses
        The memory of the clauses of conditions; ``None`` if it is empty. Its ``known_since`` is not stored.
    pending
        Grants that wait for their confirmation, by the name of their entry in ``consent``.
    past
        What an import has stated from before the log, which the sums above include; ``None`` for nothing.
    imports
        What the newest imports have replaced, oldest first, see :mod:`models.profile.imports`.
    """

    identified: bool = False
    traits: Lazily[dict[str, Any]] = {}
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
    decayed: bytes = b""
    categories: dict[str, float] = {}
    categories_at: int = 0
    hours: Lazily[list[int]] = []
    cart: dict[str, CartLine] = {}
    cart_at: int = 0
    recent: Lazily[RecentItems] = msgspec.field(default_factory=RecentItems)
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
    visits: int = 0
    evening_visits: int = 0
    known_since: int = 0
    conditions: int = 0
    clauses: Lazily[ClauseState | None] = None
    pending: dict[str, PendingGrant] = {}
    past: ImportedPast | None = None
    imports: Lazily[list[ImportRecord]] = []


defer(Facts)


class Customer(msgspec.Struct, array_like=True, eq=False, gc=False):
    """The whole state of one user.

    Attributes
    ----------
    facts, ledger
        What happened, and what we decided and sent.
    seen
        Offset of the newest record that was folded into the state.
    compressed
        The bytes from which a dormant user was decoded, before and after ``compression.compress``; not a part of the
        state. If the same bytes are to be compressed again, the codec uses these.
    identity
        Links to other profiles of the same person; ``None`` for a user without links.
    """

    facts: Facts = msgspec.field(default_factory=Facts)
    ledger: Ledger = msgspec.field(default_factory=Ledger)
    seen: int = -1
    compressed: tuple[bytes, bytes] | None = None
    identity: ProfileIdentity | None = None

    @property
    def next_due(self) -> int:
        """Due time of the next timer, milliseconds; ``NEVER`` without one."""
        return self.ledger.timers[0].due if self.ledger.timers else NEVER

    @property
    def is_dormant(self) -> bool:
        """Whether the models have assessed this user after a long inactivity, and no activity has followed."""
        return self.ledger.assessed_at - self.facts.last_seen >= DORMANT_AFTER_MS and self.facts.last_seen > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Customer):
            return NotImplemented
        mine, theirs = (self.facts, self.ledger, self.seen), (other.facts, other.ledger, other.seen)
        return mine == theirs and self.identity == other.identity

    def __ne__(self, other: object) -> bool:
        return not self == other  # msgspec's own one compares identities

    __hash__ = None  # type: ignore[assignment]
