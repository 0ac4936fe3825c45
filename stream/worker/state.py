"""State of a worker, as its supervisor, its lookups and its watchdog ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from models.events import Channel
from stream.delivery.dispatcher import Dispatcher
from stream.engine.reports import LaneReport
from stream.processes.worker_report import WorkerHealth, WorkerReport
from stream.transport.app import LaneApp
from stream.worker.health import WaitingTimes, as_health, worker_health
from stream.worker.watchdog import Membership, Sample


class WorkerState:
    """State of a worker: its lanes, its group, its providers, and the ports at which it answers.

    Parameters
    ----------
    app
        The worker.
    dispatchers
        Callers of providers, by channel.
    metrics_port
        Port of its metrics; ``None`` if there is none.

    Attributes
    ----------
    lookups_port
        Port of its lookups; ``None`` if there is none, or before they are served.
    waiting
        How long records have waited for its lanes.
    """

    def __init__(
        self,
        app: LaneApp,
        dispatchers: Mapping[Channel, Dispatcher] = MappingProxyType({}),
        metrics_port: int | None = None,
    ) -> None:
        self._app = app
        self._dispatchers = dispatchers
        self._metrics_port = metrics_port
        self.lookups_port: int | None = None
        self.waiting = WaitingTimes()

    def __repr__(self) -> str:
        return f"<WorkerState of {self._app.conf.id}>"

    def standing(self) -> dict[str, Any]:
        """Return whether the worker is ready and healthy, and why; see :class:`WorkerHealth`."""
        standing: dict[str, Any] = msgspec.to_builtins(self._health(self._app.lanes.snapshot(), {}))
        return standing

    def sample(self) -> Sample:
        """Return everything that the watchdog and the supervisor need; end the process if its group has refused it."""
        lanes = self._app.lanes
        lanes.check_group()
        reports = lanes.snapshot()
        self.waiting.update(reports)
        membership = Membership(self._app.conf.id, lanes.member, lanes.has_assignment)
        providers: dict[str, dict[str, Any]] = {name: one.describe() for name, one in self._dispatchers.items()}
        held = {name: words for provider in providers.values() for name, words in provider["held"].items()}
        report = WorkerReport(
            **msgspec.structs.asdict(self._health(reports, held)),
            group=membership.group,
            member=membership.member,
            metrics=self._metrics_port,
            lookups=self.lookups_port,
            providers=providers or UNSET,
        )
        return Sample(reports, report, membership)

    def _health(self, reports: Sequence[LaneReport], held: Mapping[str, str]) -> WorkerHealth:
        lanes = [as_health(lane, self.waiting.seconds(lane)) for lane in reports]
        return worker_health(lanes, assigned=self._app.lanes.has_assignment, held=held)
