"""Steps of the fold: each applies one event or one timer to a user's state, and collects the effects.

Every decision about a user is made here, in one fixed order: versions, facts, scores, rules, planner, timers. So a
decision takes into account the event that caused it. A message counts towards the caps as soon as it is decided.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from models.engage import outcomes, rules
from models.engage.reports import reports_of
from models.events import MICROS, REPORTED, Event
from models.fold import assessment
from models.fold.effects import Step
from models.profile import orders, timers
from models.profile.ledger import Timer
from models.profile.orders import News
from models.profile.reducers import NO_CUTOFFS, VISITS, Cutoffs, reduce_facts
from models.profile.signals import Signal
from models.profile.statements import SIMPLE, Statement, statement_of, withdraw
from models.recommend.interactions import Interaction, interactions_of
from models.wire.withdrawals import channels_of

CART, PENDING = "cart", "pending"
"""Names of timers: a rule's waiting time after a change of the cart has passed, and a deferred message may be sent."""

_CARTS = frozenset({"cart_add", "cart_remove", "purchase"})
"""Types of events that change the cart."""
_ASSESSED = VISITS | {"refund"}
"""Types of events after which the models score the user."""


def step_event(step: Step, event: Event, cutoffs: Cutoffs = NO_CUTOFFS) -> None:
    """Fold one event into the step's user, in place.

    Parameters
    ----------
    step
        The step; the event may be older than its ``now``.
    event
        An event of the step's user that was not folded before.
    cutoffs
        Times before which an event is late or refused, or an order is no longer remembered.
    """
    customer, versions, effects = step.customer, step.versions, step.effects
    kind, at = event.type, min(event.at, step.now)
    first_order = customer.facts.orders == 0
    news = orders.ALL_NEW if kind != "purchase" else orders.news_of(customer.facts, event, cutoffs.orders_before)
    assessed = kind in _ASSESSED
    if assessed:
        assessment.align(customer, versions)
    if customer.ledger.examples and news.is_visit:
        assessment.mark_returned(customer, event, versions)
    if kind not in SIMPLE or event.traits:
        statement = statement_of(customer.facts, event, versions.configuration.consent)
        if statement is not None:
            step_statement(step, event, statement)
    reduce_facts(customer.facts, event, versions.zone, cutoffs)
    if kind in REPORTED:
        effects.notices.extend(outcomes.record_outcome(customer.ledger, event))
    elif event.confirmed and event.granted and event.trust == "server":
        channels = channels_of(event.channel)
        effects.notices.extend(reports_of(customer.facts, event, "confirmed_grant", channels))
    effects.interactions.extend(
        interactions_of(event) if news is orders.ALL_NEW else _interactions(event, news.learned_items)
    )
    begin = len(effects.signals)
    if assessed:
        assessment.assess(step, event.id, at)
    if kind in VISITS and news.is_visit:
        assessment.schedule(step)
        if kind in _CARTS:
            _watch_cart(step)
    if kind == "purchase" or (event.name if kind == "custom" else kind) in versions.event_names:
        is_first = (first_order or news.confirms) and customer.facts.orders == 1
        effects.signals.extend(_signals_of(step, event, news, is_first=is_first))
    if len(effects.signals) > begin:
        if event.trust == "public":
            effects.signals[begin:] = [msgspec.structs.replace(one, public=True) for one in effects.signals[begin:]]
        _react(step, begin)


def step_statement(step: Step, event: Event, statement: Statement) -> None:
    """Fold a statement, and nothing else of its event: consent is withdrawn, and delivery is notified.

    Parameters
    ----------
    step
        The step.
    event
        The event of the statement. It may have been refused because of its other content.
    statement
        The statement of ``event``, read before the event was folded.
    """
    facts, notices, channels = step.customer.facts, step.effects.notices, statement.channels
    granted = withdraw(facts, channels, event.at, statement.source)
    notices.extend(outcomes.notices_of_withdrawal(step.customer.ledger, event, channels, granted))
    if statement.complaint:
        notices.extend(reports_of(facts, event, "complaint", channels))
    if statement.bounce:
        notices.extend(reports_of(facts, event, "hard_bounce", ("email",)))


def step_timer(step: Step, timer: Timer) -> None:
    """Fire one timer of the step's user, in place; the caller has already removed the timer from the ledger."""
    customer, versions, effects = step.customer, step.versions, step.effects
    kind, _, argument = timer.name.partition(":")
    begin = len(effects.signals)
    if kind == assessment.ASSESS:
        assessment.align(customer, versions)
        assessment.assess_daily(step)
    elif kind == assessment.LABEL:
        assessment.release_labels(step)
    elif kind == CART and customer.facts.cart:
        items = tuple(customer.facts.cart)
        cause = f"timer:{timer.name}:{timer.due}"
        effects.signals.append(
            Signal(kind="cart_left", user=step.user, at=timer.due, cause=cause, name=argument, items=items)
        )
    elif kind == PENDING:
        effects.decisions.extend(versions.planner().release(step.recipient))
        _schedule_pending(step)
    if len(effects.signals) > begin:
        _react(step, begin)


def _signals_of(step: Step, event: Event, news: News, *, is_first: bool) -> Iterator[Signal]:
    """Yield the signals of an event itself: the user's first purchase, and its name if a rule waits for the name."""
    at = min(event.at, step.now)
    if event.type == "purchase" and news.triggers and is_first:
        yield Signal(
            kind="first_purchase",
            user=event.user,
            at=at,
            cause=event.id,
            value=event.amount / MICROS,
            items=tuple(line.item for line in event.lines),
            confirms=news.confirms,
        )
    name = event.name if event.type == "custom" or not news.triggers else event.type
    if name in step.versions.event_names:
        yield Signal(
            kind="event",
            user=event.user,
            at=at,
            cause=event.id,
            name=name,
            properties=event.properties,
            confirms=news.confirms,
        )


def _interactions(event: Event, learned: frozenset[str] | None) -> tuple[Interaction, ...]:
    """Return the interactions of an event, without those that the recommender has already learned."""
    if learned is None:
        return ()
    found = interactions_of(event)
    return tuple(one for one in found if one.item not in learned) if learned else found


def _watch_cart(step: Step) -> None:
    """Set the timers of the rules that wait for a cart to be left, or cancel them because the cart is empty."""
    customer = step.customer
    if not customer.facts.cart:
        timers.cancel_all(customer, CART)
        return
    for rule, delay in step.versions.cart_timers:
        timers.set_timer(customer, f"{CART}:{rule}", customer.facts.cart_at + delay)


def _react(step: Step, begin: int) -> None:
    """Let the planner decide about each rule that a signal of this step triggers, from index ``begin`` on."""
    configuration, decisions = step.versions.configuration, step.effects.decisions
    decided = len(decisions)
    for signal in step.effects.signals[begin:]:
        for rule in rules.matching(configuration, signal):
            if signal.confirms and rule.category == "marketing":
                continue
            decisions.append(step.versions.planner().plan(rule, signal, step.recipient))
    if len(decisions) > decided:
        _schedule_pending(step)


def _schedule_pending(step: Step) -> None:
    """Set one timer for all pending messages, at the earliest end of a wait; cancel it if none is pending."""
    pending = step.customer.ledger.pending
    if pending:
        timers.set_timer(step.customer, PENDING, max(step.now + 1, min(one.until for one in pending)))
    else:
        timers.cancel(step.customer, PENDING)
