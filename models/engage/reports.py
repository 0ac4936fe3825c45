"""Reports of trusted senders about an address: it complained, bounced for good, or confirmed a grant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.delivery.notices import AddressReport, Notice, ReportKind
from models.engage import consent
from models.events import Channel, Event
from models.profile.state import Facts

_TRAITS: dict[Channel, str] = {"email": "email", "sms": "phone"}
"""The trait, and the event's property, that holds a channel's address."""


def reports_of(
    facts: Facts, event: Event, kind: ReportKind, channels: Iterable[Channel]
) -> list[tuple[Channel, Notice]]:
    """Return a report for each channel on which the event's user has an address; none of an event that is not live.

    Parameters
    ----------
    facts
        Of the event's user; their address counts where the event names none.
    event
        Its property ``email`` or ``phone`` wins over the trait, where that is an address.
    kind
        Of the report.
    channels
        Which channels it is about.
    """
    if event.origin != "live":
        return []  # the list is about real addresses
    source = event.reason or event.name or event.type
    reports: list[tuple[Channel, Notice]] = []
    for channel in channels:
        address = _named(facts, event, channel) or consent.address(facts, channel)
        if address is not None:
            report = AddressReport(user=event.user, address=address, kind=kind, at=event.at, source=source)
            reports.append((channel, report))
    return reports


def _named(facts: Facts, event: Event, channel: Channel) -> str | None:
    """Return the address that the event itself names, read as the user's own would be."""
    trait = _TRAITS[channel]
    said = (event.properties or {}).get(trait)
    if not isinstance(said, str):
        return None
    traits: dict[str, Any] = {trait: said}
    traits |= {name: facts.traits[name] for name in ("country", "address") if name in facts.traits}
    return consent.address(Facts(traits=traits), channel)
