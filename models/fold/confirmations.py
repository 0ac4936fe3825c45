"""Double opt-in in the fold: ask the owner of an address to confirm a grant, and read the answer."""

from __future__ import annotations

from models.configuration.templates import CONFIRM
from models.engage.consent import address
from models.errors import EventWarning
from models.events import MARKETING, Event
from models.fold.piece import Piece, Step
from models.profile import pending_grants, purposes
from models.profile.signals import Signal
from models.profile.state import Facts
from models.wire.withdrawals import granted_channels_of


def refused(facts: Facts, event: Event) -> EventWarning | None:
    """Return why the click on a link of an e-mail does not count; ``None`` if it does, or for another event."""
    if event.message is None:
        return None
    for channel in granted_channels_of(event.channel):
        key = purposes.key_of(event.purpose or MARKETING, channel)
        if not pending_grants.may_confirm(facts.pending, key, address(facts, channel)):
            allowed = "the link of a grant that is not confirmed yet, sent to the present address of the user"
            return EventWarning("link_used", "message", event.message, allowed, rejected=True)
    return None


def ask(piece: Piece, step: Step) -> list[Signal]:
    """Return the signals that send the e-mails which are due, now that the user may have an address.

    The planner sends none while the channel is paused, and none that has expired. So these do not count as e-mails.
    """
    facts, found, rule = step.user.facts, list[Signal](), piece.versions.configuration.confirm_rule
    is_sent = rule is not None and "email" not in piece.versions.paused and step.now < step.at + rule.expires_after
    for key, one in facts.pending.items():
        purpose, channel = purposes.parts_of(key)
        to = address(facts, "email") if one.is_due and channel == "email" else None
        if to is not None:
            if is_sent:
                facts.pending = pending_grants.asked(facts.pending, key, to, step.now)
            else:
                facts.pending = pending_grants.passed_over(facts.pending, key)
            about = {"purpose": purpose, "channel": channel, "text": one.text}
            found.append(
                Signal(
                    kind="consent_pending",
                    user=step.user.name,
                    at=step.at,
                    cause=f"{step.cause}:{key}",
                    name=CONFIRM,
                    properties=about,
                )
            )
    return found
