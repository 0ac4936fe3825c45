"""``perennial demo``: run a simulated shop through every process, and show the results."""

from __future__ import annotations

from typing import Annotated

import typer

from stream.cli.output import Json

SHOPPERS, DAYS = 1540, 86
"""Default number of shoppers and of days.

The days are more than six times the horizon of a churn label (14 days). The shop has more than 100,000 events with any
seed.
"""

LOGINS = 0.2
"""Default share of the shoppers with an account who begin as anonymous visitors."""


def demo(
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 1,
    shoppers: Annotated[int, typer.Option(min=50, max=20_000, help="Number of simulated people.")] = SHOPPERS,
    days: Annotated[int, typer.Option(min=60, max=730, help="Number of simulated days.")] = DAYS,
    logins: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of the people with an account who begin as visitors and log in later."
        ),
    ] = LOGINS,
    keep: Annotated[
        bool, typer.Option("--keep", help="After the summary, leave everything running until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """Run broker, workers, retrainer and a simulated shop, and show the results.

    The demo takes about a minute. Every figure is counted from the topics. All
    processes are stopped at the end, unless --keep leaves them running.
    """
    from stream.cli.demo_run import DemoOptions, run_demo  # this import takes seconds, and --help does not need it

    again = ["--seed", str(seed)]
    again += [] if shoppers == SHOPPERS else ["--shoppers", str(shoppers)]
    again += [] if days == DAYS else ["--days", str(days)]
    again += [] if logins == LOGINS else ["--logins", str(logins)]
    run_demo(DemoOptions(seed, shoppers, days, logins, keeps_running=keep, prints_json=json, again=again))
