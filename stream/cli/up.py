"""``perennial up``: everything on one machine until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import Config, invoked, print_error, print_line

if TYPE_CHECKING:
    from pathlib import Path

    from stream.findings import Finding
    from stream.installation import Installation


def up(
    config: Config = None,
    broker_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the embedded broker; 0 takes a free one.")
    ] = 9092,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Start although this finding of `perennial check` failed; repeatable."),
    ] = None,
) -> None:
    """Run broker, worker, retrainer and HTTP door together until Ctrl-C.

    Where kafka.servers is set, that Kafka is used instead of the embedded broker. Messages go to the outbox folder
    unless delivery.mode says otherwise. It refuses to start while `perennial check` finds something that failed. What
    is overridden with --force is not repaired: delivery still holds the messages that need it.
    """
    from stream.installation import NotReady, PortTaken, await_folding, is_taken, running
    from stream.readiness import require_ready
    from stream.settings import load
    from stream.stop import stop_requested

    settings = load(config)
    overridden = require_ready(settings, force or ())
    _log_overridden(overridden, settings.folder / "logs")
    if settings.http.port and is_taken(settings.http.host, settings.http.port):
        raise PortTaken(f"port {settings.http.port} is taken: stop what listens there, or choose another http.port")
    with running(
        settings,
        ("worker", "retrainer", "collector"),
        broker_port=broker_port or None,
        applies=not any(finding.what == "rules" for finding in overridden),
    ) as installation:
        supervisor = installation.supervisor
        with stop_requested(supervisor.over):
            await_folding(installation)
            _announce(installation)
            _await_end(installation)
        if supervisor.refused is not None:
            raise NotReady(installation.explain(f"{supervisor.refused} refused to start", supervisor.refused))
        print_line("stopping ...")
    print_line("stopped")


def _log_overridden(overridden: Sequence[Finding], logs: Path) -> None:
    """Say what was overridden, to the person and in ``up.log``."""
    from datetime import UTC, datetime

    if not overridden:
        return
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "up.log").open("a", encoding="utf-8") as file:
        for finding in overridden:
            says = f"--force {finding.name}: started although {finding.says}"
            print_error(says)
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} WARNING {says}\n")


def _announce(installation: Installation) -> None:
    settings, broker = installation.settings, installation.broker
    kept = " (in memory: gone when this stops)" if broker else ""
    print_line(f"broker    {settings.connection().servers}{kept}")
    print_line(f"HTTP door http://{settings.http.host}:{settings.http.port}/v1/track")
    print_line(f"outbox    {settings.outbox}")
    print_line(f"logs      {installation.logs}")
    if not installation.supervisor.over.wait(0):
        click = '{"type":"click","user":"u1","item":"sku1"}'
        print_line(f"ready; try: {invoked()} send '{click}' && {invoked()} user u1")


def _await_end(installation: Installation) -> None:
    from stream.child import exit_reason

    broker = installation.broker
    while not installation.supervisor.over.wait(0.5):
        code = broker.poll() if broker else None
        if code is not None:
            print_error(f"the embedded broker ended ({exit_reason(code)}), and with it what it kept in memory")
            raise typer.Exit(1)
