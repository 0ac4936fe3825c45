"""Number of cores, brokers and partitions that a number of users needs, computed from the figures of other benchmarks.

:func:`needs` is the formula, :class:`Assumptions` holds every assumption, and :class:`Costs` every measured cost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import PerennialError

FIGURES = Path(__file__).parent / "figures"
DAY_S = 86_400
GIB = 2**30


class NotMeasured(PerennialError):
    """Figures of a benchmark are missing. Run the benchmark, or name the folder with its JSON."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumptions that depend on the installation and cannot be measured here.

    Attributes
    ----------
    events_per_user_day
        Mean number over all known users, including inactive ones.
    peak
        Events in the busiest second, as a multiple of the mean.
    busy
        Share of a core that may be used at the peak. The remaining share is for restarts, rebalances and growth.
    replicas
        Number of copies of each partition.
    worker_gib
        Memory that one fold may take.
    broker_cores, broker_tib
        Cores and disk of one broker.
    bytes_per_event
        Mean disk space for each event and copy, over a year. The event itself takes 330 bytes. The fold's outputs take
        270 bytes more, but only for a few weeks.
    kept_days
        Number of days for which events are kept; replays and new features read them.
    """

    events_per_user_day: float = 3.0
    peak: float = 5.0
    busy: float = 0.6
    replicas: int = 3
    worker_gib: float = 8.0
    broker_cores: int = 8
    broker_tib: float = 8.0
    bytes_per_event: float = 400.0
    kept_days: int = 365


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs.

    Attributes
    ----------
    fold_us, learn_us, broker_us
        CPU time per event: of folds, of learners, of an unreplicated broker.
    fixed_bytes, user_bytes
        Memory of a fold: without users, and for each user.
    restart_s, restart_s_per_user
        Time from ``kill -9`` to the next event in every partition: without users, and for each user of the worker.
    """

    fold_us: float
    learn_us: float
    broker_us: float
    fixed_bytes: float
    user_bytes: float
    restart_s: float
    restart_s_per_user: float

    @classmethod
    def read(cls, folder: Path = FIGURES) -> Costs:
        """Read the costs from the JSON of the benchmarks ``pipeline``, ``memory`` and ``restart``.

        Raises
        ------
        NotMeasured
            One of these benchmarks is missing, or was run at one size only.
        """
        pipeline, memory, restart = (_figures(folder, name) for name in ("pipeline", "memory", "restart"))
        try:
            ours = pipeline["perennial"]
            return cls(
                fold_us=ours["cpu_us"]["median"],
                learn_us=ours["learners_cpu_us"]["median"],
                broker_us=ours["broker_cpu_us"]["median"],
                fixed_bytes=memory["formula"]["fixed_bytes"],
                user_bytes=memory["formula"]["bytes_per_user"],
                restart_s=restart["formula"]["fixed_s"],
                restart_s_per_user=max(0.0, restart["formula"]["seconds_per_million_users"] / 1e6),
            )
        except KeyError as error:
            needed = "run the benchmarks memory and restart with at least two numbers of users"
            raise NotMeasured(f"{error} is missing in {folder}; {needed}") from error


@dataclass(frozen=True, slots=True)
class Needs:
    """Resources that a number of users needs.

    Attributes
    ----------
    users
        Number of known users.
    events_per_second
        Rate at the peak.
    fold_cores, learner_cores, broker_cores
        Number of cores, each busy to the allowed share at the peak.
    folds
        Number of processes: at least one per fold core, and more if the users need more memory.
    fold_gib
        Memory of each fold.
    partitions
        Number of partitions of the log. This number cannot change later.
    brokers
        Number of machines, for CPU, disk and replicas.
    disk_tib
        Disk space of all brokers, including replicas.
    restart_s
        Restart time of a fold that was killed.
    """

    users: int
    events_per_second: float
    fold_cores: float
    learner_cores: float
    broker_cores: float
    folds: int
    fold_gib: float
    partitions: int
    brokers: int
    disk_tib: float
    restart_s: float


def needs(users: int, costs: Costs, assumed: Assumptions) -> Needs:
    """Compute the resources for a number of users.

    Examples
    --------
    >>> costs = Costs(100.0, 10.0, 20.0, 2.0**28, 2048.0, 11.0, 1e-6)
    >>> found = needs(1_000_000, costs, Assumptions())
    >>> round(found.events_per_second), found.folds, found.partitions, found.brokers
    (174, 1, 12, 3)
    """
    mean = users * assumed.events_per_user_day / DAY_S
    rate = mean * assumed.peak
    fold_cores, learner_cores, broker_cores = (
        rate * cost * 1e-6 / assumed.busy
        for cost in (costs.fold_us, costs.learn_us, costs.broker_us * assumed.replicas)
    )
    room = assumed.worker_gib * GIB - costs.fixed_bytes
    folds = max(1, math.ceil(fold_cores), math.ceil(users * costs.user_bytes / room))
    each = users / folds
    disk = mean * DAY_S * assumed.kept_days * assumed.bytes_per_event * assumed.replicas / 2**40
    brokers = max(
        assumed.replicas, math.ceil(broker_cores / assumed.broker_cores), math.ceil(disk / assumed.broker_tib)
    )
    return Needs(
        users=users,
        events_per_second=rate,
        fold_cores=fold_cores,
        learner_cores=learner_cores,
        broker_cores=broker_cores,
        folds=folds,
        fold_gib=(costs.fixed_bytes + each * costs.user_bytes) / GIB,
        # Four for each fold, so that four other workers can share the partitions of a dead one.
        partitions=max(12, 4 * folds),
        brokers=brokers,
        disk_tib=disk,
        restart_s=costs.restart_s + each * costs.restart_s_per_user,
    )


HEADINGS = ("users", "events/s at the peak", "fold cores", "folds", "GiB each", "learner cores", "partitions",
            "broker cores", "brokers", "disk, TiB", "restart, s")  # fmt: skip


def rows(found: Sequence[Needs]) -> list[tuple[str, ...]]:
    """Format each result as a row of the table."""
    return [
        (
            f"{one.users:,}",
            f"{one.events_per_second:,.0f}",
            f"{one.fold_cores:,.2f}",
            f"{one.folds:,}",
            f"{one.fold_gib:.1f}",
            f"{one.learner_cores:,.2f}",
            f"{one.partitions:,}",
            f"{one.broker_cores:,.2f}",
            f"{one.brokers:,}",
            f"{one.disk_tib:,.2f}",
            f"{one.restart_s:.0f}",
        )
        for one in found
    ]


def markdown(found: Sequence[Needs]) -> str:
    """Format the table in the form of ``docs/capacity.md``.

    Examples
    --------
    >>> markdown([]).splitlines()[1][:10]
    '|--:|--:|-'
    """
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "--:|" * len(HEADINGS)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows(found))])


def costs_markdown(costs: Costs) -> str:
    """Format the measured costs in the form of ``docs/capacity.md``."""
    lines = [
        "| cost | measured | by |",
        "|---|--:|---|",
        f"| CPU time of a fold per event, with its timers | {costs.fold_us:.1f} us | `perennial bench pipeline` |",
        f"| CPU time of the learners per event | {costs.learn_us:.1f} us | the same |",
        f"| CPU time of the broker per event, one copy | {costs.broker_us:.1f} us | the same |",
        f"| memory of a fold without users | {costs.fixed_bytes / 2**20:,.0f} MiB | `perennial bench memory` |",
        f"| additional memory of a fold per user | {costs.user_bytes:,.0f} bytes | the same |",
        f"| `kill -9` to the next event, without users | {costs.restart_s:.1f} s | `perennial bench restart` |",
        f"| additional time per million users of the fold | {costs.restart_s_per_user * 1e6:.1f} s | the same |",
    ]
    return "\n".join(lines)


def _figures(folder: Path, name: str) -> dict[str, Any]:
    file = folder / f"{name}.json"
    if not file.exists():
        raise NotMeasured(f"{file} is missing: perennial bench {name} --output {file}")
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures
