"""The supervisor of ``perennial worker``: its programs, their health and their metrics."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator

from monitoring import metrics
from stream.cluster.connection import Connection
from stream.cluster.membership import remove_dead_member
from stream.cluster.topics import await_topics
from stream.installation.commands import perennial
from stream.processes.exits import why_ended
from stream.processes.overview import Overview
from stream.processes.programs import Program
from stream.processes.supervisor import Supervisor, run_until_stopped
from stream.processes.worker_report import WorkerReport
from stream.settings.loading import Settings

logger = logging.getLogger(__name__)

PORTS_APART = 10
"""Distance between the metrics ports of two processes of the same role, on one machine."""
SILENT_S = 15.0
"""How long a process may send no report, in addition to the time limit of its watchdog, seconds.

The watchdog must end the process first, because it logs the reason.
"""


def supervise(settings: Settings, *, deliver: int, learn: int) -> None:
    """Run the three roles until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    connection, ports = settings.connection(), settings.sections.metrics
    await_topics(connection, settings.partitions)
    supervisor = Supervisor(
        list(programs_of(settings, deliver=deliver, learn=learn)),
        on_end=lambda name, code: metrics.increment("process_ends", name, why_ended(code)),
        on_last_report=functools.partial(_remove_from_group, connection),
    )
    if ports.worker is None:
        run_until_stopped(supervisor)
        return
    with Overview(supervisor.statuses, ports.host, ports.worker) as overview:
        logger.info("health at http://%s:%d/health, and /ready", ports.host, overview.port)
        run_until_stopped(supervisor)


def programs_of(settings: Settings, *, deliver: int, learn: int) -> Iterator[Program]:
    """Yield the programs of a supervisor, each with its own ports.

    Their names are ``fold``, ``fold-2``, ...; ``deliver``, ``deliver-2``, ...; ``learn``, ``learn-2``, ....
    """
    worker, silent_s = settings.sections.worker, settings.stall_after_s + SILENT_S
    for role, count in (("fold", worker.processes), ("deliver", deliver), ("learn", learn)):
        metrics_port: int | None = getattr(settings.sections.metrics, role)
        for index in range(count):
            env = settings.environment()
            if index and metrics_port:
                env[f"PERENNIAL_METRICS__{role.upper()}"] = str(metrics_port + PORTS_APART * index)
            if index and role == "fold" and worker.port:
                env["PERENNIAL_WORKER__PORT"] = str(worker.port + index)
            name = role if index == 0 else f"{role}-{index + 1}"
            yield Program(name, perennial("worker", "--role", role), env=env, silent_s=silent_s)


def _remove_from_group(connection: Connection, report: WorkerReport) -> None:
    """Remove a crashed worker from its group, so that other workers get its partitions before its session ends."""
    if report.member:
        remove_dead_member(connection, report.group, report.member)
