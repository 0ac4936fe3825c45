"""``python -m tests.proofs.campaign``: proof that a campaign skips no user and repeats none.

A worker folds the users on a real broker. A campaign begins with one percent of them, waits, and spreads the others
over a time. Meanwhile events trigger messages, and the worker is killed with SIGKILL. Then the topic of decisions is
compared with the expected outcome of each user. It is also compared with a fold of the same log without a worker.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.benchmarks.broker import Kind, a_broker
from tests.benchmarks.report import machine
from tests.proofs.absences import share
from tests.proofs.configurations import commit_name
from tests.support.campaign_runs import CampaignOutcome, CampaignPlan, run

RESULTS = Path(__file__).with_name("CAMPAIGN.md")


def page(plan: CampaignPlan, commit: str, broker: str, found: CampaignOutcome) -> str:
    """Format the results."""
    about, kinds = machine(), list(found.expected.values())
    rows = {
        "users": f"{plan.users:,} in {plan.partitions} partitions",
        "audience": f"{len(found.expected):,}",
        "of them expected: sent, without consent, control group": " / ".join(
            f"{kinds.count(kind):,}" for kind in ("sent", "no_consent", "held_out")
        ),
        "pace": f"1 % at once, {plan.wait} s, the others over {plan.over} s",
        "workers killed meanwhile": str(plan.kills),
        "commit": commit,
        "machine": f"{about['processor']}, {about['cores']} cores",
        "broker": broker,
        "**users skipped**": str(len(found.skipped)),
        "**users with several decisions**": str(len(found.repeated)),
        "users with a wrong decision": str(len(found.wrong)),
        "differences from a fold of the log without a worker": str(len(found.differences)),
        "records that exist twice": str(found.repeated_bytes),
        "users decided before the wait was over, beyond the first percent": str(found.early),
        "from the order to the last decision": f"{found.seconds:.1f} s",
        **_lateness("before the campaign", found.late_before),
        **_lateness("during the campaign and the restart", found.late_during),
    }
    head = (
        "# A campaign skips no user and repeats none\n\nWritten by `python -m tests.proofs.campaign`. Times of "
        "triggered messages are from the event's own time to the record of the message in its topic.\n\n"
        "| what | |\n|---|--:|"
    )
    return "\n".join([head, *(f"| {name} | {value} |" for name, value in rows.items()), ""])


def _lateness(when: str, late: list[float]) -> dict[str, str]:
    if not late:
        return {f"triggered messages {when}": "none"}
    parts = [f"{share(late, part):.0f} ms" for part in (0.5, 0.99)]
    return {f"triggered messages {when}: median, 99%, most": " / ".join([*parts, f"{late[-1]:.0f} ms"])}


def main(
    users: Annotated[int, typer.Option(help="Number of users.")] = 20_000,
    over: Annotated[int, typer.Option(help="Time over which the campaign is spread, seconds.")] = 60,
    kills: Annotated[int, typer.Option(help="Number of times at which the worker is killed.")] = 1,
    broker: Annotated[Kind, typer.Option(help="Apache Kafka (from KAFKA_HOME), or embedded.")] = "kafka",
    write: Annotated[bool, typer.Option(help="Write the result to CAMPAIGN.md.")] = True,
) -> None:
    """Send, compare, and exit with 1 if a user was skipped, repeated or decided wrongly."""
    plan, commit = CampaignPlan(users=users, over=over, kills=kills), commit_name()
    with a_broker(broker) as running, tempfile.TemporaryDirectory(prefix="proof-campaign-") as folder:
        found = asyncio.run(run(running, plan, Path(folder)))
        text = page(plan, commit, running.name, found)
    for line in (*found.skipped[:5], *found.repeated[:5], *found.wrong[:5], *found.differences[:5]):
        typer.echo(line)
    typer.echo(text)
    if write:
        RESULTS.write_text(text, encoding="utf-8")
    is_wrong = found.skipped or found.repeated or found.wrong or found.differences or found.early
    raise typer.Exit(1 if is_wrong else 0)


if __name__ == "__main__":
    typer.run(main)
