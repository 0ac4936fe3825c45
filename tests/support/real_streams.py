"""Real data as events: Online Retail as it is replayed, or one event for each invoice; and the actions on trivago."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from models import wire
from models.events import Event
from models.source import Received, Source
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import survey

RECEIVED_AT = 1_767_571_200_000
"""Time of the replay, after all events; milliseconds."""


def retail_lines(path: Path) -> Iterator[Event]:
    """Yield an event for each line of an invoice, in the order of the file."""
    for line in read_online_retail(survey(path), RECEIVED_AT):
        assert line.event is not None, line
        yield line.event


def as_orders(events: Iterable[Event]) -> Iterator[Event]:
    """Yield an event for each invoice, at the time and at the place of its last line."""
    orders: dict[tuple[str, str | None, str], list[Event]] = {}
    for event in events:
        # An order that is added again moves to the end.
        key = (event.user, event.order, event.type)
        orders[key] = [*orders.pop(key, []), event]
    for parts in orders.values():
        lines = tuple(line for part in parts for line in part.lines)
        yield msgspec.structs.replace(parts[-1], lines=lines, amount=sum(part.amount for part in parts))


def trivago_actions(path: Path) -> Iterator[Event]:
    """Yield a custom event for each action, with the properties ``session`` and ``reference``."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as content:
        for number, row in enumerate(csv.DictReader(content), 2):
            short = {
                "type": "custom",
                "name": row["action_type"],
                "user": row["user_id"],
                "at": int(row["timestamp"]) * 1000,
                "properties": {"session": row["session_id"], "reference": row["reference"]},
            }
            yield wire.convert(short, Received(Source.line("trivago", number), RECEIVED_AT, "replay"))
