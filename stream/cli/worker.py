"""``perennial worker``: the three roles under one supervisor, or one of them alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stream.cli.output import Config

if TYPE_CHECKING:
    from stream.processes.programs import Program
    from stream.settings.loading import Settings

PORTS_APART = 10
"""Between the metrics of a fold and those of the next one of the same machine."""
SILENT_S = 15.0
"""So much longer than its own watchdog waits, a process may be silent: it shall say why it ends."""


def worker(
    role: Annotated[
        Literal["fold", "deliver", "learn"] | None,
        typer.Option(help="Run this one alone, without a supervisor; all three by default."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, max=16, help="So many folds; worker.processes, else 1, by default.")
    ] = None,
    deliver: Annotated[int, typer.Option(min=0, max=16, help="So many processes that deliver messages.")] = 1,
    learn: Annotated[int, typer.Option(min=0, max=16, help="So many processes that learn models.")] = 1,
    config: Config = None,
) -> None:
    """Run the workers until Ctrl-C: fold (router and profiles), deliver (messages), learn (models).

    Each is a process of its own that is started again when it dies or stands still; none outlives this one. Several
    folds share the partitions of the log. GET /ready and /health at metrics.worker tell about all of them.
    """
    from stream.installation.recognition import opened

    settings = opened(config, {"worker.processes": processes}, patient=True)
    if role is not None:
        import gc

        gc.disable()  # what a worker imports lives as long as it does: a tenth of the start looks for garbage in it
        from stream.worker.process import run

        gc.enable()
        run(role, settings)  # ends the process

    import logging

    from monitoring import metrics
    from stream.cluster.membership import remove_crashed_worker
    from stream.cluster.topics import await_topics
    from stream.processes.exits import why_ended
    from stream.processes.overview import Overview
    from stream.processes.supervisor import Supervisor, run_until_stopped

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    await_topics(settings.connection(), settings.partitions)
    programs = list(programs_of(settings, deliver=deliver, learn=learn))
    connection = settings.connection()
    supervisor = Supervisor(
        programs,
        on_end=lambda name, code: metrics.increment("process_ends", name, why_ended(code)),
        on_last_report=lambda report: remove_crashed_worker(connection, report),
    )
    if settings.sections.metrics.worker is None:
        run_until_stopped(supervisor)
        return
    with Overview(supervisor.statuses, settings.sections.metrics.host, settings.sections.metrics.worker) as overview:
        logging.getLogger(__name__).info(
            "health at http://%s:%d/health, and /ready", settings.sections.metrics.host, overview.port
        )
        run_until_stopped(supervisor)


def programs_of(settings: Settings, *, deliver: int, learn: int) -> Iterator[Program]:
    """What a supervisor runs: ``fold``, ``fold-2``, ``fold-3`` ..., ``deliver``, ``learn``, each with its own ports."""
    from stream.installation.commands import perennial
    from stream.processes.programs import Program

    for role, count in (("fold", settings.sections.worker.processes), ("deliver", deliver), ("learn", learn)):
        metrics_port: int | None = getattr(settings.sections.metrics, role)
        for index in range(count):
            env = settings.environment()
            if index and metrics_port:
                env[f"PERENNIAL_METRICS__{role.upper()}"] = str(metrics_port + PORTS_APART * index)
            if index and role == "fold" and settings.sections.worker.port:
                env["PERENNIAL_WORKER__PORT"] = str(settings.sections.worker.port + index)
            name = role if index == 0 else f"{role}-{index + 1}"
            silent_s = settings.stall_after_s + SILENT_S
            yield Program(name, perennial("worker", "--role", role), env=env, silent_s=silent_s)
