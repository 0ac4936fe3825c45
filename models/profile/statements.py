"""Statements about consent, complaints and bounces that must count whatever becomes of their event.

Such a statement counts although its event is refused (too late, no room). It is passed over only if the very same one
is known already: the user's state remembers the newest of them, however long ago they were.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from models.configuration.compiled import ConsentSettings
from models.events import CHANNELS, REPORTED, Channel, Event
from models.profile import consents
from models.profile import seen_ids as repeats
from models.profile.state import Facts
from models.wire import bounces, withdrawals


class Statement(NamedTuple):
    """The part of an event that must count.

    Attributes
    ----------
    channels
        For which consent is withdrawn; none where a trait repeats what it said before.
    source
        Where the withdrawal comes from, in words.
    complaint
        Whether the recipient marked a message as spam, as a trusted sender says.
    bounce
        Whether the address of the event bounced for good, as a trusted sender says.
    is_whole
        Whether the event is a withdrawal, and says nothing else.
    """

    channels: tuple[Channel, ...] = ()
    source: str = ""
    complaint: bool = False
    bounce: bool = False
    is_whole: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it says anything that was not said before."""
        return bool(self.channels) or self.bounce


MAX_REMEMBERED = 32
"""Maximum number of statements remembered per user; a repeat of an older one counts again."""

SIMPLE = REPORTED | {"page_view", "product_view", "click", "cart_add", "cart_remove", "rating", "support_message"}
"""Types of events that state nothing about consent, unless they carry traits, and name no order."""

NOTHING = ConsentSettings()
"""The built-in tables, with no changes of a configuration."""


def statement_of(facts: Facts, event: Event, settings: ConsentSettings = NOTHING) -> Statement | None:
    """Return what must count of an event; ``None`` for nearly every event.

    Parameters
    ----------
    facts
        Of the event's user, before the event: a trait makes a statement when its value changes, or when it is first
        seen, because sites repeat their traits at every login.
    event
        Any.
    settings
        Changes to the built-in tables.
    """
    kind, own = event.type, None
    if kind == "consent":
        if event.granted is False:
            complaint = event.complaint and event.trust == "server"
            own = Statement(withdrawals.channels_of(event.channel), event.reason or "", complaint, is_whole=True)
    elif kind == "custom" and event.name is not None:
        own = _of_name(event, event.name, settings)
    beside = _of_traits(facts.traits, event.traits, settings) if event.traits else None
    if own is None or beside is None:
        return own or beside
    return own._replace(channels=_ordered({*own.channels, *beside.channels}), source=own.source or beside.source)


def digest_of(event: Event) -> bytes:
    """Return what is remembered of a statement: its id alone may come with other words."""
    return repeats.digest_of(f"{event.id}\0{event.channel}\0{event.at}")


def knows(facts: Facts, digest: bytes) -> bool:
    """Return whether a statement has counted already."""
    stated = facts.stated
    return any(stated[i : i + repeats.WIDTH] == digest for i in range(0, len(stated), repeats.WIDTH))


def remember(facts: Facts, digest: bytes) -> None:
    """Remember a statement that has counted."""
    facts.stated = (facts.stated + digest)[-MAX_REMEMBERED * repeats.WIDTH :]


def withdraw(facts: Facts, channels: tuple[Channel, ...], at: int, source: str) -> tuple[Channel, ...]:
    """Withdraw consent; return the channels for which it was granted until now."""
    lost = []
    for channel in channels:
        known = facts.consent.get(channel)
        if known is not None and known.granted:
            lost.append(channel)
        facts.consent[channel] = consents.withdraw(known, at, source)
    return tuple(lost)


def grant(facts: Facts, event: Event) -> None:
    """Read a grant; one that comes with a public key grants nothing."""
    if event.trust == "public":
        return
    for channel in withdrawals.channels_of(event.channel):
        facts.consent[channel] = consents.grant(facts.consent.get(channel), event.at, event.reason or "")


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
        # it is remembered as well: the same event, read again after the trait has changed, must not withdraw
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
