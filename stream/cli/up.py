"""``perennial up``: run everything on one machine until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.output import Config, invoked, print_error, print_line
from stream.installation.check import require_ready
from stream.installation.findings import Finding
from stream.installation.ports import METRICS, Claims, choose
from stream.installation.recognition import recognised
from stream.installation.running import Installation, NotReady, StartOptions, await_folding, running
from stream.processes.child import exit_reason
from stream.processes.stop import stop_requested
from stream.settings.installation_record import RunsAlready, owned
from stream.settings.loading import Settings, load


def up(
    config: Config = None,
    broker_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the embedded broker; 0 takes a free one. By default 9092, or a free one."
        ),
    ] = None,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Start although this finding of `perennial check` failed; repeatable."),
    ] = None,
) -> None:
    """Run broker, worker, retrainer and HTTP door together until Ctrl-C.

    If kafka.servers is set, that Kafka is used instead of the embedded broker.
    Messages go to the outbox folder unless delivery.mode says otherwise.

    If a default port is taken, a free one is used. A port that you have set is
    never changed. Other commands in this folder find the ports by themselves.

    Nothing starts while `perennial check --offline` has a failed finding. --force
    overrides a finding, but does not repair it: delivery still holds the messages
    that the finding affects.
    """
    settings = load(config, record=False)
    _require_own_broker(settings)
    overridden = require_ready(settings, force or ())
    with owned(settings.folder) as owner, Claims() as claims:
        _log_overridden(overridden, settings.folder / "logs")
        chosen = choose(settings, claims, broker_port)
        for note in chosen.notes:
            print_line(note)
        names = [finding.name for finding in overridden]
        flags = {path: port for path, port in chosen.ports.items() if path not in BROKER}
        with running(
            load(config, flags, record=False),
            ("worker", "retrainer", "collector"),
            StartOptions(
                broker_port=next((port for path, port in chosen.ports.items() if path in BROKER), None),
                applies=not any(finding.what == "rules" for finding in overridden),
            ),
            on_broker_ready=lambda settings: owner.write(settings_for_commands(settings), names),
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


BROKER = ("--broker-port", "kafka.servers")
"""Keys of the embedded broker's port in ``ClaimedPorts.ports``; one of them is used."""


def settings_for_commands(settings: Settings) -> dict[str, str | int | bool | None]:
    """Return the settings of a running installation that other commands need: values by path."""
    ports: dict[str, int | None] = {f"metrics.{name}": getattr(settings.sections.metrics, name) for name in METRICS}
    return {
        "kafka.servers": settings.servers,
        "kafka.embedded": settings.embedded,
        "kafka.prefix": settings.sections.kafka.prefix,
        "kafka.partitions": settings.partitions,
        "http.host": settings.sections.http.host,
        "http.port": settings.sections.http.port,
        "worker.host": settings.sections.worker.host,
        "worker.port": settings.sections.worker.port,
        "metrics.host": settings.sections.metrics.host,
        **ports,
    }


def _require_own_broker(settings: Settings) -> None:
    """Refuse the embedded broker of another installation, because that broker ends with the other installation."""
    if not settings.embedded and recognised(settings, patient=True).embedded:
        raise RunsAlready(
            f"{settings.servers} ({settings.given.source('kafka.servers')}) is the embedded broker of an installation "
            "that runs: leave kafka.servers out, so that this one starts its own broker"
        )


def _log_overridden(overridden: Sequence[Finding], logs: Path) -> None:
    """Report overridden findings, on standard error and in ``up.log``."""
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
    kept = " (in memory: lost when this stops)" if broker else ""
    print_line(f"broker    {settings.connection().servers}{kept}")
    print_line(f"HTTP door http://{settings.sections.http.host}:{settings.sections.http.port}/v1/track")
    if settings.sections.metrics.worker is not None:
        print_line(f"health    http://{settings.sections.metrics.host}:{settings.sections.metrics.worker}/ready")
    print_line(f"outbox    {settings.outbox}")
    print_line(f"logs      {installation.logs}")
    if not installation.supervisor.over.wait(0):
        click = '{"type":"click","user":"u1","item":"sku1"}'
        print_line(f"ready; try: {invoked()} send '{click}' && {invoked()} user u1")


def _await_end(installation: Installation) -> None:
    broker = installation.broker
    while not installation.supervisor.over.wait(0.5):
        code = broker.poll() if broker else None
        if code is not None:
            print_error(f"the embedded broker ended ({exit_reason(code)}); its records, which were in memory, are lost")
            raise typer.Exit(1)
