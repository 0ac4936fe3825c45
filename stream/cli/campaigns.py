"""``perennial campaigns``: show, start, pause, resume and cancel campaigns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import typer

from models.configuration.campaigns.definition import Campaign
from models.fold.campaign_preview import CampaignForecast
from models.fold.campaign_view import StartState
from models.fold.moments import moment
from models.fold.refused_starts import RefusedStart
from models.log import CampaignOrder
from models.units import now_ms
from stream.cli.campaign_numbers import forecast_all
from stream.cli.output import Config, Json, print_error, print_json, print_line, print_table, short_time
from stream.cluster.topics import require_topics
from stream.installation.campaign_starts import CannotStart, campaign_in_use, order_of
from stream.installation.recognition import opened
from stream.log.campaigns import give_order
from stream.lookup.campaigns import CampaignLookups, CampaignStates
from stream.lookup.identity import identity_of
from stream.settings.loading import Settings
from stream.settings.worker_addresses import worker_urls

app = typer.Typer(help="Start campaigns, and show how far they are.", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(help="Name of a campaign.")]

MAX_WAIT_S = 10.0
"""Maximum time for which a command waits until all partitions have followed it, seconds."""


@app.command("list")
def list_(config: Config = None, json: Json = False) -> None:
    """List the campaigns of the configuration, and all starts.

    The workers answer from counters, and no user is read. All partitions must
    have a worker on this machine.
    """
    found = _states(opened(config))
    if json:
        starts = [_described(one, found) for one in found.starts]
        print_json({**_place(found), "campaigns": found.names, "starts": starts})
        return
    if not found.names and not found.starts:
        print_line("the configuration has no campaigns; add the section `campaigns` (docs/campaigns.md)")
        return
    started = {one.campaign for one in found.starts}
    rows = [_row(one, found) for one in found.starts]
    rows += [(name, "", "not started", *("" for _ in range(4))) for name in found.names if name not in started]
    print_table(("campaign", "start", "status", "audience", "sent", "waiting", "converted"), rows)
    _print_place(found)


@app.command()
def status(name: Name, config: Config = None, json: Json = False) -> None:
    """Show the newest start of a campaign: users, messages, reasons, control group, conversions."""
    found = _states(opened(config))
    one = found.newest(name)
    if json:
        print_json({**_place(found), **_described(one, found)})
        return
    _show(one, found)


@app.command()
def start(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the numbers, and start nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start it; without this, the numbers are only shown.")] = False,
    approved_by: Annotated[
        str, typer.Option(metavar="WHO", help="Who has approved a start that needs an approval; it is kept in the log.")
    ] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Start a campaign of the configuration in use.

    First the numbers are shown. The fold plays the whole campaign on a copy of
    the committed state of all users. Consent, caps and quiet hours are those of
    now, and messages are rendered. Events that come later are not in them.

    Only --yes starts it. The order is one record in each partition of the log.
    A campaign that is under way cannot be started a second time. If an order
    has reached only some partitions, give the command again: it has the same
    id, and each partition follows it once.
    """
    settings = opened(config)
    connection, now = settings.connection(), now_ms()
    require_topics(connection, settings.partitions)
    campaign = asyncio.run(campaign_in_use(connection, name))
    before = _states(settings)
    order = order_of(campaign, now, approved_by, before, settings.partitions)
    found = asyncio.run(forecast_all(connection, settings.partitions, order, now))
    _require_not_refused(found.refused)
    starts = yes and not dry_run
    if starts:
        _require_approval(campaign, found, approved_by)
    if not json:
        _show_forecast(name, found)
    if starts:
        asyncio.run(give_order(connection, settings.partitions, order))
        _wait_for(settings, order.id, "running", settings.partitions, before.refusals(order.id))
    if json:
        print_json({"campaign": name, "start": order.id if starts else None, "forecast": _forecast(found)})
    elif starts:
        print_line(f"started as {order.id}; `perennial campaigns status {name}` shows how far it is")
    else:
        print_line("nothing was started" + ("" if dry_run else "; add --yes to start it"))
    if not (starts or dry_run):
        raise typer.Exit(1)


@app.command()
def pause(name: Name, config: Config = None) -> None:
    """Hold a campaign: no user has a turn until `resume`. Messages that delivery already has are still sent."""
    _order(name, "pause", "paused", config)


@app.command()
def resume(name: Name, config: Config = None) -> None:
    """Continue a paused campaign at its pace: all later turns move by the duration of the pause."""
    _order(name, "resume", "running", config)


@app.command()
def cancel(name: Name, config: Config = None) -> None:
    """End a campaign for good. Messages that wait for quiet hours are dropped; what delivery has is still sent."""
    _order(name, "cancel", "cancelled", config)


def _order(name: str, order: Literal["pause", "resume", "cancel"], status: str, config: Config) -> None:
    settings = opened(config)
    found = _states(settings)
    one = found.newest(name)
    if one.phase_at(now_ms()) in ("done", "cancelled"):
        raise CannotStart(f"the campaign {name!r} is {one.phase_at(now_ms())} already (start {one.id})")
    asyncio.run(give_order(settings.connection(), settings.partitions, CampaignOrder(order, one.id)))
    _wait_for(settings, one.id, status, found.partitions[one.id])
    print_line(f"{name} is {status} (start {one.id})")


def _wait_for(
    settings: Settings,
    order: str,
    status: str,
    partitions: int,
    earlier: Mapping[int, RefusedStart] = MappingProxyType({}),
) -> None:
    """Wait until as many partitions have followed an order as know its start; say so if one has not in time.

    Raises
    ------
    CannotStart
        A partition has refused the start, and this was not one of the earlier refusals.
    """

    async def wait() -> bool:
        lookups, loop = _lookups(settings), asyncio.get_running_loop()
        until = loop.time() + MAX_WAIT_S
        while loop.time() < until:
            found = await lookups.states()
            refused = found.refusals(order)
            _require_not_refused({n: one.message for n, one in refused.items() if one != earlier.get(n)})
            here = next((one for one in found.starts if one.id == order), None)
            if here is not None and found.partitions[order] >= partitions and here.status == status:
                return True
            await asyncio.sleep(0.1)
        return False

    if not asyncio.run(wait()):
        print_error(
            f"not all partitions have followed within {MAX_WAIT_S:g} s; `campaigns status` shows when they have"
        )


def _require_not_refused(refused: Mapping[int, str]) -> None:
    if refused:
        raise CannotStart("; ".join(f"partition {number} refuses it: {said}" for number, said in refused.items()))


def _require_approval(campaign: Campaign, found: CampaignForecast, by: str) -> None:
    above = campaign.approval_above
    if above is not None and found.audience > above and not by:
        raise CannotStart(
            f"the audience has {found.audience:,} users, and above {above:,} a start needs an approval: "
            "add --approved-by with the name of the person"
        )


def _lookups(settings: Settings) -> CampaignLookups:
    return CampaignLookups(
        worker_urls(settings.sections.worker), settings.partitions, identity_of(settings.connection())
    )


def _states(settings: Settings) -> CampaignStates:
    return asyncio.run(_lookups(settings).states())


# --- output ----------------------------------------------------------------------------------------------------------


def _show(one: StartState, found: CampaignStates) -> None:
    counts, phase = one.counts, one.phase_at(found.now)
    until = f", until {short_time(moment(one.end))} UTC" if one.end and phase in ("running", "waiting") else ""
    print_line(f"{one.campaign}: start {one.id}, {phase}{until}" + (f"; approved by {one.by}" if one.by else ""))
    print_line()
    rows = [("users at the start", one.users), ("decided so far", counts.judged), ("in the audience", counts.audience)]
    rows += [("sent", counts.sent), ("waiting", counts.waiting), ("control group", counts.held_out)]
    rows += [(f"not sent: {reason}", number) for reason, number in counts.dropped.items()]
    rows += [("moved to another profile", counts.left)] if counts.left else []
    print_table(("users", "number"), [(what, f"{number:,}") for what, number in rows])
    for partition, refused in found.refused_of(one.campaign):
        print_line(f"partition {partition} refused: {refused.message}")
    print_line()
    treated = counts.audience - counts.held_out
    converted = counts.converted - counts.converted_held_out
    held_out = (counts.held_out, counts.converted_held_out)
    print_table(
        ("group", "users", "conversions", "rate"),
        [
            ("with messages", f"{treated:,}", f"{converted:,}", _rate(converted, treated)),
            ("control group", f"{held_out[0]:,}", f"{held_out[1]:,}", _rate(held_out[1], held_out[0])),
        ],
    )
    _print_place(found)


def _show_forecast(name: str, found: CampaignForecast) -> None:
    print_line(f"{name}: audience {found.audience:,} of {found.users:,} users")
    print_line()
    rows = [(f"would be sent by {channel}", number) for channel, number in sorted(found.sent.items())]
    rows += [("would wait for quiet hours or a template", found.deferred)]
    rows += [(f"not: {reason}", number) for reason, number in found.excluded.most_common()]
    print_table(("messages", "number"), [(what, f"{number:,}") for what, number in rows])
    print_line()
    hours = [(f"{short_time(moment(at))} UTC", f"{number:,}") for at, number in sorted(found.hours.items())]
    print_table(("hour", "messages"), hours)
    for example in found.examples:
        print_line()
        print_line(f"to {example['to']}: {example['subject']}")
        print_line(example["text"].rstrip())
    print_line()


def _place(found: CampaignStates) -> dict[str, Any]:
    return {"as_of": moment(found.now), "configuration": found.configuration}


def _print_place(found: CampaignStates) -> None:
    print_line()
    print_line(f"as of {short_time(moment(found.now))} UTC; configuration {found.configuration}")


def _row(one: StartState, found: CampaignStates) -> tuple[str, ...]:
    counts = one.counts
    numbers = (counts.audience, counts.sent, counts.waiting, counts.converted)
    return (one.campaign, one.id, one.phase_at(found.now), *(f"{number:,}" for number in numbers))


def _described(one: StartState, found: CampaignStates) -> dict[str, Any]:
    counts = one.counts
    return {
        "campaign": one.campaign,
        "start": one.id,
        "number": one.number,
        "status": one.phase_at(found.now),
        "partitions": found.partitions[one.id],
        "begins": moment(one.begins),
        "ends": moment(one.end) if one.end else None,
        "approved_by": one.by or None,
        "refused": [
            {"partition": partition, "start": refused.id, "reason": refused.why, "message": refused.message}
            for partition, refused in found.refused_of(one.campaign)
        ],
        "users": one.users,
        "judged": counts.judged,
        "audience": counts.audience,
        "sent": counts.sent,
        "waiting": counts.waiting,
        "dropped": counts.dropped,
        "left": counts.left,
        "converted": counts.converted,
        "control_group": {"users": counts.held_out, "converted": counts.converted_held_out},
    }


def _forecast(found: CampaignForecast) -> dict[str, Any]:
    return {
        "users": found.users,
        "audience": found.audience,
        "sent": dict(sorted(found.sent.items())),
        "deferred": found.deferred,
        "excluded": dict(sorted(found.excluded.items())),
        "hours": {moment(at): number for at, number in sorted(found.hours.items())},
        "examples": found.examples,
    }


def _rate(number: int, of: int) -> str:
    return f"{number / of:.1%}" if of else "-"
