"""``perennial journeys pause NAME`` and ``perennial journeys resume NAME``: hold runs for some time."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer

from models.counting import counted
from models.fold.moments import moment
from models.log import JourneyOrder
from stream.cli import in_flight
from stream.cli.output import Config, Json, print_error, print_json, print_line, short_time
from stream.cluster.topics import require_topics
from stream.installation.pausing import OrderResult, give_order
from stream.installation.recognition import opened

PausedName = Annotated[str, typer.Argument(help="Name of a journey.")]


def pause(
    name: PausedName,
    entries: Annotated[
        Literal["hold", "drop"],
        typer.Option(help="New entries: hold them at their beginning, or drop them with the reason paused."),
    ] = "hold",
    config: Config = None,
    json: Json = False,
) -> None:
    """Hold all runs of a journey when they could go on, until `perennial journeys resume`.

    The order goes through the log, and acts within a second in all partitions.
    Held runs keep their steps: none is skipped. Exits and the limit of time still
    end runs. Messages that wait for the end of quiet hours are held, too. What
    delivery already has is still sent.
    """
    result = _give(config, JourneyOrder(name, "pause", entries=entries))
    if json:
        print_json(_as_json(name, result, paused=True))
        return
    print_line(f"{name} is paused{_within(result)}; new entries: {entries}")
    print_line(f"perennial journeys resume {name} ends the pause")


def resume(
    name: PausedName,
    spread: Annotated[str, typer.Option(help="The time over which held runs are released.")] = "1h",
    config: Config = None,
    json: Json = False,
) -> None:
    """End the pause of a journey, and release the held runs spread over some time.

    Each held step is checked again: exits, consent, caps, quiet hours. A message
    whose time has passed by more than `expires_after` is dropped as expired.
    """
    result = _give(config, JourneyOrder(name, "resume", spread=in_flight.duration(spread)))
    if json:
        print_json(_as_json(name, result, paused=False))
        return
    print_line(f"{name} is no longer paused{_within(result)}")
    if result.states is not None:
        held = result.states.of(name).counts.held
        print_line(f"{counted(held, 'held run')} will be released over {spread}")


def _give(config: Config, order: JourneyOrder) -> OrderResult:
    settings = opened(config)
    require_topics(settings.connection(), settings.partitions)
    result = asyncio.run(give_order(settings, order))
    if result.states is None:
        print_error("note: no worker answers; the order is in the log, and acts as soon as workers run")
    elif result.seconds is None:
        now = short_time(moment(result.states.now))
        print_error(f"note: not all partitions have followed the order yet; the slowest is at {now} UTC")
    return result


def _within(result: OrderResult) -> str:
    return "" if result.seconds is None else f" in all partitions after {result.seconds:.2f} s"


def _as_json(name: str, result: OrderResult, *, paused: bool) -> dict[str, object]:
    held = None if result.states is None else result.states.of(name).counts.held
    return {"journey": name, "paused": paused, "seconds": result.seconds, "held": held}
