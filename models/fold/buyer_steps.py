"""The steps of the first pass that concern buyers: record their scores, and give examples to the learner.

A buyer has one timer. It is due at the buyer's slot, and before it if the recency score falls earlier. It also fires
for buyers whose daily assessment has ended, because the population has all buyers.

Nothing of this happens before the log's second format level.
"""

from __future__ import annotations

from models.batch import Output
from models.events import Event
from models.fold.live_user import LiveUser
from models.fold.piece import Piece, RfmChange, Step
from models.fold.rfm import Buyer, buyer_of, next_change, rfm_scores
from models.learning.buyers import (
    PERIOD_DAYS,
    TOPIC,
    BuyerExample,
    GapExample,
    PopulationExample,
    encode_population_example,
    slot_after,
    slot_before,
)
from models.learning.population import NAME
from models.profile import timers
from models.profile.ledger import IssuedRfm
from models.units import DAY

BUYER = "buyer"
"""Name of the timer."""
BUYERS_LEVEL = 2
"""Format level of a log from which on buyers are scored."""
KINDS = frozenset({"purchase", "refund"})
"""Types of events that change the numbers of a buyer."""
MIN_GAP_MS = DAY
"""Minimum time between two purchases that are not one occasion, milliseconds."""


def follow_event(piece: Piece, step: Step, event: Event, orders: int, bought_at: float) -> None:
    """Score a buyer after an event, and give the learner a new buyer, or a gap that has ended.

    Parameters
    ----------
    piece, step
        The piece, and the step of the event, whose facts are folded.
    event
        The event.
    orders, bought_at
        Before the event: the number of orders, and the time of the last purchase in milliseconds. The time may be 0
        for other events than purchases.
    """
    user, versions = step.user, piece.versions
    if not user.facts.orders or versions.level < BUYERS_LEVEL:
        return
    if event.type not in KINDS and user.rfm is not None and user.rfm.version == versions.population_number:
        return
    if orders and user.facts.orders > orders and event.at - bought_at >= MIN_GAP_MS:
        _give(piece, user, GapExample(at=event.at, gap=event.at - int(bought_at)))
    _follow(piece, step)


def follow_assessment(piece: Piece, step: Step) -> None:
    """Score a buyer at the daily assessment."""
    if step.user.facts.orders and piece.versions.level >= BUYERS_LEVEL:
        _follow(piece, step)


def fire(piece: Piece, step: Step, due: int) -> None:
    """Fire the timer of a buyer, which was due at this time."""
    user = step.user
    buyer = buyer_of(user.facts, user.numbers)
    if buyer is None:
        return
    if slot_before(user.key, piece.now) >= due:  # otherwise only the recency score falls
        _count(piece, user, buyer)
    _update(piece, step, buyer)


def _follow(piece: Piece, step: Step) -> None:
    """Score a step's user; if the user is a buyer without the timer, count the buyer first."""
    user = step.user
    buyer = buyer_of(user.facts, user.numbers)
    if buyer is None:
        return
    if not timers.is_set(user.customer, BUYER):
        _count(piece, user, buyer)
    _update(piece, step, buyer)


def _update(piece: Piece, step: Step, buyer: Buyer) -> None:
    """Record the scores of a buyer if they have changed, and set the timer for their next change."""
    user, population = step.user, piece.versions.population
    due = slot_after(user.key, piece.now)
    if population is not None:
        issued = IssuedRfm(*rfm_scores(buyer, population, piece.now), piece.versions.population_number)
        if issued != user.rfm:
            step.rfm, user.rfm = RfmChange(user.rfm, issued), issued
            piece.outputs.count("rfm_issued")
        due = min(due, next_change(buyer, population, piece.now))
    if not any(timer.name == BUYER and timer.due <= due for timer in user.ledger.timers):
        timers.set_timer(user.customer, BUYER, due)
        user.has_new_timers = True


def _count(piece: Piece, user: LiveUser, buyer: Buyer) -> None:
    """Give the learner a buyer at the newest slot, unless the next one is later on the same day."""
    day = slot_before(user.key, piece.now) // DAY
    if day == piece.now // DAY - PERIOD_DAYS:
        return
    spent = {currency: buyer.spent[currency] for currency in sorted(buyer.spent)}
    _give(
        piece,
        user,
        BuyerExample(day=day, at=piece.now, bought_at=max(buyer.bought_at, 0), orders=buyer.orders, spent=spent),
    )


def _give(piece: Piece, user: LiveUser, example: PopulationExample) -> None:
    piece.outputs.add_example(Output(TOPIC, user.key, encode_population_example(example)), NAME)
