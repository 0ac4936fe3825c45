"""``perennial preview TEMPLATE``: a message as a user would get it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
import typer

from models.configuration.templates import TemplateError
from models.encoding import without_mark
from models.engage.preview import SAMPLE_USER, Preview, sample
from models.engage.preview import preview as show
from models.engage.recipient import Recipient
from models.engage.why import REASONS
from models.errors import PerennialError
from models.events import MICROS
from models.fold.moments import moment
from models.profile.codec import unpack
from models.profile.state import CartLine, Customer
from models.spelling import did_you_mean
from models.units import now_ms
from stream.cli.output import Config, Json, print_json, print_line, short_time
from stream.lookup.client import ask
from stream.lookup.identity import identity_of
from stream.settings.loading import Settings, load
from stream.settings.rules import failing_templates, read_configuration, read_templates
from stream.settings.worker_addresses import worker_urls


def preview(
    template: Annotated[str, typer.Argument(help="Name of a template: a folder beside the settings file.")],
    user: Annotated[
        str | None, typer.Option(help="Render for this user of the worker; by default for a sample user.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help='Render for the user in this JSON file: {"traits": {...}, "cart": {"sku": 2}, ...}.'
        ),
    ] = None,
    channel: Annotated[
        Literal["email", "sms", "push"] | None,
        typer.Option(help="Channel of the message; by default the one that the rule would use."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the HTML part to this file.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a template as a user would get it, and what the rules would decide for that user now.

    The preview uses the files as they are, even before `perennial apply`. The
    unsubscribe link is a placeholder, because the real link is signed when a
    message is delivered.

    The template is also rendered for users with all values, with none and with
    half of them. If one of these fails, the file and line are shown.
    """
    settings = load(config)
    templates = read_templates(settings.templates)
    wanted = read_configuration(settings)
    if template not in templates:
        raise _mistake(f"there is no template {template!r} in {settings.templates}{did_you_mean(template, templates)}")
    who, customer = _customer(settings, user, facts)
    failures = failing_templates(wanted, {template: templates[template]})
    try:
        recipient = Recipient(who, customer, _now(customer))
        shown = show(wanted, template, templates[template], recipient, channel)
    except TemplateError as error:
        raise _mistake(f"for {who}: {error}") from error
    if user is None and facts is None:
        shown = shown._replace(untriggered="")  # the sample user has values, but no history
    if html is not None:
        if shown.content.html is None:
            raise _mistake(f"{template} has no HTML part for {shown.channel}")
        html.write_text(shown.content.html, encoding="utf-8")
    if json:
        print_json({**_report(template, who, shown), "fails": failures})
    else:
        _print(template, who, shown, html)
        for failure in failures:
            print_line()
            print_line(f"it fails: {failure}")


def _customer(settings: Settings, user: str | None, file: Path | None) -> tuple[str, Customer]:
    if file is not None:
        return user or SAMPLE_USER, _described(file)
    if user is None:
        return SAMPLE_USER, sample()

    path = f"/v1/users/{quote(user, safe='')}/state"
    return user, unpack(
        asyncio.run(ask(worker_urls(settings.sections.worker), path, identity_of(settings.connection())))
    )


def _described(file: Path) -> Customer:
    """Read a user from a file: the sample user, with the values that the file gives."""

    class Described(msgspec.Struct, forbid_unknown_fields=True):
        traits: dict[str, Any] = {}
        cart: dict[str, int] = {}
        orders: int = 0
        spent: dict[str, float] = {}
        segment: str | None = None
        risk: float | None = None

    try:
        said = msgspec.json.decode(without_mark(file.read_bytes()), type=Described)
    except (OSError, msgspec.DecodeError) as error:
        raise _mistake(f"{file}: {error}") from error
    customer = sample()
    customer.facts.traits = said.traits
    customer.facts.cart = {item: CartLine(quantity=quantity, price=0) for item, quantity in said.cart.items()}
    customer.facts.orders = said.orders
    customer.facts.spent = {currency: round(amount * MICROS) for currency, amount in said.spent.items()}
    customer.ledger.segment, customer.ledger.risk = said.segment, said.risk
    return customer


def _now(customer: Customer) -> int:
    # the events of a replay or a simulation have the time of the log, not of this machine
    own = customer.facts.last_seen
    return own if own and customer.facts.origin != "live" else now_ms()


def _mistake(message: str) -> Exception:
    return PerennialError(message)


def _would(shown: Preview) -> str:
    decision = shown.decision
    if decision is None:
        return f"no rule uses it; shown as {shown.rule.category}"
    if shown.untriggered:
        return f"rule {shown.rule.name} cannot send it: {shown.untriggered}"
    if decision.outcome == "sent":
        return f"rule {shown.rule.name}, triggered now, would send it by {decision.channel}"
    until = f"; again from {short_time(moment(shown.again_from))}" if decision.reason == "cooldown" else ""
    return (
        f"rule {shown.rule.name}, triggered now, would not send it: "
        f"{decision.reason} ({REASONS[decision.reason]}{until})"
    )


def _report(template: str, user: str, shown: Preview) -> dict[str, Any]:
    decision = shown.decision
    return {
        "template": template,
        "user": user,
        "channel": shown.channel,
        "subject": shown.content.subject,
        "text": shown.content.text,
        "html": shown.content.html,
        "missing": shown.missing,
        "rule": None if decision is None else shown.rule.name,
        "category": shown.rule.category,
        "outcome": None if decision is None else decision.outcome,
        "reason": None if decision is None else decision.reason,
        "again_from": moment(shown.again_from),
        "untriggered": shown.untriggered or None,
    }


def _print(template: str, user: str, shown: Preview, html: Path | None) -> None:
    print_line(f"{template} for {user} by {shown.channel}; {_would(shown)}")
    if shown.missing:
        print_line(f"left out: {shown.missing}")
    print_line()
    if shown.content.subject:
        print_line(f"Subject: {shown.content.subject}")
        print_line()
    print_line(shown.content.text.rstrip("\n"))
    if html is not None:
        print_line()
        print_line(f"wrote {html}")
    elif shown.content.html is not None:
        print_line()
        print_line("(it has an HTML part, too: --html FILE)")
