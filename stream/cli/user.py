"""``perennial user USER``: everything about one user."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from models.counting import counted
from stream.cli.output import Config, Json, print_json, short_time
from stream.cli.past_times import past_time
from stream.cli.user_messages import print_named, show_messages
from stream.cli.user_questions import answer_of, asked_question, with_events
from stream.cli.why import show_why
from stream.cli.why_not import show_why_not


def user(
    user: Annotated[str, typer.Argument(help="The user's id; anonymous:ID for a visitor who never logged in.")],
    why: Annotated[
        str | None, typer.Option(metavar="SEGMENT", help="Explain why the user is in this segment by rule or not.")
    ] = None,
    why_not: Annotated[
        str | None,
        typer.Option(metavar="JOURNEY", help="Explain why the user is not in this journey, or gets no message of it."),
    ] = None,
    messages: Annotated[
        bool, typer.Option("--messages", help="Show all decisions about messages to the user that are kept.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show the user as of 2h or 7d ago, or as of a time with its zone (2026-05-01T12:00Z)."
        ),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="With --why: read the log for the event behind each clause.")
    ] = True,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a user: profile, segments, churn risk with reasons, messages sent and not sent, and why.

    The worker that owns the user answers. It must run on this machine.

    With --why, the command shows the condition of a segment, clause by clause:
    what was measured, which event decided it, and when it changes next. This
    includes the personal data that the condition reads, such as traits. For
    the events, it reads the user's partition of the log; --no-events does not.

    With --why-not, it shows each rule that decides about the entry into a
    journey, and the condition clause by clause. It also shows what would be
    decided about each message now. The topic signals tells what has happened.

    With --messages, it also reads the topic decisions, which keeps each
    decision for 90 days.

    With --at, no worker is asked. The command reads the user's partition of the
    log from its beginning, and folds it in memory, up to that time.
    """
    question = asked_question(why, why_not, messages=messages)
    answer = answer_of(config, user, question, None if at is None else past_time("--at", at))
    if question.kind == "why" and events:
        answer = with_events(config, answer)
    if json:
        print_json(answer)
    elif question.kind == "why":
        show_why(answer)
    elif question.kind == "why_not":
        show_why_not(answer)
    elif question.kind == "messages":
        show_messages(answer)
    else:
        _show(answer)


_MAX_NOT_SENT = 8
"""Maximum number of reasons that are shown for messages that were not sent."""


def _show(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    head = Text(answer["user"], style="bold")
    head.append(f"  as of {short_time(answer['as_of'])} UTC", style="not bold")
    if answer["profile"]["origin"] != "live":
        head.append(f"  (origin: {answer['profile']['origin']})", style="not bold")
    console.print(head)
    for name, value in [*_lines(answer), ("churn risk", _churn(answer))]:
        print_named(console, name, value)
    if answer["messages"]:
        console.print(Text("\nMessages", style="bold"))
    for message in reversed(answer["messages"]):
        subject = message["subject"] or message["rule"]
        because = f": {message['because']}" if message["because"] else ""
        outcome = f"  [{message['outcome'] or 'on its way'}{because}]"
        console.print(Text(f"{short_time(message['at'])}  {message['channel']}  {subject}{outcome}"))
        print_named(console, "", message["why"])
        if message["detail"]:
            print_named(console, "", message["detail"])
    if answer["not_sent"]:
        console.print(Text("\nNot sent", style="bold"))
    withheld = _alike(answer["not_sent"])
    for one, times in withheld[:_MAX_NOT_SENT]:
        again = f" ({counted(times, 'time')})" if times > 1 else ""
        console.print(Text(f"{short_time(one['at'])}  {one['channel']}  {one['rule']}: {one['reason']}{again}"))
        print_named(console, "", _because(one))
    if len(withheld) > _MAX_NOT_SENT:
        console.print(Text(f"... and {counted(len(withheld) - _MAX_NOT_SENT, 'other reason')}: --json has all"))
    for waiting in answer["waiting"]:
        console.print(Text(f"\nWaiting: {_waits(waiting)}"))


def _alike(withheld: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Group withheld messages by reason; return the newest message of each group, and the number of its messages."""
    found: dict[tuple[str, str, str], tuple[dict[str, Any], int]] = {}
    for one in reversed(withheld):
        same = one["rule"], one["channel"], one["reason"]
        newest, times = found.get(same, (one, 0))
        found[same] = newest, times + 1
    return list(found.values())


def _waits(waiting: dict[str, Any]) -> str:
    if waiting["reason"] == "template_error":
        return (
            f"{waiting['rule']} until {short_time(waiting['expires'])} for a template that works: {waiting['detail']}"
        )
    return f"{waiting['rule']} until {short_time(waiting['until'])}, when quiet hours end"


def _because(one: dict[str, Any]) -> str:
    if one["detail"]:
        return f"{one['because']}: {one['detail']}"
    if one["again_from"] is None:
        return str(one["because"])
    last, again_from = short_time(one["last_sent"]), short_time(one["again_from"])
    return f"the last message left on {last}, and the next may leave from {again_from}"


def _churn(answer: dict[str, Any]) -> str:
    churn = answer["churn"]
    if churn["risk"] is not None:
        because = f": {', '.join(churn['reasons'])}" if churn["reasons"] else ""
        return f"{churn['risk']:.0%} (model version {churn['version']}){because}"
    if not answer["profile"]["identified"]:
        return "none: only users with an id have one"
    if not answer["versions"]["churn"]:
        return "none yet: no version of the model is in use"
    return "none yet: it comes with the next event, or within a day"


def _lifecycle(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return str(found["stage"]) + (f" since {short_time(found['since'])}" if found["since"] else "")


def _run(run: dict[str, Any]) -> str:
    """Return where a run waits."""
    until = f" until {short_time(run['until'])}" if run["until"] else ""
    return f"{run['journey']} at {run['step'] or '?'}{until}" + (" (control group)" if run["control_group"] else "")


def _rfm(answer: dict[str, Any]) -> str:
    rfm = answer["rfm"]
    if rfm is None:
        return "none: no purchase yet"
    if not rfm["version"]:
        return "none yet: too few buyers are known"
    scores = ", ".join(str(rfm[name] or "-") for name in ("recency", "frequency", "monetary"))
    falls = f"; recency falls on {short_time(rfm['recency_falls_at'])}" if rfm["recency_falls_at"] else ""
    return f"{scores} of 5{falls}"


def _consent(said: dict[str, Any]) -> str:
    """Return the answer for a purpose and a channel, and since when it holds."""
    if said["granted"]:
        answer = "yes" if said["basis"] == "consent" else "as an existing customer"
    else:
        answer = f"no ({said['because']})" if said["because"] else "no"
    since = f" since {short_time(said['at'])}" if said["at"] else ""
    return f"{said['purpose']} by {said['channel']}: {answer}{since}"


def _proof(said: dict[str, Any]) -> str:
    """Return the statement that decides about a purpose and a channel; empty if nothing is known of it."""
    event, known = said["event"], list[str]()
    if event is not None:
        known.append(f"{event['type']} {event['id']} of {short_time(event['at'])}")
    known += [f"from {said['source']}"] if said["source"] else []
    known += ["confirmed"] if said["confirmed"] else []
    known += [f"text {said['text']}"] if said["text"] else []
    return f"proof: {', '.join(known)}" if known else ""


def _consents(profile: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a line for each purpose and channel, and one for its proof."""
    lines: list[tuple[str, str]] = []
    for said in profile["consent"].values():
        lines.append(("" if lines else "consent", _consent(said)))
        lines += [("", proof)] if (proof := _proof(said)) else []
    lines = lines or [("consent", "none on record: no marketing")]
    return lines + [("", _pending_consent(said)) for said in profile["pending_consent"].values()]


def _pending_consent(said: dict[str, Any]) -> str:
    """Return since when a grant waits for its confirmation."""
    mails = f"{counted(said['asked'], 'e-mail')} sent" if said["asked"] else "no address yet"
    return f"{said['purpose']} by {said['channel']}: waits for a click since {short_time(said['at'])}, {mails}"


def _other_ids(identity: dict[str, Any]) -> str:
    if (owner := identity["owner"]) is not None:
        return f"belongs to {owner['user']} since {short_time(owner['login_at'])}"
    return ", ".join(f"{link['id']} ({link['outcome']})" for link in identity["links"]) or "-"


def _zone(zone: dict[str, Any]) -> str:
    others = f" or {counted(len(zone['zones']) - 1, 'other')} of its country" if len(zone["zones"]) > 1 else ""
    unknown = f"; {zone['unknown']!r} is not a known zone" if zone["unknown"] else ""
    return f"{zone['name']}{others}, from the {zone['source']}: {zone['rule']}{unknown}"


def _segment(learned: dict[str, Any]) -> str:
    since = f" since {short_time(learned['since'])}" if learned["since"] else ""
    return f"{learned['name']}{since} (learned)" if learned["name"] else "none yet"


def _refunds(profile: dict[str, Any]) -> str:
    if not profile["refunds"]:
        return ""
    paid_back, beyond = _amounts(profile["refunded"]), _amounts(profile["refunds_beyond_orders"])
    shown = f", {counted(profile['refunds'], 'refund')}" + (f" of {paid_back}" if paid_back else "")
    return shown + (f" (refunds of {beyond} more than their orders did not count)" if beyond else "")


def _amounts(amounts: dict[str, float]) -> str:
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in amounts.items())


def _lines(answer: dict[str, Any]) -> list[tuple[str, str]]:
    profile = answer["profile"]
    name = " ".join(str(profile["traits"][t]) for t in ("firstName", "lastName") if t in profile["traits"])
    spent = _amounts(profile["spent"]) or "nothing"
    bought = f"{counted(profile['orders'], 'order')} for {spent}" if profile["orders"] else "none"
    seen = f"{short_time(profile['first_seen'])} to {short_time(profile['last_seen'])}"
    recent = list(dict.fromkeys(profile["recent"]))  # an item that was viewed, put into the cart and bought is one item
    return [
        ("name", name or "-"),
        ("e-mail", str(profile["traits"].get("email", "-"))),
        ("other ids", _other_ids(answer["identity"])),
        ("time zone", _zone(answer["zone"])),
        ("seen", f"{seen}, {counted(profile['sessions'], 'session')}"),
        ("orders", bought + _refunds(profile)),
        ("segment", _segment(answer["segment"])),
        ("segments", ", ".join(f"{one['name']} since {short_time(one['since'])}" for one in answer["segments"]) or "-"),
        ("lifecycle", _lifecycle(answer["lifecycle"])),
        ("journeys", "; ".join(map(_run, answer["journeys"])) or "-"),
        ("RFM scores", _rfm(answer)),
        ("likes", ", ".join(list(profile["categories"])[:5]) or "-"),
        ("recent items", ", ".join(recent[:8]) or "-"),
        ("cart", ", ".join(f"{quantity} x {item}" for item, quantity in profile["cart"].items()) or "empty"),
        *_consents(profile),
    ]
