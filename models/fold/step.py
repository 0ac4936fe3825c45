"""Steps of the first pass: each applies one event or one timer to a user's facts.

What needs the ledger or the scores is left for the third pass, as tasks of the step. Together, the passes keep one
fixed order for each step: versions, facts, scores, rules, planner, timers. So a decision takes into account the event
that caused it. A message counts towards the caps as soon as it is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from models.delivery.notices import Notice
from models.engage import outcomes
from models.engage.handed_over import HandedMessage
from models.engage.reports import reports_of
from models.engage.rules import rules_met
from models.events import MICROS, REPORTED, Channel, Event, Forwarding
from models.fold import assessment, buyer_steps, campaign_steps, clause_steps, confirmations
from models.fold.effects import StepEffects
from models.fold.live_user import LiveUser
from models.fold.message_counts import outcome_move
from models.fold.outputs import encode_interaction
from models.fold.piece import Piece, Step
from models.fold.scores import PieceScores
from models.profile import imports, orders, purposes, timers
from models.profile.ledger import Ledger, Timer
from models.profile.numbers import PURCHASES
from models.profile.orders import News
from models.profile.reducers import NO_CUTOFFS, VISITS, Cutoffs, reduce_facts
from models.profile.signals import Signal
from models.profile.state import Facts
from models.profile.statements import SIMPLE, Statement, grant, statement_of, withdraw
from models.recommend.interactions import Interaction, interaction_of, interactions_of
from models.wire.withdrawals import granted_channels_of

CART = "cart"
"""Kind of the timers that fire when a rule's waiting time after a change of the cart has passed."""

FORGET = "forget"
"""Name of the timer at which the message ids of a merged profile are beyond the horizon."""

_decode_signal = msgspec.json.Decoder(Signal).decode

_CARTS = frozenset({"cart_add", "cart_remove", "purchase"})
"""Types of events that change the cart."""
_ASSESSED = VISITS | {"refund"}
"""Types of events after which the models score the user."""
UNSEEN = REPORTED | {"page_view", "product_view", "click", "rating", "support_message"}
"""Types of events that change no fact that decisions see, unless they carry traits or a less live origin."""


def step_event(piece: Piece, user: LiveUser, event: Event, cutoffs: Cutoffs = NO_CUTOFFS) -> None:
    """Fold one event into its user's facts, in place.

    Parameters
    ----------
    piece
        The piece of the log; the event may be older than its ``now``.
    user
        The user.
    event
        An event of the user that was not folded before.
    cutoffs
        Times before which an event is late or refused, or an order is no longer remembered.
    """
    facts, versions, kind = user.facts, piece.versions, event.type
    orders_before, bought_at = facts.orders, user.numbers[PURCHASES] if kind == "purchase" else 0.0
    news = orders.ALL_NEW if kind != "purchase" else orders.news_of(facts, event, cutoffs.orders_before)
    step, assessed = Step(user, piece.number, piece.now, event, None, user.row), kind in _ASSESSED
    consent, before = None, None if event.imported is None else imports.known(facts)
    if (conditions := versions.conditions) is not None:
        clause_steps.begin(piece, conditions, step)
        consent = facts.consent if conditions.consents else None
    elif not facts.known_since:
        facts.known_since = _known_since(facts, event, piece.now)
    if assessed and not user.is_aligned:
        assessment.align(piece, user)
    if user.ledger.examples.waiting and news.is_visit:
        assessment.mark_returned(user, event, versions)
    if kind not in UNSEEN or event.traits or event.origin != facts.origin:
        user.keep_view(step.number)
    if kind not in SIMPLE or event.traits:
        _fold_consent(piece, step, event)
    reduce_facts(facts, user.numbers, event, versions.zone, cutoffs, news)
    if before is not None:
        imports.follow(facts, user.numbers, event, before)
        _note_purchase(user)
    _follow_facts(piece, step, event)
    if conditions is not None:
        clause_steps.observe(piece, conditions, step, event, consent)
    if (versions.journeys.events or versions.campaigns.goals) and not step.is_silent:
        step.is_awaited, step.is_goal = versions.journeys.reads(event), versions.campaigns.reads(event)
        if event.order is not None and (versions.journeys.has_goals or versions.campaigns.goals):
            step.order = facts.known_orders.get(event.order)
    if kind in REPORTED:
        _record_outcome(piece, step, event)
    _learn(piece, user, event, news)
    if assessed:
        piece.score(step)
        if versions.population is not None or kind in buyer_steps.KINDS:
            buyer_steps.follow_event(piece, step, event, orders_before, bought_at)
    if kind in VISITS and news.is_visit:
        if not user.is_scheduled:
            assessment.schedule(user, step.now)
        if kind in _CARTS:
            _watch_cart(piece, user)
    is_named = kind == "purchase" or (event.name if kind == "custom" else kind) in versions.event_names
    if is_named and not step.is_silent:
        tell_each(step, _signals_of(piece, step, event, news, orders_before))
    if step.has_work:
        piece.keep(step)


def step_statement(piece: Piece, user: LiveUser, event: Event, statement: Statement) -> None:
    """Fold a statement, and nothing else of its event: consent is withdrawn, and delivery is notified.

    Parameters
    ----------
    piece, user
        The piece of the log, and the user.
    event
        The event of the statement. It may have been refused because of its other content.
    statement
        The statement of ``event``, read before the event was folded.
    """
    step = piece.begin(user, event)
    piece.statements.append(step)
    conditions = piece.versions.conditions
    if conditions is not None:
        clause_steps.begin(piece, conditions, step)
    user.keep_view(step.number)
    _state(step, event, statement, piece.versions.level)
    if conditions is not None:
        clause_steps.withdraw(piece, conditions, step)
    piece.finish(step)


def step_timer(piece: Piece, user: LiveUser, timer: Timer) -> None:
    """Fire one timer that follows from facts; the caller has already removed the timer from the ledger."""
    kind, _, argument = timer.name.partition(":")
    step, conditions = piece.begin(user, None, timer), piece.versions.conditions
    if conditions is not None:
        clause_steps.begin(piece, conditions, step)
    if kind == clause_steps.CLAUSES:
        if conditions is not None:
            clause_steps.expire(piece, conditions, step, timer)
    elif kind == campaign_steps.CAMPAIGN:
        campaign_steps.take_turn(piece, step, timer)
    elif kind == assessment.ASSESS:
        if not user.is_aligned:
            assessment.align(piece, user)
        assessment.assess_daily(piece, step)
        buyer_steps.follow_assessment(piece, step)
    elif kind == buyer_steps.BUYER:
        buyer_steps.fire(piece, step, timer.due)
    elif kind == assessment.LABEL:
        assessment.release_labels(piece, step)
    elif kind == CART and user.facts.cart:
        items = tuple(user.facts.cart)
        cause = f"timer:{timer.name}:{timer.due}"
        _tell(step, Signal(kind="cart_left", user=user.name, at=timer.due, cause=cause, name=argument, items=items))
    piece.finish(step)


def _known_since(facts: Facts, event: Event, now: int) -> int:
    """Return the time of the user's first event; for a user of an older state, that of the first visit or of now."""
    return facts.first_seen or now if facts.events else max(min(event.at, now), 1)


def _record_outcome(piece: Piece, step: Step, event: Event) -> None:
    def record(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - no scores
        before = outcomes.message_of(ledger, event)
        effects.notices.extend(outcomes.record_outcome(ledger, event))
        move = outcome_move(before, outcomes.message_of(ledger, event))
        if move is not None:
            piece.messages.append(move)

    step.later(record)
    said = event.identity
    if isinstance(said, Forwarding) and said.signal:
        handed = _handed_over(step.user, event, said)
        step.later(lambda effects, *_: effects.handed_over.append(handed))
        piece.outputs.count("identity_records", "message_handed_over")


def _handed_over(user: LiveUser, event: Event, said: Forwarding) -> HandedMessage:
    """Return a visitor's message that was withdrawn at the login, as the known user's profile decides about it."""
    signal = msgspec.structs.replace(_decode_signal(said.signal), user=user.name)
    rule, facts = str((event.properties or {}).get("rule", "")), user.facts
    handed = HandedMessage(event.message or "", rule, signal)
    if signal.kind != "cart_left":
        return handed
    # If the timer is set, the cart has changed, and its reminder comes later.
    is_over = not facts.cart or timers.is_set(user.customer, f"{CART}:{rule}")
    return handed._replace(cart_at=facts.cart_at, is_over=is_over)


def _fold_consent(piece: Piece, step: Step, event: Event) -> None:
    """Fold the statements of an event about consent, and its report about an address."""
    facts, settings, level = step.user.facts, piece.versions.configuration.consent, piece.versions.level
    statement = statement_of(facts, event, settings)
    if statement is not None:
        _state(step, event, statement, level)
    if event.type == "consent" and event.is_grant:
        refused = confirmations.refused(facts, event) or grant(facts, event, settings, level)
        if refused is not None:
            piece.outputs.reject_detail(refused)
        elif event.basis is not None:
            _note_purchase(step.user)
        elif event.confirmed and event.trust == "server" and event.imported is None:
            _notify(step, reports_of(facts, event, "confirmed_grant", granted_channels_of(event.channel)))


def _follow_facts(piece: Piece, step: Step, event: Event) -> None:
    """Let the consents of a user follow the facts that have changed: the last purchase, and the address."""
    if event.type == "purchase":
        _note_purchase(step.user)
    if step.user.facts.pending and not step.is_silent:
        tell_each(step, confirmations.ask(piece, step))


def _note_purchase(user: LiveUser) -> None:
    """Record the last purchase beside the consents that depend on it."""
    if user.facts.consent:
        user.facts.consent = purposes.note_purchase(user.facts.consent, int(user.numbers[PURCHASES]))


def _state(step: Step, event: Event, statement: Statement, level: int) -> None:
    facts, channels = step.user.facts, statement.channels
    granted, purpose = withdraw(facts, statement, event, level)

    def withdraw_messages(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - no scores
        effects.notices.extend(outcomes.notices_of_withdrawal(ledger, event, channels, granted, purpose or ""))

    step.later(withdraw_messages)
    if statement.complaint:
        _notify(step, reports_of(facts, event, "complaint", channels))
    if statement.bounce:
        _notify(step, reports_of(facts, event, "hard_bounce", ("email",)))


def _notify(step: Step, notices: Sequence[tuple[Channel, Notice]]) -> None:
    if notices:
        step.later(lambda effects, *_: effects.notices.extend(notices))


def tell_each(step: Step, signals: Iterable[Signal]) -> None:
    """Leave signals for the third pass, which decides what follows from them."""
    for signal in signals:
        _tell(step, signal)


def _tell(step: Step, signal: Signal) -> None:
    step.later(lambda effects, *_: effects.signals.append(signal))


def _signals_of(piece: Piece, step: Step, event: Event, news: News, orders_before: int) -> Iterator[Signal]:
    """Yield the signals of an event itself: the user's first purchase, and its name if a rule waits for the name."""
    is_first = (not orders_before or news.confirms) and step.user.facts.orders == 1
    if event.type == "purchase" and news.triggers and is_first:
        yield Signal(
            kind="first_purchase",
            user=event.user,
            at=step.at,
            cause=event.id,
            value=event.amount / MICROS,
            items=tuple(line.item for line in event.lines),
            confirms=news.confirms,
        )
    name = event.name if event.type == "custom" or not news.triggers else event.type
    if name in piece.versions.event_names:
        yield Signal(
            kind="event",
            user=event.user,
            at=step.at,
            cause=event.id,
            name=name,
            properties=event.properties,
            met=rules_met(piece.versions.configuration, name, event),
            confirms=news.confirms,
        )


def _learn(piece: Piece, user: LiveUser, event: Event, news: News) -> None:
    """Give the recommender the interactions of an event."""
    if event.lines or event.type == "purchase":
        for interaction in _bought(event, news.learned_items):
            piece.outputs.add_interaction(encode_interaction(user.key, interaction))
    elif (shown := interaction_of(event)) is not None:
        piece.outputs.add_interaction(encode_interaction(user.key, shown))


def _bought(event: Event, learned: frozenset[str] | None) -> tuple[Interaction, ...]:
    """Return the interactions of a purchase, without those that the recommender has already learned."""
    if learned is None:
        return ()
    found = interactions_of(event)
    return tuple(one for one in found if one.item not in learned) if learned else found


def _watch_cart(piece: Piece, user: LiveUser) -> None:
    """Set the timers of the rules that wait for a cart to be left, or cancel them because the cart is empty."""
    if not user.facts.cart:
        user.has_new_timers |= timers.cancel_all(user.customer, CART)
        return
    user.has_new_timers = True
    for rule, delay in piece.versions.cart_timers:
        timers.set_timer(user.customer, f"{CART}:{rule}", user.facts.cart_at + delay)
