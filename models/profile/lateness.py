"""Put events of one user that arrive out of order into their order in time.

Most facts do not depend on the order: counts, sums, decayed counts, first and last times. Three facts depend on it:
sessions with the gaps between them, the cart, and the newest value of each trait. For these,
:class:`~models.profile.state.Window` keeps the recent history. From it, they can be computed again as if all events had
come in order.

An event is put in order if it is not older than ``late_before``, the partition's clock minus ``events.order_within``.
It is also put in order, however old it is, if it is newer than all other events of its kind. Any other event is late:
it is counted, but it does not replace a newer value.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter

from models.profile.state import CartChange, CartLine, Facts, Window
from models.profile.trait_limits import NEEDED, is_needed

SESSION_GAP_MS = 30 * 60_000
"""Inactivity that ends a session, milliseconds."""

MAX_CART_LINES = 30
"""Maximum number of different items in a cart."""
MAX_CHANGES = 100
"""Maximum number of recent cart changes kept for reordering."""
MAX_SESSIONS = 64
"""Maximum number of recent sessions kept for reordering."""
MAX_NAMES = 8_192
"""Maximum total length of the names of the traits whose times are kept, characters."""

_GAP_WEIGHT = 0.3
_when = attrgetter("at")


def settle(facts: Facts, late_before: int, refused_before: int) -> None:
    """Remove the part of the recent history that only late or refused events could still change.

    Parameters
    ----------
    facts
        The user's facts. Only ``window`` is changed.
    late_before
        Older events are late, milliseconds.
    refused_before
        Older events are refused, milliseconds.
    """
    window = facts.window
    if window is None:
        return
    close_sessions(facts, window, late_before)
    window.orders = {order: at for order, at in window.orders.items() if at >= late_before}
    apply_old_changes(window, late_before)
    window.traits = {name: at for name, at in window.traits.items() if at >= refused_before}
    window.forgotten = window.forgotten if window.forgotten >= refused_before else 0
    if not (window.visits or window.orders or window.changes or window.traits or window.forgotten):
        facts.window = None


def visit(facts: Facts, at: int, late_before: int) -> bool:
    """Update sessions and first and last times by a visit; a late visit does not begin or prolong a session.

    Returns
    -------
    bool
        Whether the first time, the number of sessions or their gap may have changed; usually a visit prolongs a session
        and changes none of them.
    """
    if not facts.first_seen or at < facts.first_seen:
        facts.first_seen = at
    newest = facts.last_seen
    if at < newest and facts.sessions:  # without a session, an import has stated the time
        if at >= late_before and at < facts.session_at:
            _visit_before(facts, at, late_before)
        return True
    facts.last_seen = at
    window = facts.window
    if at - newest <= SESSION_GAP_MS and facts.sessions:
        if window is not None and window.visits:
            window.visits[-1] = at
        return False
    if facts.sessions:
        window = window_of(facts)
        if not window.visits:
            window.gap, window.ended, window.visits = facts.gap, 0, [facts.session_at, newest]
        window.visits += (at, at)
        facts.gap = mean_gap(facts.gap, at - newest, first=facts.sessions == 1)
    facts.sessions += 1
    facts.session_at = at
    if window is not None:
        close_sessions(facts, window, late_before)
    return True


def change_cart(facts: Facts, change: CartChange, late_before: int) -> None:
    """Apply a change to the cart, in the order of time."""
    if change.at >= facts.cart_at:
        if change.at >= late_before:
            _keep(facts, change)
        facts.cart = changed_cart(facts.cart, change)
        facts.cart_at = change.at
    elif change.at >= late_before:
        window = _keep(facts, change)
        cart = window.cart
        for one in window.changes:
            cart = changed_cart(cart, one)
        facts.cart = cart
    if facts.window is not None:
        apply_old_changes(facts.window, late_before)


def is_newest_of(facts: Facts, trait: str, at: int, refused_before: int) -> bool:
    """Record the time of a trait's change, and return whether the change is the newest one of that trait."""
    window = facts.window
    if window is not None and at < window.traits.get(trait, window.forgotten if trait in facts.traits else 0):
        return False
    if at < refused_before:  # a forced event: the known value may be newer
        return trait not in facts.traits
    window_of(facts).traits[trait] = at
    return True


def bound_traits(facts: Facts) -> None:
    """Remove the oldest times in ``window.traits`` if the names of these traits are too long in total.

    The times of ``NEEDED`` are always kept. Those of other traits that messages need are removed last. They are not
    always kept, because a trait that states consent can be spelled in any number of ways.
    """
    window = facts.window
    if window is None:
        return
    size = sum(map(len, window.traits))
    if size <= MAX_NAMES:
        return
    times = window.traits
    for name in sorted(times.keys() - NEEDED, key=lambda name: (is_needed(name), times[name], name)):
        size -= len(name)
        window.forgotten = max(window.forgotten, times.pop(name))
        if size <= MAX_NAMES:
            return


def window_of(facts: Facts) -> Window:
    """Return the recent history of a user; it is created if there is none."""
    if facts.window is None:
        facts.window = Window()
    return facts.window


def _keep(facts: Facts, change: CartChange) -> Window:
    window = window_of(facts)
    if not window.changes:
        window.cart = facts.cart
    insort(window.changes, change, key=_when)
    return window


def mean_gap(mean: float, gap: int, *, first: bool) -> float:
    """Return the decayed mean of the gaps between sessions after one more gap, milliseconds."""
    return float(gap) if first else (1 - _GAP_WEIGHT) * mean + _GAP_WEIGHT * gap


def _visit_before(facts: Facts, at: int, late_before: int) -> None:
    """Insert a visit before the newest session: it prolongs a session, joins two, or becomes one itself."""
    window = window_of(facts)
    visits = window.visits
    if at <= window.ended:
        return  # it lies among sessions that were closed because there are too many
    if not visits:
        window.gap, window.ended, visits = facts.gap, 0, [facts.session_at, facts.last_seen]
    closed = facts.sessions - len(visits) // 2
    spans = [[begin, end] for begin, end in zip(visits[::2], visits[1::2], strict=True)]
    insort(spans, [at, at])
    joined = [spans[0]]
    for begin, end in spans[1:]:
        if begin - joined[-1][1] <= SESSION_GAP_MS:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    window.visits = [moment for span in joined for moment in span]
    facts.sessions = closed + len(joined)
    facts.session_at = joined[-1][0]
    facts.gap, ended = window.gap, window.ended
    for number, (begin, end) in enumerate(joined, closed):
        if ended:
            facts.gap = mean_gap(facts.gap, begin - ended, first=number == 1)
        ended = end
    close_sessions(facts, window, late_before)


def close_sessions(facts: Facts, window: Window, late_before: int) -> None:
    """Close sessions, oldest first, and count the gaps before them.

    A session is closed if the next one began before ``late_before``, or if too many sessions are kept.
    """
    visits = window.visits
    while visits and (len(visits) > 2 * MAX_SESSIONS or (visits[2] if len(visits) > 2 else visits[0]) <= late_before):
        if len(visits) == 2:
            window.visits, window.gap, window.ended = [], 0.0, 0
            return
        begin, end = visits[:2]
        if window.ended:
            number = facts.sessions - len(visits) // 2
            window.gap = mean_gap(window.gap, begin - window.ended, first=number == 1)
        window.ended = end
        del visits[:2]


def changed_cart(cart: dict[str, CartLine], change: CartChange) -> dict[str, CartLine]:
    """Return a cart after a change; the given cart is not changed, because it may be shared."""
    item = change.item
    if item is None:
        return {}
    changed = dict(cart)
    line = cart.get(item)
    quantity = change.quantity + (line.quantity if line else 0)
    if change.quantity < 0:
        if line and quantity > 0:
            changed[item] = CartLine(quantity, line.price)
        else:
            changed.pop(item, None)
    elif line or len(cart) < MAX_CART_LINES:
        changed[item] = CartLine(quantity, change.price or (line.price if line else 0))
    return changed


def apply_old_changes(window: Window, late_before: int) -> None:
    """Apply the changes that only late events could precede to the cart before them."""
    changes, past = window.changes, 0
    while past < len(changes) and (changes[past].at < late_before or len(changes) - past > MAX_CHANGES):
        window.cart = changed_cart(window.cart, changes[past])
        past += 1
    if past:
        del changes[:past]
        if not changes:
            window.cart = {}
