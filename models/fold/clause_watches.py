"""Watches: each reads the part of a user that a kind of clause depends on, to find the event that changed it last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from models.conditions.clauses import Condition, SegmentClause, ValueClause
from models.conditions.program import segment_key
from models.fold.rfm import SCORES, buyer_of
from models.fold.user_values import FactValues
from models.profile import features, purposes
from models.profile.state import Customer

Watch: TypeAlias = Callable[[Customer, int], Any]
"""Return what a clause reads of a user at a time, milliseconds."""


def watch_of(clause: Condition) -> Watch | None:
    """Return what a clause reads; ``None`` for a bucket, and for a clause on events, which knows its deciding event.

    The value itself is read where it is a fact or a decision. Features and scores of buyers change by time alone, so
    what is read of them is a number that only events change.
    """
    match clause:
        case SegmentClause(name):
            return _membership(name)
        case ValueClause():
            return _of_value(clause)
    return None


def _membership(name: str) -> Watch:
    key = segment_key(name)

    def read(customer: Customer, now: int) -> Any:  # noqa: ARG001 - watches have one form
        ledger = customer.ledger
        if ledger.segment == name:
            return "learned", ledger.segment_since
        return None if ledger.memberships is None else ledger.memberships.since.get(key)

    return read


def _of_value(clause: ValueClause) -> Watch:
    match clause.subject:
        case "trait":
            return lambda customer, _: FactValues(customer.facts).value("trait", clause.name)
        case "consent":
            purpose, _, channel = clause.name.partition("@")
            return lambda customer, _: purposes.state_of(customer.facts.consent, purpose, channel)
        case "lifecycle":
            return lambda customer, _: None if customer.ledger.stage is None else customer.ledger.stage.name
        case "mark":
            return lambda customer, _: customer.ledger.marks.get(clause.name)
        case "feature":
            place = features.PLACES[clause.name]
            return lambda customer, now: _feature(customer, place, now)
        case "score":
            if clause.name in SCORES:
                return lambda customer, _: _of_buyer(customer, clause.name)
            return lambda customer, _: customer.ledger.risk


def _feature(customer: Customer, place: int, now: int) -> float | None:
    return features.row(customer.facts, now)[place] if customer.facts.sessions else None


def _of_buyer(customer: Customer, name: str) -> Any:
    """Return the number of a buyer that a score is computed from."""
    buyer = buyer_of(customer.facts)
    if buyer is None:
        return None
    match name:
        case "recency":
            return buyer.bought_at
        case "frequency":
            return buyer.orders
    return buyer.spent
