"""What an imported event would change of a user, as the user is known now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from models.engage.consent import address
from models.events import MARKETING, Channel, Event
from models.imports.lines import channels_in
from models.profile import purposes
from models.profile.import_records import ImportedPast
from models.profile.state import Consent, Facts

Verdict = Literal["new", "changed", "unchanged", "outweighed"]
"""The effect that an event would have. ``outweighed``: the grant does not count, because a withdrawal is as new."""

VERDICTS: tuple[Verdict, ...] = ("new", "changed", "unchanged", "outweighed")


def verdict_of(facts: Facts | None, event: Event) -> Verdict:
    """Return what an event would do to a user; ``None`` stands for a user who is not known."""
    if event.type == "consent":
        return _of_consent({} if facts is None else facts.consent, event, is_new=facts is None)
    if facts is None:
        return "new"
    traits = _traits_after(facts, event)
    return "changed" if traits != facts.traits or _has_new_totals(facts, event) else "unchanged"


def reached(facts: Facts | None, event: Event, is_suppressed: Callable[[Channel, str], bool]) -> set[Channel]:
    """Return the channels over which marketing would reach the user after the event.

    Parameters
    ----------
    facts
        What is known of the user; ``None`` for a user who is not known.
    event
        The event.
    is_suppressed
        Whether the suppression list stops marketing to an address.
    """
    before = Facts() if facts is None else facts
    consent = _consent_after(before.consent, event) if event.type == "consent" else before.consent
    after = Facts(traits=_traits_after(before, event), consent=dict(consent))
    found: set[Channel] = set()
    for channel in channels_in(event):
        state = purposes.state_of(after.consent, event.purpose or MARKETING, channel)
        to = address(after, channel) if state is not None and state.granted else None
        if to is not None and not is_suppressed(channel, to):
            found.add(channel)
    return found


def _traits_after(facts: Facts, event: Event) -> dict[str, Any]:
    """Return the traits after an event; one that something newer has set stays."""
    times = {} if facts.window is None else facts.window.traits
    said = {name: value for name, value in (event.traits or {}).items() if event.stated_at >= times.get(name, 0)}
    return {name: value for name, value in (facts.traits | said).items() if value is not None}


def _has_new_totals(facts: Facts, event: Event) -> bool:
    note, past = event.imported, facts.past
    if note is None or note.totals is None:
        return False
    said = note.totals
    stated = ImportedPast("", said.first_seen, said.last_seen, said.orders, said.spent, said.last_order)
    return past is None or msgspec.structs.replace(past, run="") != stated


def _consent_after(consent: Mapping[str, Consent], event: Event) -> Mapping[str, Consent]:
    after = dict(consent)
    for channel in channels_in(event):
        if event.is_grant:
            after = purposes.grant(after, event.purpose or MARKETING, channel, event.stated_at)
        elif event.purpose is None or event.complaint:
            after = purposes.withdraw_all(after, channel, event.stated_at)
        else:
            after = purposes.withdraw_one(after, event.purpose, channel, event.stated_at)
    return after


def _of_consent(consent: Mapping[str, Consent], event: Event, *, is_new: bool) -> Verdict:
    after = _consent_after(consent, event)
    purpose = event.purpose or MARKETING
    if event.is_grant and not all(_allows(after, purpose, channel) for channel in channels_in(event)):
        return "outweighed"
    if is_new:
        return "new"
    changed = {key for key in after if _answer(after.get(key)) != _answer(consent.get(key))}
    return "changed" if changed else "unchanged"


def _allows(consent: Mapping[str, Consent], purpose: str, channel: str) -> bool:
    state = purposes.state_of(consent, purpose, channel)
    return state is not None and state.granted


def _answer(state: Consent | None) -> tuple[object, ...]:
    return () if state is None else (state.granted, state.at, state.basis, state.everything)
