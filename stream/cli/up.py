"""``perennial up``: everything on one machine until Ctrl-C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import Config, invoked, print_error, print_line

if TYPE_CHECKING:
    from pathlib import Path

    from stream.installation.findings import Finding
    from stream.installation.running import Installation
    from stream.settings.loading import Settings


def up(
    config: Config = None,
    broker_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Of the embedded broker; 0 takes a free one. 9092, or else a free one, by default."
        ),
    ] = None,
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Start although this finding of `perennial check` failed; repeatable."),
    ] = None,
) -> None:
    """Run broker, worker, retrainer and HTTP door together until Ctrl-C.

    Where kafka.servers is set, that Kafka is used instead of the embedded broker. Messages go to the outbox folder
    unless delivery.mode says otherwise. Commands in this folder find the installation by its record, whatever its ports
    are: a default port that is taken is replaced by a free one. One that was set is never changed.

    It refuses to start while `perennial check` finds something that failed. What is overridden with --force is not
    repaired: delivery still holds the messages that need it.
    """
    from stream.installation.check import require_ready
    from stream.installation.ports import Claims, choose
    from stream.installation.running import NotReady, StartOptions, await_folding, running
    from stream.processes.stop import stop_requested
    from stream.settings.installation_record import owned
    from stream.settings.loading import load

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
            on_broker_ready=lambda settings: owner.write(known_to_commands(settings), names),
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
"""Keys in ``Chosen.ports`` of the embedded broker's port; one of them is used."""


def known_to_commands(settings: Settings) -> dict[str, str | int | bool | None]:
    """Return what other commands have to know of a running installation, path to value."""
    from stream.installation.ports import METRICS

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
    """Refuse an embedded broker that somebody else runs: it ends with them, and its log is theirs."""
    from stream.installation.recognition import recognised
    from stream.settings.installation_record import RunsAlready

    if not settings.embedded and recognised(settings, patient=True).embedded:
        raise RunsAlready(
            f"{settings.servers} ({settings.given.source('kafka.servers')}) is the embedded broker of an installation "
            "that runs: leave kafka.servers out, and this one starts its own"
        )


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
    print_line(f"HTTP door http://{settings.sections.http.host}:{settings.sections.http.port}/v1/track")
    if settings.sections.metrics.worker is not None:
        print_line(f"health    http://{settings.sections.metrics.host}:{settings.sections.metrics.worker}/ready")
    print_line(f"outbox    {settings.outbox}")
    print_line(f"logs      {installation.logs}")
    if not installation.supervisor.over.wait(0):
        click = '{"type":"click","user":"u1","item":"sku1"}'
        print_line(f"ready; try: {invoked()} send '{click}' && {invoked()} user u1")


def _await_end(installation: Installation) -> None:
    from stream.processes.child import exit_reason

    broker = installation.broker
    while not installation.supervisor.over.wait(0.5):
        code = broker.poll() if broker else None
        if code is not None:
            print_error(f"the embedded broker ended ({exit_reason(code)}), and with it what it kept in memory")
            raise typer.Exit(1)
