"""A worker process from end to end, on both brokers."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

from stream.restore import restore
from tests.brokers import Cluster
from tests.stream.reading import read_until, write
from tests.stream.workers import running_worker

PARTITIONS = 4


def _events(count: int, first: int = 0) -> list[tuple[bytes, bytes]]:
    return [(b"u%d" % (number % 97), b"%d" % number) for number in range(first, first + count)]


async def _counts(cluster: Cluster) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    for partition in range(PARTITIONS):
        restored = await restore(cluster.connection, "profiles", partition)
        counts.update({user: int(count) for user, count in restored.records.items()})
    return counts


async def test_every_event_is_counted_and_copied_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    events = _events(5_000)
    with running_worker(cluster.connection, tmp_path / "worker.log"):
        await write(cluster.connection, "events", events)
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= len(events))

    assert Counter(record.value for record in copies) == Counter(value for _, value in events)


async def test_a_worker_that_is_asked_to_stop_ends_well_and_its_successor_goes_on_behind_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.create(events=PARTITIONS, copies=PARTITIONS, profiles=PARTITIONS)
    first, second = _events(1_000), _events(1_000, first=1_000)
    with running_worker(cluster.connection, tmp_path / "worker.log") as worker:
        await write(cluster.connection, "events", first)
        await read_until(cluster.connection, "copies", lambda found: len(found) >= 1_000)
        worker.send_signal(signal.SIGTERM)
        exit_code = worker.wait(10)
    with running_worker(cluster.connection, tmp_path / "worker.log"):
        await write(cluster.connection, "events", second)
        copies = await read_until(cluster.connection, "copies", lambda found: len(found) >= 2_000)

    assert exit_code == 0
    assert Counter(record.value for record in copies) == Counter(value for _, value in first + second)
    assert await _counts(cluster) == Counter(user for user, _ in first + second)
