"""Events of one user that come out of order, put into their place in time.

Most facts do not depend on the order: counts, sums, decayed counts, firsts and lasts. Those that do (sessions and the
gaps between them, the cart, the newest of each trait) keep, for the last hours, what it
takes to say what they would be had all come in order: that is :class:`~models.profile.state.Window`. An event is in
time for its place when it is not older than ``edge``, the partition's clock less ``events.order_within``, or newer than
all that is known of its kind, however old it is. Any other is late: what counts, counts; what is newest stays.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter

from models.profile.state import CartChange, CartLine, Facts, Window
from models.profile.trait_limits import NEEDED, is_needed

SESSION_GAP = 30 * 60_000
"""Silence that ends a session, milliseconds."""

CART_LINES = 30
CHANGES = 100
"""Maximum number of changes of a cart that are kept in order."""
SESSIONS = 64
"""Maximum number of sessions of the last hours that are kept in order."""
NAMES = 8_192
"""Characters of the names of traits whose times are kept, in all."""

_GAP_WEIGHT = 0.3
_when = attrgetter("at")


def settle(facts: Facts, edge: int, floor: int) -> None:
    """Let go of what no event that is in time can change any more.

    Parameters
    ----------
    facts
        Changed in place; what they say stays the same.
    edge
        Older events are late, milliseconds.
    floor
        Older events are refused.
    """
    window = facts.window
    if window is None:
        return
    _close_sessions(facts, window, edge)
    window.orders = {order: at for order, at in window.orders.items() if at >= edge}
    _let_changes_pass(window, edge)
    window.traits = {name: at for name, at in window.traits.items() if at >= floor}
    window.forgotten = window.forgotten if window.forgotten >= floor else 0
    if not (window.visits or window.orders or window.changes or window.traits or window.forgotten):
        facts.window = None


def visit(facts: Facts, at: int, edge: int) -> None:
    """Count a visit into the user's sessions, and see to first and last; late ones open and prolong no session."""
    if not facts.first_seen or at < facts.first_seen:
        facts.first_seen = at
    newest = facts.last_seen
    if at < newest:
        if at >= edge and at < facts.session_at:
            _visit_before(facts, at, edge)
        return
    facts.last_seen = at
    window = facts.window
    if at - newest <= SESSION_GAP and facts.sessions:
        if window is not None and window.visits:
            window.visits[-1] = at
        return
    if facts.sessions:
        window = _window(facts)
        if not window.visits:
            window.gap, window.ended, window.visits = facts.gap, 0, [facts.session_at, newest]
        window.visits += (at, at)
        facts.gap = _mean_gap(facts.gap, at - newest, first=facts.sessions == 1)
    facts.sessions += 1
    facts.session_at = at
    if window is not None:
        _close_sessions(facts, window, edge)


def change_cart(facts: Facts, change: CartChange, edge: int) -> None:
    """Put something into the cart, take it out, or empty it."""
    if change.at >= facts.cart_at:
        if change.at >= edge:
            _keep(facts, change)
        facts.cart = _changed(facts.cart, change)
        facts.cart_at = change.at
    elif change.at >= edge:
        window = _keep(facts, change)
        cart = window.cart
        for one in window.changes:
            cart = _changed(cart, one)
        facts.cart = cart
    if facts.window is not None:
        _let_changes_pass(facts.window, edge)


def is_newest_of(facts: Facts, trait: str, at: int, floor: int) -> bool:
    """Note that a trait was said or taken back; return whether nothing newer was said of it before."""
    window = facts.window
    if window is not None and at < window.traits.get(trait, window.forgotten if trait in facts.traits else 0):
        return False
    if at < floor:  # forced: what is there may be newer
        return trait not in facts.traits
    _window(facts).traits[trait] = at
    return True


def bound_traits(facts: Facts) -> None:
    """Forget the oldest times of traits where their names take too much; those that messages need go last.

    The times of ``NEEDED`` are always kept. A name that states consent has any number of spellings.
    """
    window = facts.window
    if window is None:
        return
    size = sum(map(len, window.traits))
    if size <= NAMES:
        return
    times = window.traits
    for name in sorted(times.keys() - NEEDED, key=lambda name: (is_needed(name), times[name], name)):
        size -= len(name)
        window.forgotten = max(window.forgotten, times.pop(name))
        if size <= NAMES:
            return


def _window(facts: Facts) -> Window:
    if facts.window is None:
        facts.window = Window()
    return facts.window


def _keep(facts: Facts, change: CartChange) -> Window:
    window = _window(facts)
    if not window.changes:
        window.cart = facts.cart
    insort(window.changes, change, key=_when)
    return window


def _mean_gap(mean: float, gap: int, *, first: bool) -> float:
    return float(gap) if first else (1 - _GAP_WEIGHT) * mean + _GAP_WEIGHT * gap


def _visit_before(facts: Facts, at: int, edge: int) -> None:
    """Put a visit before the newest session: it prolongs a session, joins two, or is one of its own."""
    window = _window(facts)
    visits = window.visits
    if at <= window.ended:
        return  # among sessions that are closed, because there are too many
    if not visits:
        window.gap, window.ended, visits = facts.gap, 0, [facts.session_at, facts.last_seen]
    closed = facts.sessions - len(visits) // 2
    spans = [[begin, end] for begin, end in zip(visits[::2], visits[1::2], strict=True)]
    insort(spans, [at, at])
    joined = [spans[0]]
    for begin, end in spans[1:]:
        if begin - joined[-1][1] <= SESSION_GAP:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    window.visits = [moment for span in joined for moment in span]
    facts.sessions = closed + len(joined)
    facts.session_at = joined[-1][0]
    facts.gap, ended = window.gap, window.ended
    for number, (begin, end) in enumerate(joined, closed):
        if ended:
            facts.gap = _mean_gap(facts.gap, begin - ended, first=number == 1)
        ended = end
    _close_sessions(facts, window, edge)


def _close_sessions(facts: Facts, window: Window, edge: int) -> None:
    """Count the gaps that are final: a session's neighbours are, once the next one began before ``edge``."""
    visits = window.visits
    while visits and (len(visits) > 2 * SESSIONS or (visits[2] if len(visits) > 2 else visits[0]) <= edge):
        if len(visits) == 2:
            window.visits, window.gap, window.ended = [], 0.0, 0
            return
        begin, end = visits[:2]
        if window.ended:
            number = facts.sessions - len(visits) // 2
            window.gap = _mean_gap(window.gap, begin - window.ended, first=number == 1)
        window.ended = end
        del visits[:2]


def _changed(cart: dict[str, CartLine], change: CartChange) -> dict[str, CartLine]:
    """A cart after a change; the one given stays as it is, and may be shared."""
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
    elif line or len(cart) < CART_LINES:
        changed[item] = CartLine(quantity, change.price or (line.price if line else 0))
    return changed


def _let_changes_pass(window: Window, edge: int) -> None:
    changes, past = window.changes, 0
    while past < len(changes) and (changes[past].at < edge or len(changes) - past > CHANGES):
        window.cart = _changed(window.cart, changes[past])
        past += 1
    if past:
        del changes[:past]
        if not changes:
            window.cart = {}
