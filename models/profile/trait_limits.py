"""Limits of a user's traits: which of them are kept when there is no room for all.

Messages need some traits: where a user is reached, and how. They have room of their own, so no number of other traits
can keep an address out. What does not fit is left out of its event, and reported; the rest of the event counts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from models.configuration.compiled import ConsentSettings
from models.errors import EventWarning
from models.events import Event
from models.profile.statements import NOTHING

MAX_TRAITS = 100
"""Maximum number of a user's traits, besides those that messages need."""
MAX_BYTES = 32_768
"""Maximum size of those traits, as JSON."""
MAX_NEEDED_BYTES = 16_384
"""Maximum size of the traits that messages need, as JSON."""

MAX_SHOWN = 300
"""Maximum number of characters in which a warning names what was left out."""

NEEDED = frozenset(
    {"email", "phone", "firstName", "lastName", "name", "language", "locale", "timezone", "country", "address"}
)
"""Traits that messages are addressed and written with."""

ADDRESSES = frozenset({"email", "phone"})
"""Traits that are never left out: their length is limited where they are read."""

_encoder = msgspec.json.Encoder()
_ALLOWED = (
    f"{MAX_TRAITS} traits and {MAX_BYTES:,} bytes a user, and {MAX_NEEDED_BYTES:,} bytes of those that messages need; "
    "null forgets one"
)


def is_needed(name: str, settings: ConsentSettings = NOTHING) -> bool:
    """Return whether messages need a trait: it is one of ``NEEDED``, or states consent."""
    return name in NEEDED or settings.trait(name) is not None


def beyond(known: dict[str, Any], said: dict[str, Any], settings: ConsentSettings = NOTHING) -> list[str]:
    """Return the names of those traits of an event for which a user has no room, in the order of the event.

    A trait that is known may get another value of its size, and one that is forgotten makes room.

    Parameters
    ----------
    known
        Traits of the user.
    said
        Traits of the event; ``None`` forgets one.
    settings
        Say which traits state consent.
    """
    together = known | said
    if len(together) <= MAX_TRAITS and _size(together) <= MAX_NEEDED_BYTES:
        return []
    kept = dict(known)
    left_out = []
    number = sum(not is_needed(name, settings) for name in known)
    sizes = {False: 0, True: 0}
    for name, value in known.items():
        sizes[is_needed(name, settings)] += _size({name: value})
    for name, value in said.items():
        needed = is_needed(name, settings)
        was = _size({name: kept[name]}) if name in kept else 0
        will = 0 if value is None else _size({name: value})
        more = (not needed) * ((value is not None) - (name in kept))
        is_full = sizes[needed] + will - was > (MAX_NEEDED_BYTES if needed else MAX_BYTES)
        if (
            value is not None
            and name not in ADDRESSES
            and ((is_full and will > was) or (more > 0 and number >= MAX_TRAITS))
        ):
            left_out.append(name)
            continue
        sizes[needed] += will - was
        number += more
        kept.pop(name, None)
        if value is not None:
            kept[name] = value
    return left_out


def without(event: Event, names: list[str]) -> Event:
    """Return an event without some of its traits."""
    if not names or event.traits is None:
        return event
    left_out = frozenset(names)
    kept = {name: value for name, value in event.traits.items() if name not in left_out}
    return msgspec.structs.replace(event, traits=kept)


def warning(names: list[str]) -> EventWarning:
    """Say which traits were left out; it becomes a dead letter.

    Examples
    --------
    >>> warning(["shoe_size", "hobby"]).found
    '2 more: shoe_size, hobby'
    """
    found = f"{len(names)} more: {', '.join(ascii(name)[1:-1] for name in names)}"
    field = f"traits.{ascii(names[0])[1:-1][:60]}" if len(names) == 1 else "traits"
    return EventWarning(
        "state_full", field, found if len(found) <= 300 else found[:297] + "...", _ALLOWED, rejected=True
    )


def _size(traits: dict[str, Any]) -> int:
    return len(_encoder.encode(traits))
