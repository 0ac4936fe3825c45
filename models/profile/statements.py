"""Statements about consent, complaints and bounces that must count, even if their event does not.

Such a statement counts although its event is refused (too late, no room). It is ignored only if the same statement has
counted before. The user's state remembers the newest statements, however long ago they were.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from models.configuration.compiled import ConsentSettings
from models.errors import EventWarning
from models.events import CHANNELS, FIRST_CHANNELS, MARKETING, REPORTED, Channel, Event
from models.profile import pending_grants, purposes, seen_ids
from models.profile.consents import ConsentProof
from models.profile.state import Facts
from models.wire import bounces, withdrawals


class Statement(NamedTuple):
    """The part of an event that must count.

    Attributes
    ----------
    channels
        The channels for which consent is withdrawn; none if a trait only repeats its previous value.
    purpose
        The purpose to which consent is withdrawn; ``None`` means all purposes.
    source
        The source of the withdrawal, in words.
    complaint
        Whether a trusted sender reports that the recipient marked a message as spam.
    bounce
        Whether a trusted sender reports that the address of the event has bounced permanently.
    is_whole
        Whether the event is a withdrawal and has no other content.
    """

    channels: tuple[Channel, ...] = ()
    source: str = ""
    complaint: bool = False
    bounce: bool = False
    is_whole: bool = False
    purpose: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether the statement has content that was not stated before."""
        return bool(self.channels) or self.bounce


MAX_REMEMBERED = 32
"""Maximum number of statements remembered per user; a repeat of an older one counts again."""

SIMPLE = REPORTED | {"page_view", "product_view", "click", "cart_add", "cart_remove", "rating", "support_message"}
"""Types of events that name no order, and that state nothing about consent unless they carry traits."""

NO_SETTINGS = ConsentSettings()
"""The built-in tables, without changes by a configuration."""


def statement_of(facts: Facts, event: Event, settings: ConsentSettings = NO_SETTINGS) -> Statement | None:
    """Return the part of an event that must count; ``None`` for nearly every event.

    Parameters
    ----------
    facts
        The facts about the event's user, before the event. A trait makes a statement only when it is first seen or
        when its value changes, because sites repeat their traits at every login.
    event
        The event, of any type.
    settings
        Changes to the built-in tables.
    """
    kind, own = event.type, None
    if kind == "consent":
        if event.granted is False:
            complaint = event.complaint and event.trust == "server"
            channels, purpose = withdrawals.channels_of(event.channel), _purpose(facts, event, settings)
            own = Statement(channels, event.reason or "", complaint, is_whole=True, purpose=purpose)
    elif kind == "custom" and event.name is not None:
        own = _of_name(event, event.name, settings)
    beside = _of_traits(facts.traits, event.traits, settings) if event.traits else None
    if own is None or beside is None:
        return own or beside
    # A trait withdraws consent to all purposes.
    purpose = None if beside.channels else own.purpose
    channels = _ordered({*own.channels, *beside.channels})
    return own._replace(channels=channels, source=own.source or beside.source, purpose=purpose)


def rest_of(
    facts: Facts, event: Event, statement: Statement, left_out: list[str], settings: ConsentSettings = NO_SETTINGS
) -> Statement | None:
    """Return what the event does not state without some of its traits; ``None`` if it states everything.

    Parameters
    ----------
    facts
        The facts about the event's user, before the event.
    event, statement
        The event, and its whole statement.
    left_out
        Names of the traits for which there is no room.
    settings
        Changes to the built-in tables.
    """
    if not left_out or not statement.channels:
        return None
    known = statement_of(facts, without(event, left_out), settings) or Statement()
    channels = tuple(one for one in statement.channels if one not in known.channels)
    return Statement(channels, statement.source) if channels else None


def without(event: Event, names: list[str]) -> Event:
    """Return an event without some of its traits."""
    if not names or event.traits is None:
        return event
    left_out = frozenset(names)
    kept = {name: value for name, value in event.traits.items() if name not in left_out}
    return msgspec.structs.replace(event, traits=kept)


def digest_of(event: Event) -> bytes:
    """Return the digest of a statement: of its id, channel, time and purpose. An id may come with another statement."""
    purpose = "" if event.purpose is None else f"\0{event.purpose}"
    return seen_ids.digest_of(f"{event.id}\0{event.channel}\0{event.at}{purpose}")


def knows(facts: Facts, digest: bytes) -> bool:
    """Return whether a statement has counted before."""
    stated = facts.stated
    return any(stated[i : i + seen_ids.WIDTH_BYTES] == digest for i in range(0, len(stated), seen_ids.WIDTH_BYTES))


def remember(facts: Facts, digest: bytes) -> None:
    """Remember a statement that has counted."""
    facts.stated = (facts.stated + digest)[-MAX_REMEMBERED * seen_ids.WIDTH_BYTES :]


class Withdrawn(NamedTuple):
    """Consent that a statement has withdrawn.

    Attributes
    ----------
    granted
        The channels for which consent was granted until now, for one purpose or another.
    purpose
        The purpose to which consent is withdrawn; ``None`` means all purposes.
    """

    granted: tuple[Channel, ...]
    purpose: str | None


def withdraw(facts: Facts, statement: Statement, event: Event, level: int = purposes.LEVEL) -> Withdrawn:
    """Withdraw consent by a statement of an event, and end the pending grants that are not newer.

    A purpose for which there is no room withdraws all purposes. So does every purpose at the first format level.

    Parameters
    ----------
    facts
        The facts about the event's user, changed in place.
    statement, event
        The statement, and its event.
    level
        The format level in use.
    """
    before = consent = facts.consent
    proof = ConsentProof(statement.source, event.id, event.type)
    is_known = statement.purpose is None or purposes.has_room(before, statement.purpose)
    purpose = statement.purpose if is_known and level >= purposes.LEVEL else None
    channels = purposes.channels_at(level, statement.channels)
    if statement.channels and not channels:
        channels = FIRST_CHANNELS  # as in code of that level, to which a channel without a name means all channels
    for channel in channels:
        if purpose is None and purposes.is_implied(consent, channel, channels):
            continue
        if purpose is None:
            consent = purposes.withdraw_all(consent, channel, event.stated_at, proof, level)
        else:
            consent = purposes.withdraw_one(consent, purpose, channel, event.stated_at, proof)
    facts.consent = dict(consent)  # a decision may still see the old one
    facts.pending = pending_grants.ended(facts.pending, channels, purpose, event.stated_at)
    lost = {channel for channels in purposes.lost(before, consent).values() for channel in channels}
    return Withdrawn(tuple(channel for channel in channels if channel in lost), purpose)


def grant(
    facts: Facts, event: Event, settings: ConsentSettings = NO_SETTINGS, level: int = purposes.LEVEL
) -> EventWarning | None:
    """Read a grant. One that has to be confirmed waits for this. One that comes with a browser key grants nothing.

    Parameters
    ----------
    facts
        The facts about the event's user, changed in place.
    event
        The event, which is a grant.
    settings
        The settings of consent.
    level
        The format level in use.

    Returns
    -------
    EventWarning or None
        The reason why the grant does not count; ``None`` if it is read, or if it was ignored because of its key.
    """
    if event.trust == "public" and (not settings.confirm or event.basis is not None):
        return None
    purpose = event.purpose or MARKETING
    if (refused := _refused(facts, purpose, event, settings, level)) is not None:
        return refused
    proof = ConsentProof(event.reason or "", event.id, event.type, event.confirmed, event.text or "")
    consent = facts.consent
    is_confirmed = event.confirmed and event.trust == "server"
    for channel in withdrawals.granted_channels_of(event.channel):
        key = purposes.key_of(purpose, channel)
        if event.basis is None and not is_confirmed and channel in settings.confirm:
            if event.imported is not None:
                return _unconfirmed(channel)
            facts.pending = pending_grants.requested(facts.pending, consent, key, event)
        elif event.trust == "public":
            continue
        elif event.basis is None:
            consent = purposes.grant(consent, purpose, channel, event.stated_at, proof, level=level)
            if consent[key].granted:
                facts.pending = pending_grants.without(facts.pending, key)
        else:
            consent = purposes.permit(consent, purpose, channel, event.stated_at, proof)
    facts.consent = dict(consent)
    return None


def _unconfirmed(channel: Channel) -> EventWarning:
    """Return why an imported grant does not count: it is not confirmed, and an import sends no e-mail."""
    allowed = f"true: `consent.confirm` asks for the confirmation of each grant by {channel}"
    return EventWarning("unconfirmed", "confirmed", "false", allowed, rejected=True)


def _refused(facts: Facts, purpose: str, event: Event, settings: ConsentSettings, level: int) -> EventWarning | None:
    """Return why a grant does not count, for the dead letters; ``None`` if it counts."""
    if event.channel is not None and not purposes.channels_at(level, (event.channel,)):
        allowed = f"{', '.join(FIRST_CHANNELS)}; others need format level {purposes.LEVEL} of the log"
        return EventWarning("bad_channel", "channel", event.channel, allowed, rejected=True)
    if level < purposes.LEVEL and event.granted is None:
        field, found = ("basis", event.basis) if event.basis is not None else ("purpose", purpose)
        allowed = f"{MARKETING} by consent; others need format level {purposes.LEVEL} of the log"
        return EventWarning("unknown_purpose", field, str(found), allowed, rejected=True)
    if event.basis is not None and settings.existing_customer is None:
        allowed = "consent; `consent.existing_customer` in perennial.yaml allows existing_customer"
        return EventWarning("unknown_basis", "basis", event.basis, allowed, rejected=True)
    if purpose != MARKETING and purpose not in settings.purposes:
        allowed = f"{', '.join((MARKETING, *settings.purposes))}: `consent.purposes` in perennial.yaml lists them"
        return EventWarning("unknown_purpose", "purpose", purpose, allowed, rejected=True)
    if not purposes.has_room(facts.consent, purpose):
        allowed = f"at most {purposes.MAX_PURPOSES} purposes per user"
        return EventWarning("state_full", "purpose", purpose, allowed, rejected=True)
    return None


def _purpose(facts: Facts, event: Event, settings: ConsentSettings) -> str | None:
    """Return the purpose of a withdrawal; ``None`` for all, also if it states an unknown purpose."""
    stated = event.purpose
    if stated is None or event.complaint:
        return None
    known = stated == MARKETING or stated in settings.purposes or stated in purposes.purposes_of(facts.consent)
    return stated if known else None


def _of_traits(known: dict[str, Any], said: dict[str, Any], settings: ConsentSettings) -> Statement | None:
    channels: set[Channel] = set()
    names, repeated = [], False
    for name, value in said.items():
        trait = settings.trait(name)
        if trait is None or withdrawals.meaning(trait, value) != "withdrawal":
            continue
        if name in known and withdrawals.meaning(trait, known[name]) == "withdrawal":
            repeated = True
            continue
        channels.update(withdrawals.channels_of(trait.channel))
        names.append(name)
    if not names:
        # A repeated statement is remembered too. Otherwise its event would withdraw consent if it were read again after
        # the trait has changed.
        return Statement() if repeated else None
    return Statement(_ordered(channels), f"trait {', '.join(names)}"[:200])


def _ordered(channels: Collection[Channel]) -> tuple[Channel, ...]:
    return tuple(one for one in CHANNELS if one in channels)


def _of_name(event: Event, name: str, settings: ConsentSettings) -> Statement | None:
    if settings.events and (found := settings.event(name)) is not None:
        channel = withdrawals.channel_of((event.properties or {}).get("channel"), found.channel)
        return Statement(withdrawals.channels_of(channel), f"event {name}")
    if event.trust == "server" and bounces.is_bounce(name) and bounces.is_hard(name, event.properties or {}):
        return Statement(bounce=True)
    return None
