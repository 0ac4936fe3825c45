"""``perennial report journeys`` and ``perennial report campaigns``: the lift, then messages with their credits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from models.fold.engagement_report import MessagePrice, campaign_report, journey_report
from models.fold.moments import moment
from stream.cli.output import Config, Json, print_json, print_line, print_table, short_time
from stream.cli.report_page import amounts, report_page
from stream.installation.in_flight import journey_lookups
from stream.installation.recognition import opened
from stream.lookup.campaigns import CampaignLookups
from stream.lookup.identity import identity_of
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_urls

Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write one page with charts to this file.")]


def journeys(
    name: Annotated[str | None, typer.Argument(help="Name of a journey; by default all.")] = None,
    html: Html = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Report about journeys: the lift over the control group, then each message with its credits and its cost.

    A conversion gives one credit, to the newest message within the goal's time.
    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    settings = opened(config)
    found = asyncio.run(journey_lookups(settings).states())
    chosen = found.journeys if name is None else [found.of(name)]
    reports = [journey_report(one, prices_of(settings)) for one in chosen]
    if not reports:
        print_line("the configuration has no journeys; add the section `journeys` (docs/journeys.md)")
    _show({"as_of": moment(found.now), "journeys": reports}, html, json=json)


def campaigns(
    name: Annotated[str | None, typer.Argument(help="Name of a campaign; by default all that were started.")] = None,
    html: Html = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Report about campaigns: the lift of each start, then the messages with their credits and their cost.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    settings = opened(config)
    addresses, own = worker_urls(settings.sections.worker), identity_of(settings.connection())
    found = asyncio.run(CampaignLookups(addresses, settings.partitions, own).states())
    names = list(dict.fromkeys(one.campaign for one in found.starts)) if name is None else [found.newest(name).campaign]
    reports = []
    for one in names:
        starts = [start for start in found.starts if start.campaign == one]
        messages = {place.partition("@")[2]: of for place, of in found.messages.items() if place.startswith(f"{one}@")}
        reports.append(campaign_report(one, starts, messages, prices_of(settings)))
    if not reports:
        print_line("no campaign was started; `perennial campaigns start NAME` starts one (docs/campaigns.md)")
    _show({"as_of": moment(found.now), "campaigns": reports}, html, json=json)


def prices_of(settings: Settings) -> dict[str, MessagePrice]:
    """Return the cost of a message by channel, as the settings state it."""
    stated = settings.sections.delivery.costs
    return {channel: MessagePrice(one.amount, one.currency) for channel, one in stated.items()}


def _show(report: dict[str, Any], html: Path | None, *, json: bool) -> None:
    if html is not None:
        html.write_text(report_page(report), encoding="utf-8")
    if json:
        print_json(report)
        return
    for one in report.get("journeys", ()):
        print_line(f"journey {one['journey']}")
        runs = one["runs"]
        ended = ", ".join(f"{outcome} {number:,}" for outcome, number in runs["ended"].items()) or "none"
        print_line(f"runs: {runs['entered']:,} entered, {runs['under_way']:,} under way; ended: {ended}")
        _print_lift(one["lift"], "runs")
        _print_messages(one["messages"], ("step", "arm", "channel"))
        if one["arms"]:
            _print_messages(one["arms"], ("arm",))
        if len(one["channels"]) > 1:
            _print_messages(one["channels"], ("channel",))
    for one in report.get("campaigns", ()):
        for start in one["starts"]:
            print_line(f"campaign {one['campaign']}, start {start['number']} of {short_time(start['begins'])} UTC")
            _print_lift(start["lift"], "users")
        _print_messages(one["messages"], ("channel",))
    print_line(f"as of {short_time(report['as_of'])} UTC")
    if html is not None:
        print_line(f"the page is in {html}")


def _print_lift(lift: Mapping[str, Any], unit: str) -> None:
    rows = [_compared("conversions", lift["conversions"], percent)] if lift["conversions"] is not None else []
    rows += [_compared(f"{money['currency'] or 'value'} per {unit[:-1]}", money, amount) for money in lift["money"]]
    if rows:
        print_table(("lift", "treatment", "control group", "difference", "95% interval"), rows)
    if lift["reason"] is not None:
        print_line(f"no lift: {lift['reason']}")
    if lift["note"] is not None:
        print_line(f"note: {lift['note']}")
    groups = (("treatment", lift["treatment"]), ("control group", lift["control"]))
    print_table(
        ("group", unit, "conversions", "revenue"),
        [(name, f"{one['number']:,}", f"{one['converted']:,}", amounts(one["revenue"])) for name, one in groups],
    )
    print_line()


def _compared(name: str, one: Mapping[str, Any], form: Any) -> tuple[str, ...]:
    interval = f"too few: {one['too_few']}" if one["too_few"] else f"{form(one['low'])} to {form(one['high'])}"
    if not one["too_few"] and not one["is_clear"]:
        interval += " (may be chance)"
    return (name, form(one["treatment"]), form(one["control"]), form(one["difference"]), interval)


def _print_messages(rows: list[dict[str, Any]], places: tuple[str, ...]) -> None:
    if not rows:
        print_line("no message was decided yet")
        print_line()
        return
    numbers = ("sent", "delivered", "clicked", "dropped", "converted", "assisted", "revenue", "cost")
    print_table((*places, *numbers), [(*(str(row[place] or "-") for place in places), *cells(row)) for row in rows])
    print_line()


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the numbers of messages as texts; what no report has told is not measured."""
    return (
        f"{row['sent']:,}",
        *("not measured" if row[name] is None else f"{row[name]:,}" for name in ("delivered", "clicked")),
        ", ".join(f"{reason} {number:,}" for reason, number in row["dropped"].items()) or "0",
        f"{row['converted']:,}",
        f"{row['assisted']:,}",
        amounts(row["revenue"]),
        "not stated" if row["cost"] is None else amounts(row["cost"]),
    )


def percent(share: float) -> str:
    """Return a share as a text.

    Examples
    --------
    >>> percent(0.0123), percent(-0.5)
    ('1.2%', '-50.0%')
    """
    return f"{share:.1%}"


def amount(value: float) -> str:
    """Return an amount as a text."""
    return f"{value:,.2f}"
