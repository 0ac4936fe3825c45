"""Purchases and refunds of one order, and the results of folding them."""

from __future__ import annotations

import itertools
from typing import Any

from models.batch import Outputs
from models.events import MICROS, Event
from models.log import Control, Tick, opening
from models.profile.codec import unpack
from models.profile.state import Facts
from models.rejected import decode_rejected
from tests.support.event_logs import START, fold_log, written

_ids = itertools.count()


def purchase(amount: int, form: Any = "whole", at: int = START, **more: Any) -> Event:
    """Make a purchase of the order ``o1``; the amount is in units of the currency."""
    said: dict[str, Any] = {"id": f"m{next(_ids)}", "user": "u", "at": at, "order": "o1", "order_form": form} | more
    return Event(type="purchase", amount=amount * MICROS, **said)


def refund(amount: int | None = None, at: int = START, **more: Any) -> Event:
    """Make a refund of the order ``o1``; without an amount, of the whole order."""
    said: dict[str, Any] = {"id": f"m{next(_ids)}", "user": "u", "at": at, "order": "o1"} | more
    if amount is None:
        return Event(type="refund", order_form="whole", **said)
    return Event(type="refund", amount=amount * MICROS, **said)


def fold(*events: Event, versions: tuple[Control, ...] = (), size: int = 3) -> tuple[Facts, list[Outputs]]:
    """Fold events on a feeder's clock, each at its own time, and return the user's facts and the outputs."""
    log: list[Event | Control] = [opening("feeder"), *versions]
    for event in events:
        log += [Tick(at=event.at), event]
    state, outputs = fold_log(written(log), itertools.repeat(size))
    return unpack(state.records[b"u"]).facts, outputs


def money(facts: Facts) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the number of orders, and the units spent and refunded by currency."""
    units = [{name: micros // MICROS for name, micros in sums.items()} for sums in (facts.spent, facts.refunded)]
    return facts.orders, units[0], units[1]


def counted(outputs: list[Outputs], *name: str) -> float:
    """Return the sum of a counter."""
    return sum(output.counts.get(name, 0.0) for output in outputs)


def letters(outputs: list[Outputs]) -> list[Any]:
    """Return the dead letters."""
    return [decode_rejected(value) for value in written_to("events.rejected", outputs)]


def written_to(topic: str, outputs: list[Outputs]) -> list[bytes | None]:
    """Return the values of the records for a topic."""
    return [one.value for output in outputs for one in output.commit.records if one.topic == topic]
