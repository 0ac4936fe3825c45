"""Logs for measuring and comparing folds. Each is written to a file once, so every checkout reads the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from models.events import encode_event
from models.levels import NEWEST
from models.log import Tick, encode_control
from models.storefront.storefront import Storefront
from models.units import DAY, HOUR
from stream.feed.online_retail import read_online_retail
from stream.feed.recording import survey
from tests.benchmarks.load import START_MS
from tests.benchmarks.load_choice import Workload, load_of
from tests.benchmarks.log import log_of
from tests.support.paths import ONLINE_RETAIL

STAGES = "\nlifecycle:\n  defaults: purchases\n"
"""The section ``lifecycle`` of the log ``stages``."""
_Pairs = Iterator[tuple[bytes, bytes]]


def write_log(name: str, events: int, folder: Path) -> Path:
    """Write one of :data:`LOGS` with at most this number of events, unless its file exists, and return the file.

    The file is named after the level of its log, because a log of a lower level costs more to fold.
    """
    path = folder / f"{name}-{events}-level-{NEWEST}.msgpack"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        more = STAGES if name == "stages" else ""
        content = msgspec.msgpack.encode(list(log_of(LOGS[name](events), more=more)))
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.rename(path)
    return path


def _single(events: int) -> _Pairs:
    return iter(load_of(Workload.SINGLE, events, users=events))


def _visits(events: int) -> _Pairs:
    return iter(load_of(Workload.VISITS, events))


def _month(events: int) -> _Pairs:
    storefront = Storefront(seed=1, shoppers=300, days=30, start_ms=START_MS)
    several = 0
    for until in range(START_MS, START_MS + 30 * DAY + 1, HOUR):
        for event in storefront.advance(until):
            several += 1
            yield event.user.encode(), encode_event(event)
        yield encode_control(Tick(at=until))
        if several >= events:
            return


def _retail(events: int) -> _Pairs:
    now = 0
    for line in islice(read_online_retail(survey(ONLINE_RETAIL), received_at=START_MS), events):
        event = line.event
        if event is None:
            continue
        if event.at // HOUR * HOUR > now:
            now = event.at // HOUR * HOUR
            yield encode_control(Tick(at=now))
        yield event.user.encode(), encode_event(event)
    yield encode_control(Tick(at=now + 40 * DAY))


LOGS: dict[str, Callable[[int], _Pairs]] = {
    "single": _single,
    "visits": _visits,
    "stages": _visits,
    "month": _month,
    "retail": _retail,
}
"""The logs by name: single events, a shop's visits without and with a lifecycle, a simulated month, Online Retail."""
