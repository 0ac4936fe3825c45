"""Limits of a user's traits, and the choice of those that are kept if there is no room for all.

Messages need some traits, such as addresses and names. These have separate room, so other traits can never displace
an address. A trait that does not fit is left out of its event and reported. The rest of the event counts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from models.configuration.compiled import ConsentSettings
from models.errors import EventWarning
from models.profile.statements import NO_SETTINGS

MAX_TRAITS = 100
"""Maximum number of a user's traits, besides those that messages need."""
MAX_BYTES = 32_768
"""Maximum size of those traits as JSON, bytes."""
MAX_NEEDED_BYTES = 16_384
"""Maximum size of the traits that messages need as JSON, bytes."""

MAX_SHOWN = 300
"""Maximum length of the list of omitted traits in a warning, characters."""

NEEDED = frozenset(
    {"email", "phone", "firstName", "lastName", "name", "language", "locale", "timezone", "country", "address"}
)
"""Traits that messages need: for their address, their text and their time."""

ADDRESSES = frozenset({"email", "phone"})
"""Traits that are never left out, because their length is limited when they are read."""

_encoder = msgspec.json.Encoder()
_ALLOWED = (
    f"{MAX_TRAITS} traits and {MAX_BYTES:,} bytes a user, and {MAX_NEEDED_BYTES:,} bytes of those that messages need; "
    "null forgets one"
)


def is_needed(name: str, settings: ConsentSettings = NO_SETTINGS) -> bool:
    """Return whether messages need a trait: it is one of ``NEEDED``, or it states consent."""
    return name in NEEDED or settings.trait(name) is not None


def beyond(known: dict[str, Any], said: dict[str, Any], settings: ConsentSettings = NO_SETTINGS) -> list[str]:
    """Return the names of an event's traits that do not fit into the user's state, in the order of the event.

    A known trait may always get another value that is not larger. Removing a trait makes room.

    Parameters
    ----------
    known
        Traits of the user.
    said
        Traits of the event; the value ``None`` removes a trait.
    settings
        The settings that name the traits which state consent.
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


def warning(names: list[str]) -> EventWarning:
    """Make the warning about omitted traits, which becomes a dead letter.

    Examples
    --------
    >>> warning(["shoe_size", "hobby"]).found
    '2 more: shoe_size, hobby'
    """
    found = f"{len(names)} more: {', '.join(ascii(name)[1:-1] for name in names)}"
    field = f"traits.{ascii(names[0])[1:-1][:60]}" if len(names) == 1 else "traits"
    shown = found if len(found) <= MAX_SHOWN else found[: MAX_SHOWN - 3] + "..."
    return EventWarning("state_full", field, shown, _ALLOWED, rejected=True)


def _size(traits: dict[str, Any]) -> int:
    return len(_encoder.encode(traits))
