"""Logs to fold in tests: seeded shoppers over weeks, with the clock, ticks and versions that a real log contains."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from models.batch import Batch, Outputs, Restored
from models.events import Event, OrderLine, encode_event
from models.fold.partition import MAX_TIMERS, PartitionFold
from models.log import Control, Tick, encode_control, opening
from models.units import DAY

START = 1_767_225_600_000
"""The time 2026-01-01T00:00:00Z, milliseconds since the epoch."""


class PartitionRecord(NamedTuple):
    """A record of a partition, as a Kafka client shows it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def written(
    contents: Iterable[Event | Control | tuple[bytes | None, bytes | None]], stamp: int = START
) -> list[PartitionRecord]:
    """Write contents as the records of a partition: with offsets from 0, and a timestamp that grows with the offset."""
    records = []
    key: bytes | None
    value: bytes | None
    for offset, content in enumerate(contents):
        if isinstance(content, Event):
            key, value = content.user.encode(), encode_event(content)
        elif isinstance(content, tuple):
            key, value = content
        else:
            key, value = encode_control(content)
        records.append(PartitionRecord(offset, stamp + offset, key, value))
    return records


def batches(records: Sequence[PartitionRecord], sizes: Iterator[int]) -> Iterator[Batch]:
    """Divide the records of a partition into batches of the given sizes."""
    begin = 0
    while begin < len(records):
        size = next(sizes)
        yield Batch("events", 0, records[begin : begin + size])
        begin += size


def fold_log(
    records: Sequence[PartitionRecord], sizes: Iterator[int], restart_every: int = 0, max_timers: int = MAX_TIMERS
) -> tuple[Restored, list[Outputs]]:
    """Fold a whole partition as a lane does; after every ``restart_every`` batches, begin a new fold (0: never)."""
    state = Restored()
    fold, given = PartitionFold(state), []
    for number, batch in enumerate(batches(records, sizes)):
        if restart_every and number % restart_every == 0:
            state = Restored(memo=state.memo, position=state.position, records=dict(state.records))
            fold = PartitionFold(state)
        for outputs in fold.slices(batch, max_timers):
            checkpoint = state.checkpoint(outputs.commit, batch.records[-1].offset + 1)
            state.apply(outputs.commit, checkpoint.position)
            given.append(outputs)
    return state, given


def shoppers(
    seed: int, users: int = 20, days: int = 40, extra: Sequence[tuple[float, Control]] = ()
) -> list[Event | Control]:
    """Make a log of random shoppers: a feeder's clock, hourly ticks, events, repeats, and ``extra`` on given days."""
    rng = random.Random(seed)
    moments: list[tuple[int, int, Event | Control]] = []
    order = 0

    def add(at: int, content: Event | Control) -> None:
        nonlocal order
        order += 1
        moments.append((at, order, content))

    for hour in range(days * 24):
        add(START + hour * 3_600_000, Tick(at=START + hour * 3_600_000))
    for day, control in extra:
        add(START + int(day * DAY), control)
    for user in range(users):
        name = f"u{user}" if user % 5 else f"anonymous:a{user}"
        at, rate = START + rng.randrange(DAY), rng.uniform(0.3, 3.0)
        if user % 5:
            traits = {"email": f"u{user}@example.org", "firstName": f"Ann{user}", "phone": f"+4915112345{user:03d}"}
            add(at, Event(id=f"{name}-id", user=name, type="identify", at=at, origin="simulate", traits=traits))
            add(at, Event(id=f"{name}-c", user=name, type="consent", at=at, origin="simulate", granted=bool(user % 3)))
        end = START + rng.randrange(days) * DAY
        number = 0
        while at < end:
            at += int(rng.expovariate(rate) * DAY) + 1
            number += 1
            add(at, _happening(rng, name, number, at))
            if rng.random() < 0.05:
                add(at + 1, _happening(random.Random(0), name, number, at))
    return [opening("feeder"), *(content for _, _, content in sorted(moments, key=lambda m: m[:2]))]


def _happening(rng: random.Random, user: str, number: int, at: int) -> Event:
    item, price = f"sku{rng.randrange(30)}", rng.randrange(1, 200) * 500_000
    kind: Any = rng.choice(
        [
            "page_view",
            "product_view",
            "product_view",
            "click",
            "cart_add",
            "purchase",
            "refund",
            "rating",
            "support_message",
        ]
    )
    common: dict[str, Any] = {"id": f"{user}-{number}", "user": user, "at": at, "origin": "simulate"}
    if kind == "purchase":
        return Event(
            **common, type="purchase", order=f"o{number}", amount=price, lines=(OrderLine(item, 1, price, "shoes"),)
        )
    if kind == "refund":
        return Event(**common, type="refund", amount=price)
    if kind == "rating":
        return Event(**common, type="rating", item=item, rating=float(rng.randrange(1, 6)))
    return Event(
        **common, type=kind, item=item if kind != "page_view" else None, category=f"c{rng.randrange(20)}", amount=price
    )
