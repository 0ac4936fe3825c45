"""``perennial worker``: the three roles under one supervisor, or one of them alone."""

from __future__ import annotations

import gc
from typing import Annotated, Literal

import typer

from stream.cli.output import Config
from stream.installation.recognition import opened


def worker(
    role: Annotated[
        Literal["fold", "deliver", "learn"] | None,
        typer.Option(help="Run only this role, without a supervisor; by default all three roles."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, max=16, help="Number of processes that fold; by default worker.processes.")
    ] = None,
    deliver: Annotated[int, typer.Option(min=0, max=16, help="Number of processes that deliver messages.")] = 1,
    learn: Annotated[int, typer.Option(min=0, max=16, help="Number of processes that learn models.")] = 1,
    config: Config = None,
) -> None:
    """Run the workers until Ctrl-C: fold (events become users' states), deliver (messages), learn (models).

    Each role runs in a separate process. If a process ends or makes no progress,
    it is started again. All of them end with this process. Several processes that
    fold share the partitions of the log. GET /ready and /health at the port
    metrics.worker report on all processes.
    """
    settings = opened(config, {"worker.processes": processes}, patient=True)
    # Imported modules are never freed, so garbage collections would only slow the start down, by about a tenth.
    gc.disable()
    if role is not None:
        from stream.worker.process import run  # takes a second, and a supervisor does not need it

        gc.enable()
        run(role, settings)  # ends the process
    from stream.cli.supervising import supervise  # a single role, which must restart quickly, does not need it

    gc.enable()
    supervise(settings, deliver=deliver, learn=learn)
