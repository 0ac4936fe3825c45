"""A user with very many events within few days, among ordinary users, and segments of all kinds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from models.batch import Batch
from models.conditions.clauses import SegmentRule
from models.conditions.parsing import parse_segments
from models.events import Event, EventType, OrderLine, encode_event
from models.log import Tick, encode_control, opening
from models.units import DAY, MINUTE
from tests.support.event_logs import START, PartitionRecord
from tests.support.segment_folds import segments_version

BOT = "bot"
SPAN_MS = 3 * DAY
"""Time within which all events happen, milliseconds."""
TICK_MS = MINUTE
"""Time between two ticks of the clock, milliseconds; records have the time of the tick before them."""
ITEMS = 5_000
ORDINARY = 200
"""Number of ordinary users."""
EACH = 20
"""Number of events of each ordinary user."""
_KINDS: tuple[EventType, ...] = (
    *("product_view", "product_view", "product_view", "click", "cart_add", "cart_remove"),
    *("purchase", "refund", "custom", "page_view", "rating", "identify"),
)
_WINDOWS: tuple[Any, ...] = ("1h", "1d", "30d", "ever", {"calendar": "day"}, {"calendar": "month"})
_MEASURES: tuple[dict[str, Any], ...] = (
    {"event": "product_view", "times": {"at_least": 1_000}},
    {"event": "click", "times": {"at_most": 3}},
    {"event": "purchase", "sum": "amount", "currency": "EUR", "at_least": 900},
    {"event": "purchase", "average": "amount", "currency": "EUR", "more_than": 40},
    {"event": "purchase", "largest": "amount", "currency": "EUR", "at_least": 98},
    {"event": "custom", "smallest": "size", "at_most": 3},
    {"event": "product_view", "distinct": "item", "at_least": 1_000},
    {"event": "purchase", "distinct": "line.item", "each": {"at_least": 3}, "at_least": 2},
)
_OTHERS: tuple[dict[str, Any], ...] = (
    {
        "sequence": [{"event": "product_view", "as": "seen"}, {"event": "cart_add"}, {"event": "purchase"}],
        "within": "1d",
    },
    {
        "sequence": [
            {"event": "product_view", "as": "seen"},
            {"event": "cart_add", "where": {"item": {"same_as": "seen.item"}}},
        ],
        "without": "refund",
        "within": "2d",
    },
    {"sequence": [{"event": "click"}, {"event": "rating", "at_most_after": "10m"}], "within": "6h"},
    {"absent": "purchase", "for": "1h"},
    {"event": "refund", "first": {"at_most": "2d"}},
    {"event": "refund", "last": {"at_least": "1m"}},
    {"trait": "plan", "is": "a"},
    {"feature": "activity_1d", "more_than": 5},
    {"segment": "kind_0", "for": "1h"},
)


class BotCost(NamedTuple):
    """Processor time of a part of the bot's events.

    Attributes
    ----------
    events
        Number of events folded.
    seconds
        Processor time, seconds.
    """

    events: int
    seconds: float

    @property
    def microseconds(self) -> float:
        """Processor time for one event, microseconds."""
        return self.seconds * 1e6 / max(self.events, 1)


def segments() -> tuple[SegmentRule, ...]:
    """Return segments of all kinds: each measure with each window, sequences, absences, and values."""
    conditions = [{**one, "within": window} for one, window in itertools.product(_MEASURES, _WINDOWS)]
    named = [{"name": f"kind_{number}", "when": when} for number, when in enumerate((*conditions, *_OTHERS))]
    return tuple(parse_segments(named))


def bot_log(events: int, seed: int, *, has_bot: bool = True) -> Iterator[PartitionRecord]:
    """Yield the records of the partition. Without the bot, all other records have the same offsets and times.

    Parameters
    ----------
    events
        Number of the bot's events.
    seed
        Seed of all events.
    has_bot
        Whether the records of the bot are there.
    """
    yield PartitionRecord(0, START, *encode_control(opening("wall")))
    yield PartitionRecord(1, START, *encode_control(segments_version(segments())))
    bot, others = random.Random(f"{seed}:bot"), random.Random(f"{seed}:others")
    moments = sorted((others.randrange(SPAN_MS), others.randrange(ORDINARY)) for _ in range(ORDINARY * EACH))
    offset, done, waiting = 2, 0, iter(moments)
    at, number = next(waiting, (SPAN_MS, 0))
    for tick in range(0, SPAN_MS, TICK_MS):
        now = START + tick
        yield PartitionRecord(offset, now, *encode_control(Tick(at=now)))
        offset += 1
        while at < tick + TICK_MS and at < SPAN_MS:
            yield _record(offset, now, _happening(others, f"u{number}", offset, now))
            offset += 1
            at, number = next(waiting, (SPAN_MS, 0))
        until = events * (tick + TICK_MS) // SPAN_MS
        for _ in range(done, until):
            if has_bot:
                yield _record(offset, now, _happening(bot, BOT, offset, now))
            offset += 1
        done = until


def in_batches(records: Iterator[PartitionRecord], size: int) -> Iterator[Batch]:
    """Divide records into batches of a size."""
    while taken := list(itertools.islice(records, size)):
        yield Batch("events", 0, taken)


def _record(offset: int, now: int, event: Event) -> PartitionRecord:
    return PartitionRecord(offset, now, event.user.encode(), encode_event(event))


def _happening(draw: random.Random, user: str, number: int, now: int) -> Event:
    """Return an event of a user; one in twenty is up to two hours late."""
    kind = draw.choice(_KINDS)
    item, price = f"sku-{draw.randrange(ITEMS)}", draw.randrange(1, 200) * 500_000
    more: dict[str, Any] = {"item": item, "category": f"c{draw.randrange(40)}", "amount": price, "currency": "EUR"}
    if kind == "purchase":
        line = OrderLine(item, 1, price, "c1")
        more = {"order": f"o{number}", "amount": price, "currency": "EUR", "lines": (line,)}
    elif kind == "refund":
        more = {"order": f"o{draw.randrange(number)}", "amount": price, "currency": "EUR"}
    elif kind == "custom":
        more = {"name": draw.choice(("Searched", "Compared")), "properties": {"size": draw.randrange(1_000)}}
    elif kind == "identify":
        more = {"traits": {"plan": draw.choice("abc"), f"t{draw.randrange(300)}": f"value {number}"}}
    elif kind == "rating":
        more = {"item": item, "rating": float(draw.randrange(1, 6))}
    late = draw.randrange(7_200_000) if draw.random() < 0.05 else 0
    return Event(id=f"{user}-{number}", user=user, type=kind, at=now - late, **more)
