"""Reports of trusted senders about an address: a complaint, a permanent bounce, or a confirmed grant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.delivery.notices import AddressReport, Notice, ReportKind
from models.engage import consent
from models.events import Channel, Event
from models.profile.state import Facts

_TRAITS: dict[Channel, str] = {"email": "email", "sms": "phone", "push": "push"}
"""Name of the trait, and of the event's property, that holds the address on a channel."""


def reports_of(
    facts: Facts, event: Event, kind: ReportKind, channels: Iterable[Channel]
) -> list[tuple[Channel, Notice]]:
    """Return a report for each channel on which the event's user has an address; none if the event is not live.

    Parameters
    ----------
    facts
        The facts about the event's user. Their address is reported if the event names none.
    event
        The event. If its property ``email``, ``phone`` or ``push`` is an address, that address is reported instead.
    kind
        The kind of the report.
    channels
        The channels that the report is about.
    """
    if event.origin != "live":
        return []  # the suppression list is about real addresses
    source = event.reason or event.name or event.type
    reports: list[tuple[Channel, Notice]] = []
    for channel in channels:
        address = _named(facts, event, channel) or consent.address(facts, channel)
        if address is not None:
            report = AddressReport(user=event.user, address=address, kind=kind, at=event.at, source=source)
            reports.append((channel, report))
    return reports


def _named(facts: Facts, event: Event, channel: Channel) -> str | None:
    """Return the address that the event itself names; a phone number is read with the country in the user's traits."""
    trait = _TRAITS[channel]
    said = (event.properties or {}).get(trait)
    if not isinstance(said, str):
        return None
    traits: dict[str, Any] = {trait: said}
    traits |= {name: facts.traits[name] for name in ("country", "address") if name in facts.traits}
    return consent.address(Facts(traits=traits), channel)
