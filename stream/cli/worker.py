"""``perennial worker``: the three roles under one supervisor, or one of them alone."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from stream.cli.output import Config

ROLES = ("fold", "deliver", "learn")


def worker(
    role: Annotated[
        Literal["fold", "deliver", "learn"] | None,
        typer.Option(help="Run this one alone, without a supervisor; all three by default."),
    ] = None,
    config: Config = None,
) -> None:
    """Run the workers until Ctrl-C: fold (router and profiles), deliver (messages), learn (models).

    Each is a process of its own that is started again when it dies; none outlives this one.
    """
    from stream.settings import load

    settings = load(config)
    if role is not None:
        from stream.worker import run

        run(role, settings)  # ends the process

    import logging

    from stream.supervisor import Program, Supervisor, perennial, run_until_stopped
    from stream.topics import require_topics

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    require_topics(settings.connection(), settings.partitions)
    programs = [Program(name, perennial("worker", "--role", name), env=settings.environment()) for name in ROLES]
    run_until_stopped(Supervisor(programs))
