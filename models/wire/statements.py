"""The traits of one record that state something about consent: how they are found, limited and reviewed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.errors import EventWarning
from models.wire.fields import quoted, shown
from models.wire.withdrawals import MAX_NAME, Meaning, meaning, normalized, resembles, stating

MAX_HINTS = 20
"""Maximum number of traits that are named in the warnings about one event."""

_UNCLEAR = "true or false; it counts neither as a withdrawal nor as a grant"
RESEMBLES = "not a withdrawal, unless the section consent of perennial.yaml names it; docs/events.md lists the names"
_GRANT_HINT = "only a withdrawal; to grant consent, send Consent Given with a channel"


def statements(traits: object) -> dict[str, Any]:
    """Return those traits whose names are about consent, with any values.

    Examples
    --------
    >>> statements({"plan": "pro", "emailOptOut": True})
    {'emailOptOut': True}
    """
    if not traits or not isinstance(traits, dict):
        return {}
    return {name: value for name, value in traits.items() if isinstance(name, str) and stating(name) is not None}


def withdrawing(traits: object) -> dict[str, Any]:
    """Return those traits whose values are withdrawals."""
    said = statements(traits)
    return {name: value for name, value in said.items() if _read(name, value) == "withdrawal"}


def brief(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statements that an event keeps; their number and size are limited.

    A long or nested value cannot be read, and is left out. If a name occurs in several spellings, one of them is kept.
    A withdrawal takes precedence.

    Examples
    --------
    >>> brief({"unsubscribed": False, "Unsubscribed": True, "opt_out": [[True]]})
    {'Unsubscribed': True}
    """
    kept: dict[str, tuple[str, Any]] = {}
    for name, value in said.items():
        if isinstance(value, dict | list) or (isinstance(value, str) and len(value) > MAX_NAME):
            continue
        plain = normalized(name)
        if plain not in kept or _read(name, value) == "withdrawal":
            kept[plain] = name, value
    return dict(kept.values())


def review(traits: Mapping[str, Any], path: str, warnings: list[EventWarning]) -> None:
    """Append a warning for each trait that looks like a grant, or like a withdrawal with an unknown name.

    All unclear traits together give one warning, which becomes a dead letter.

    Parameters
    ----------
    traits
        Traits of an event that is accepted.
    path
        Path of the traits in the record, such as ``traits``.
    warnings
        List to which the warnings are appended.
    """
    grants, unclear, alike = [], [], []
    for name, value in traits.items():
        if value is not None and resembles(name):
            alike.append(name)
        said = _read(name, value)
        if said == "grant":
            grants.append(name)
        elif said == "unclear":
            unclear.append(name)
    warnings += [
        EventWarning("no_grant", f"{path}.{quoted(name)}", shown(traits[name]), _GRANT_HINT)
        for name in grants[:MAX_HINTS]
    ]
    warnings += [
        EventWarning("no_withdrawal", f"{path}.{quoted(name)}", shown(traits[name]), RESEMBLES)
        for name in alike[:MAX_HINTS]
    ]
    if not unclear:
        return
    field, found = f"{path}.{quoted(unclear[0])}", shown(traits[unclear[0]])
    if len(unclear) > 1:  # only one dead letter, because a small record must not cause thousands
        names = ", ".join(map(quoted, unclear[:MAX_HINTS]))
        field, found = path, f"{len(unclear)} unclear: {names}"
    warnings.append(EventWarning("bad_consent", field, found, _UNCLEAR, rejected=True))


def _read(name: str, value: object) -> Meaning:
    trait = stating(name)
    return "nothing" if trait is None else meaning(trait, value)
