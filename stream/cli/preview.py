"""``perennial preview TEMPLATE``: a message as a user would get it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stream.cli.output import Config, Json, print_json, print_line, short_time

if TYPE_CHECKING:
    from models.engage.preview import Preview
    from models.profile.state import Customer
    from stream.settings.loading import Settings


def preview(
    template: Annotated[str, typer.Argument(help="Name of a template: a folder beside the settings file.")],
    user: Annotated[
        str | None, typer.Option(help="For this user, as the worker knows them; else for a sample.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='JSON instead of the worker: {"traits": {...}, "cart": {"sku": 2}, ...}.'),
    ] = None,
    channel: Annotated[Literal["email", "sms"] | None, typer.Option(help="Else the one that would be used.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the HTML part to a file.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a template as a user would get it, and what the rules would decide for them now.

    What is shown comes from the files, applied or not. The unsubscribe link is a placeholder: it is signed when a
    message is delivered. The template is also rendered for a user with everything, with nothing and with half of it;
    where that fails, file and line are shown.
    """
    from models.configuration.templates import TemplateError
    from models.engage.preview import preview as show
    from models.engage.recipient import Recipient
    from stream.settings.loading import load
    from stream.settings.rules import failing_templates, read_configuration, read_templates
    from stream.settings.sources import did_you_mean

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
        shown = shown._replace(untriggered="")  # nobody's past: the sample has everything that a template may name
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
    from models.engage.preview import SAMPLE_USER, sample

    if file is not None:
        return user or SAMPLE_USER, _described(file)
    if user is None:
        return SAMPLE_USER, sample()
    import asyncio
    from urllib.parse import quote

    from models.profile.codec import unpack
    from stream.lookup.client import ask
    from stream.lookup.identity import identity_of
    from stream.settings.worker_addresses import worker_urls

    path = f"/v1/users/{quote(user, safe='')}/state"
    return user, unpack(
        asyncio.run(ask(worker_urls(settings.sections.worker), path, identity_of(settings.connection())))
    )


def _described(file: Path) -> Customer:
    """Read a user from a file: the sample, with what the file says instead."""
    import msgspec

    from models.encoding import without_mark
    from models.engage.preview import sample
    from models.events import MICROS
    from models.profile.state import CartLine

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

    from models.units import now_ms

    # a replay's or a simulation's users live in its own time
    own = customer.facts.last_seen
    return own if own and customer.facts.origin != "live" else now_ms()


def _mistake(message: str) -> Exception:
    from models.errors import PerennialError

    return PerennialError(message)


def _would(shown: Preview) -> str:
    from models.engage.why import REASONS
    from models.fold.view import moment

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
    from models.fold.view import moment

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
