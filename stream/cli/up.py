"""``perennial up``: everything on one machine until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.output import Config, invoked, print_error, print_line


def up(
    config: Config = None,
    broker_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the embedded broker; 0 takes a free one.")
    ] = 9092,
) -> None:
    """Run broker, worker, retrainer and HTTP door together until Ctrl-C.

    Where kafka.servers is set, that Kafka is used instead of the embedded broker. Messages go to the outbox folder
    unless delivery.mode says otherwise.
    """
    from stream.child import exit_reason
    from stream.installation import NotReady, PortTaken, await_folding, is_taken, running
    from stream.settings import load
    from stream.stop import stop_requested

    settings = load(config)
    if settings.http.port and is_taken(settings.http.host, settings.http.port):
        raise PortTaken(f"port {settings.http.port} is taken: stop what listens there, or choose another http.port")
    with running(settings, ("worker", "retrainer", "collector"), broker_port=broker_port or None) as installation:
        settings, supervisor, broker = installation.settings, installation.supervisor, installation.broker
        with stop_requested(supervisor.over):
            await_folding(installation)
            kept = "in memory: gone when this stops" if broker else settings.connection().servers
            print_line(f"broker    {settings.connection().servers}" + (f" ({kept})" if broker else ""))
            print_line(f"HTTP door http://{settings.http.host}:{settings.http.port}/v1/track")
            print_line(f"outbox    {settings.outbox}")
            print_line(f"logs      {installation.logs}")
            if not supervisor.over.wait(0):
                click = '{"type":"click","user":"u1","item":"sku1"}'
                print_line(f"ready; try: {invoked()} send '{click}' && {invoked()} user u1")
            while not supervisor.over.wait(0.5):
                code = broker.poll() if broker else None
                if code is not None:
                    print_error(f"the embedded broker ended ({exit_reason(code)}), and with it what it kept in memory")
                    raise typer.Exit(1)
        if supervisor.refused is not None:
            raise NotReady(installation.explain(f"{supervisor.refused} refused to start", supervisor.refused))
        print_line("stopping ...")
    print_line("stopped")
