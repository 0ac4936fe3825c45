"""Resident memory of a worker with a number of profiles after a month of full use, and the parts of a profile."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from models.events import Event, encode_event
from models.log import Tick, encode_control
from models.profile.codec import unpack
from models.units import MINUTE
from stream.cluster.connection import Connection
from tests.benchmarks import worker
from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.feeding import feed
from tests.benchmarks.guard import PATIENCE_S, await_open
from tests.benchmarks.profiles import Month, fold_a_month, populate, user_of
from tests.benchmarks.report import BenchReport
from tests.benchmarks.worker import WorkerProcess

FOLDED = 20_000
"""Number of events that are folded before the memory is measured again."""
WIDEST = 8
"""Number of fields that are reported."""


def measure(kind: Kind, *, sizes: Sequence[int], partitions: int, seed: int, output: Path | None) -> None:
    """Start a worker on each number of profiles, and report."""
    report = BenchReport("memory", output, partitions=partitions, seed=seed)
    report.say("a month of the simulated shop is folded")
    month = fold_a_month(seed=seed)
    packed = sum(map(len, month.states)) / len(month.states)
    found: list[dict[str, Any]] = []
    with a_broker(kind) as broker:
        for users in sizes:
            connection = broker.connection()
            report.say(f"{users:,} profiles are written")
            populate(connection, partitions, users, month)
            found.append(_worker(connection, partitions, users, month))
            report.say(str(found[-1]))
    report.table(
        f"A worker's memory; {broker.name}; profiles of {packed:,.0f} bytes packed",
        ("users", "restored, MiB", "after folding, MiB", "seconds to be open"),
        [
            (
                f"{one['users']:,}",
                f"{one['restored'] / 2**20:,.0f}",
                f"{one['folded'] / 2**20:,.0f}",
                f"{one['open_s']:.1f}",
            )
            for one in found
        ],
    )
    parts = widths(month)
    shown = [(name, f"{size:,.0f}") for name, size in parts[:WIDEST]]
    report.table("Parts of a profile before compression", ("", "bytes"), shown)
    forms = by_form(month)
    report.table(
        "Stored forms of profiles",
        ("", "share", "bytes"),
        [(name, f"{share:.0%}", f"{size:,.0f}") for name, (share, size) in forms.items()],
    )
    if len(found) > 1:
        fixed, each = line([(one["users"], one["folded"]) for one in found])
        report.put(formula={"fixed_bytes": fixed, "bytes_per_user": each})
        report.say(f"bytes = {fixed / 2**20:,.0f} MiB + {each:,.0f} x users")
    report.put(
        broker=broker.name, sizes=found, packed_bytes=packed, parts=dict(parts), forms=forms, events=month.events
    )
    report.write()


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return offset and slope of the line through the first and the last point.

    Examples
    --------
    >>> line([(1.0, 12.0), (2.0, 99.0), (3.0, 16.0)])
    (10.0, 2.0)
    """
    (x, y), (to_x, to_y) = points[0], points[-1]
    slope = (to_y - y) / (to_x - x)
    return y - slope * x, slope


def by_form(month: Month) -> dict[str, tuple[float, float]]:
    """Return share and mean bytes of compressed profiles, whose users are dormant, and of the others."""
    sizes: dict[str, list[int]] = {"dormant": [], "active": []}
    for packed in month.states:
        sizes["dormant" if unpack(packed).is_dormant else "active"].append(len(packed))
    count = len(month.states)
    return {name: (len(some) / count, sum(some) / len(some)) for name, some in sizes.items() if some}


def widths(month: Month) -> list[tuple[str, float]]:
    """Return the mean bytes of each field of a profile as msgpack, and of Python's overhead, largest first."""
    sizes: dict[str, int] = {}
    for packed in month.states:
        customer = unpack(packed)
        for name, part in (("facts", customer.facts), ("ledger", customer.ledger)):
            for field in part.__struct_fields__:
                size = len(msgspec.msgpack.encode(getattr(part, field)))
                sizes[f"{name}.{field}"] = sizes.get(f"{name}.{field}", 0) + size
    count = len(month.states)
    parts = [(name, size / count) for name, size in sizes.items()]
    parts.append(("two bytes objects", float(2 * sys.getsizeof(b"") + len(user_of(0)))))
    return sorted(parts, key=lambda part: -part[1])


def _worker(connection: Connection, partitions: int, users: int, month: Month) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name:
        began = time.perf_counter()
        with worker.running(("fold",), connection, partitions, Path(name)) as (fold,):
            await_open(fold, partitions)
            opened = time.perf_counter() - began
            restored = fold.resident
            asyncio.run(feed(connection, connection.topic("events"), partitions, going_on(users, month)))
            await_folded(fold, FOLDED)
            return {"users": users, "restored": restored, "folded": fold.resident, "open_s": opened}


def going_on(users: int, month: Month) -> list[tuple[bytes, bytes]]:
    """Return the events of the minute after the end of the month."""
    log = [encode_control(Tick(at=month.end + MINUTE))]
    for number in range(FOLDED):
        key = user_of(number * 7919 % users)
        event = Event(
            id=f"on-{number}",
            user=key.decode(),
            type="product_view",
            at=month.end + MINUTE,
            origin="simulate",
            item=f"sku-{number % 20_000:05d}",
        )
        log.append((key, encode_event(event)))
    return log


def await_folded(fold: WorkerProcess, events: int) -> None:
    """Wait until this number of events is committed."""
    deadline = time.monotonic() + PATIENCE_S
    while fold.sample().folded < events:
        fold.check("folding")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not folded within {PATIENCE_S} s")
        time.sleep(0.1)
