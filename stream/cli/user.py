"""``perennial user USER``: everything about one user."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stream.cli.output import Config, Json, print_json


def user(
    user: Annotated[str, typer.Argument(help="The user's id; anonymous:ID for somebody who never logged in.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a user: profile, segment, churn risk with reasons, messages sent and not sent, and why.

    The worker that owns the user answers; it has to run on this machine.
    """
    import asyncio
    from urllib.parse import quote

    from stream.lookup.client import ask_json
    from stream.lookup.workers import addresses
    from stream.settings import load

    answer = asyncio.run(ask_json(addresses(load(config)), f"/v1/users/{quote(user, safe='')}"))
    if json:
        print_json(answer)
    else:
        _show(answer)


def _show(answer: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, profile, churn = Console(highlight=False), answer["profile"], answer["churn"]
    console.print(f"[bold]{answer['user']}[/]  as of {answer['as_of']}  (origin: {profile['origin']})")
    facts = Table.grid(padding=(0, 2))
    for name, value in _lines(answer):
        facts.add_row(f"[dim]{name}[/]", value)
    console.print(facts)
    if churn["risk"] is None:
        console.print("[dim]churn risk[/]   none yet: no version of the model is in use, or the user is anonymous")
    else:
        because = f": {', '.join(churn['reasons'])}" if churn["reasons"] else ""
        console.print(f"[dim]churn risk[/]   {churn['risk']:.0%} (version {churn['version']}){because}", markup=True)
    if answer["messages"]:
        sent = Table("at", "channel", "rule", "subject", "why", title="Messages", title_justify="left", box=None)
        for message in answer["messages"]:
            sent.add_row(message["at"], message["channel"], message["rule"], message["subject"], message["why"])
        console.print(sent)
    if answer["not_sent"]:
        withheld = Table("at", "channel", "rule", "reason", title="Not sent", title_justify="left", box=None)
        for one in answer["not_sent"]:
            withheld.add_row(one["at"], one["channel"], one["rule"], one["reason"])
        console.print(withheld)
    for waiting in answer["waiting"]:
        console.print(f"waiting: {waiting['rule']} until {waiting['until']}")


def _lines(answer: dict[str, Any]) -> list[tuple[str, str]]:
    profile = answer["profile"]
    name = " ".join(str(profile["traits"][t]) for t in ("firstName", "lastName") if t in profile["traits"])
    spent = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in profile["spent"].items()) or "nothing"
    consent = ", ".join(f"{channel}: {'yes' if c['granted'] else 'no'}" for channel, c in profile["consent"].items())
    return [
        ("name", name or "-"),
        ("e-mail", str(profile["traits"].get("email", "-"))),
        ("seen", f"{profile['first_seen']} to {profile['last_seen']}, {profile['sessions']} sessions"),
        ("orders", f"{profile['orders']} for {spent}, {profile['refunds']} refunds"),
        ("segment", str(answer["segment"]["name"] or "none yet")),
        ("likes", ", ".join(list(profile["categories"])[:5]) or "-"),
        ("recent items", ", ".join(profile["recent"][:8]) or "-"),
        ("cart", ", ".join(f"{quantity} x {item}" for item, quantity in profile["cart"].items()) or "empty"),
        ("consent", consent or "none on record: no marketing"),
    ]
