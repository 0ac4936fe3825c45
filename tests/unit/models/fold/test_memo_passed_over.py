"""The memo counts events that have no effect and give no dead letter."""

from __future__ import annotations

from itertools import repeat

import pytest

from models.batch import Restored
from models.events import Event
from models.fold.memo import Memo, encode_memo, read_memo
from models.log import Control, Tick, opening
from models.profile.codec import unpack
from models.units import DAY
from tests.support.event_logs import START, fold_log, written


def event(event_id: str, at: int = START, **more: object) -> Event:
    return Event(id=event_id, user="u", at=at, **{"type": "click", "item": "a", **more})  # type: ignore[arg-type]


def order(event_id: str, amount: int = 5_000_000) -> Event:
    whole = {"type": "purchase", "item": "", "order": "o1", "amount": amount, "currency": "EUR", "order_form": "whole"}
    return event(event_id, START + 1, **whole)


LATE = START + 9 * DAY
LOG: list[Event | Control] = [
    opening("feeder"),
    Tick(START),
    event("m1"),
    event("m1"),
    event("m2"),
    event("m1"),
    order("o-1"),
    order("o-2"),
    event("sent", type="message_sent", item="", message="x"),
    event("sent", type="message_sent", item="", message="x"),
    Tick(LATE),
    event("too-late"),
    event("withdrawn-late", type="consent", item="", channel="email", granted=False),
    event("withdrawn-late", type="consent", item="", channel="email", granted=False),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("restart_every", [0, 1])
def test_repeated_events_repeated_orders_and_bare_withdrawals_are_counted(size: int, restart_every: int) -> None:
    state, outputs = fold_log(written(LOG), repeat(size), restart_every)

    memo = read_memo(state)
    assert memo.passed_over == {"repeat": 3, "order": 1, "statement": 1}
    letters = [record for output in outputs for record in output.commit.records if record.topic == "events.rejected"]
    folded = sum(
        count for kind, count in unpack(state.records[b"u"]).facts.events.items() if not kind.startswith("message_")
    )
    events = [each for each in LOG if isinstance(each, Event) and not each.type.startswith("message_")]
    assert folded + len(letters) + sum(memo.passed_over.values()) == len(events)


def test_the_memo_of_the_previous_release_is_read_with_empty_counters() -> None:
    before = encode_memo(Memo(now=7, clock="wall", floor=3))
    old = before[:1] + bytes([before[1] - 1]) + before[2:-1]  # an array without its last field, an empty mapping

    assert read_memo(Restored(memo=old)) == Memo(now=7, clock="wall", floor=3)
