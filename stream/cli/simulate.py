"""``perennial simulate``: write events of a simulated shop into a log whose clock follows them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from models.storefront.storefront import Storefront
from models.units import DAY
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_json, print_line
from stream.cli.progress import progress_bar
from stream.cluster.topics import require_topics
from stream.feed.simulating import simulate as feed
from stream.installation.recognition import opened

START = "2026-01-05"
"""Default first day, a Monday. It is fixed, so that the seed alone determines a simulation."""


def simulate(
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.")] = 1,
    shoppers: Annotated[int, typer.Option(min=1, max=100_000, help="Number of people, some of them anonymous.")] = 1700,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Number of days.")] = 98,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")] = START,  # type: ignore[assignment]  # typer reads the text
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Multiple of real time; by default as fast as the events can be folded."),
    ] = None,
    logins: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the people with an account who begin as anonymous visitors and log in later.",
        ),
    ] = 0.0,
    truth: Annotated[
        Path | None, typer.Option(help="Write each shopper's true probabilities, which are in no event, to this file.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Simulate a shop, and write its events into an empty log, whose clock then follows the simulated time.

    The people of the shop browse, buy, complain, give and withdraw consent, react
    to messages, and at some time stop coming. The simulation is never more than
    one simulated day ahead of the slowest fold.

    The same seed gives the same events. Only reactions to messages that depend on
    a learned score may differ, because a model may be published at another time.

    No message of a simulation reaches a real provider. A log is refused if it has
    live events, or if another replay or simulation was written into it.
    """
    settings = opened(config)
    require_topics(settings.connection(), settings.partitions)
    begin = int(start.replace(tzinfo=UTC).timestamp() * 1000)
    storefront = Storefront(seed=seed, shoppers=shoppers, days=days, start_ms=begin, logins=logins)
    with progress_bar("simulate", days) as moved:
        done = run(
            feed(
                settings,
                storefront,
                speed=speed,
                on_progress=lambda events, at: moved((at - begin) // DAY, at, events),
            )
        )
    if truth is not None:
        truth.write_bytes(msgspec.json.encode(storefront.truth()))
    if json:
        print_json(done._asdict())
        return
    print_line(
        f"{done.shoppers:,} shoppers, {done.events:,} events, {done.logins:,} logins, {done.messages:,} messages read, "
        f"{done.reactions:,} reactions; {done.seconds:.1f} s, {done.events / done.seconds:,.0f} events/s"
    )
