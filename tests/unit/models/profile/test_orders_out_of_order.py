"""Purchases and refunds give the same facts in whichever sequence they arrive, within the bound."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from models.events import MICROS, Event, OrderLine
from models.log import Tick, opening
from models.profile.features import row
from models.profile.reducers import Cutoffs
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import configuration_version
from tests.support.event_logs import START, fold_log, written
from tests.support.facts import assert_same, facts_after, facts_of
from tests.support.order_logs import purchase, refund


class OrderStatement(NamedTuple):
    """A statement about one of two orders.

    Attributes
    ----------
    minutes
        Minutes since the previous statement.
    delay
        Minutes from its time to its arrival.
    order
        Number of the order.
    kind
        ``whole``, ``lines``, ``replacement``, ``refund``, or ``all`` for a refund of the whole order.
    amount
        Amount in units of the currency.
    """

    minutes: int
    delay: int
    order: int
    kind: str
    amount: int


statements = st.lists(
    st.builds(
        OrderStatement,
        st.integers(1, 40),
        st.integers(0, 60),
        st.integers(0, 1),
        st.sampled_from(["whole", "lines", "replacement", "refund", "all"]),
        st.integers(0, 9),
    ),
    min_size=2,
    max_size=14,
)


def events_of(said: list[OrderStatement]) -> list[tuple[Event, int]]:
    """Return the events by time, each with its time of arrival. Each order has at most one ``whole``."""
    events, at, complete = [], START, set[int]()
    for number, one in enumerate(said):
        at += one.minutes * MINUTE
        common: dict[str, Any] = {"order": f"o{one.order}", "id": f"m{number}"}
        if one.kind == "refund":
            event = refund(one.amount, at, **common)
        elif one.kind == "all":
            event = refund(None, at, **common)
        else:
            form = "lines" if one.kind == "whole" and one.order in complete else one.kind
            complete |= {one.order} if form == "whole" else set()
            lines = (OrderLine(f"i{number % 3}", 1, MICROS, f"c{number % 3}"),)
            event = purchase(one.amount, form, at, lines=lines, currency="USD" if one.amount % 2 else "", **common)
        events.append((event, at + one.delay * MINUTE))
    return events


@settings(max_examples=400, deadline=None)
@given(statements)
def test_events_of_orders_that_arrive_in_any_order_within_the_bound_give_the_same_facts(
    said: list[OrderStatement],
) -> None:
    events = events_of(said)
    end = events[-1][0].at + 2 * HOUR

    in_order = facts_after([(event, event.at) for event, _ in events], end)
    shuffled = facts_after(sorted(events, key=lambda pair: pair[1]), end)

    assert_same(shuffled, in_order)


@settings(max_examples=200, deadline=None)
@given(statements)
def test_refunds_stay_within_known_orders_and_sums_equal_those_of_the_orders(
    said: list[OrderStatement],
) -> None:
    facts = facts_of(
        *(event for event, _ in sorted(events_of(said), key=lambda pair: pair[1])),
        cutoffs=Cutoffs(late_before=START - DAY),
    )

    stated = [order for order in facts.known_orders.values() if order.known & 7]
    assert facts.orders == len(stated)
    assert facts.spent.get("USD", 0) == sum(order.amount for order in stated)
    unknown = sum(order.claimed for order in facts.known_orders.values() if not order.known & 7)
    assert 0 <= facts.refunded.get("USD", 0) - unknown <= facts.spent.get("USD", 0)
    assert all(value == value for value in row(facts, START + DAY)), "no feature is undefined"


@settings(max_examples=50, deadline=None)
@given(statements, st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_events_of_orders_cut_into_any_batches_give_the_same_bytes(
    said: list[OrderStatement], sizes: list[int]
) -> None:
    events = [event for event, _ in sorted(events_of(said), key=lambda pair: pair[1])]
    log = written([opening("feeder"), configuration_version(1), Tick(at=START + DAY), *events])

    state, _ = fold_log(log, itertools.repeat(1))
    other, _ = fold_log(log, itertools.cycle(sizes), restart_every=2)

    assert (other.records, other.memo) == (state.records, state.memo)
