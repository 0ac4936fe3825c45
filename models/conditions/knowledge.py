"""Collect what is known of the events and users of a log, to find mistakes in conditions.

Nothing here decides about a user. What the log has not shown may still come, so a missing name is only a hint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Literal, TypeAlias

from models.conditions.periods import read_time
from models.conditions.properties import LINE, LINE_NAMES, MONEY, event_key
from models.events import Event

Kind: TypeAlias = Literal["text", "time", "local time", "number", "flag", "list", "object"]
"""Kind of a value. A ``time`` is a text of ISO 8601 with its zone, and a ``local time`` is one without a zone."""
Kinds: TypeAlias = frozenset[Kind]

TEXTS: Kinds = frozenset({"text", "time", "local time"})
"""Kinds of values that are texts."""
NUMBERS: Kinds = frozenset({"number"})
"""Kinds of values that are numbers."""
MAX_DEPTH = 3
"""Maximum depth of objects in properties whose names are remembered."""
MAX_NAMES = 5_000
"""Maximum number of names that are remembered of events, of the properties of one, and of traits."""

_TEXT: Kinds = frozenset({"text"})
FIELDS: Mapping[str, Kinds] = {
    **dict.fromkeys(("item", "category", "order", "text", "name", "channel", "message", "reason", "origin"), _TEXT),
    **dict.fromkeys(("quantity", "rating", *MONEY), NUMBERS),
    **{LINE + name: _TEXT if name in ("item", "category") else NUMBERS for name in LINE_NAMES},
}
"""Kinds of the fields that events have beside the properties of their senders."""


def kind_of(value: Any) -> Kind | None:
    """Return the kind of a value; ``None`` if there is none.

    Examples
    --------
    >>> kind_of(True), kind_of(3), kind_of("pro"), kind_of("2026-01-01T00:00Z"), kind_of("2026-01-01")
    ('flag', 'number', 'text', 'time', 'local time')
    """
    match value:
        case None:
            return None
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case str():
            return _kind_of_text(value)
        case list() | tuple():
            return "list"
    return "object"


def _kind_of_text(text: str) -> Kind:
    if read_time(text, None) is not None:
        return "time"
    return "text" if read_time(text, UTC) is None else "local time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """The known names and kinds; each part is ``None`` if nothing is known about it.

    Attributes
    ----------
    source
        Where it is from, such as ``the newest 4,000 events``.
    events
        Kinds of the properties by name, by the name of the event.
    traits
        Kinds of the traits by name.
    learned
        Names of the learned segments in use.
    features, scores, stages, marks
        Names of the features, of the scores, of the states of the lifecycle, and of the marks that journeys set.
    purposes
        Purposes to which users may consent.
    ranges
        Least and greatest value of a score, by its name.
    logarithms
        Names of the features that are logarithms.
    read_as
        Types as which events of some names are read, by the name in lower case, such as ``order completed``.
    retention
        Time for which the log keeps events, milliseconds; ``None`` if it keeps them for ever.
    """

    source: str = ""
    events: Mapping[str, Mapping[str, Kinds]] | None = None
    traits: Mapping[str, Kinds] | None = None
    learned: Collection[str] | None = None
    features: Collection[str] | None = None
    scores: Collection[str] | None = None
    stages: Collection[str] | None = None
    marks: Collection[str] | None = None
    purposes: Collection[str] | None = None
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    logarithms: Collection[str] = ()
    read_as: Mapping[str, str] = field(default_factory=dict)
    retention: int | None = None


class Sightings:
    """Names and kinds that events have shown."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: dict[str, dict[str, Kinds]] = {}
        self.traits: dict[str, Kinds] = {}
        for event in events:
            self.add(event)

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"Sightings({len(self.events)} events, {len(self.traits)} traits)"

    def add(self, event: Event) -> None:
        """Add an event."""
        name = event_key(event)
        if name not in self.events and len(self.events) >= MAX_NAMES:
            return
        _add(self.events.setdefault(name, {}), event.properties or {}, "", 1)
        if event.type == "identify":
            _add(self.traits, event.traits or {}, "", 1)


def _add(kinds: dict[str, Kinds], values: Mapping[str, Any], prefix: str, depth: int) -> None:
    for name, value in values.items():
        kind, path = kind_of(value), prefix + name
        if kind is None or (path not in kinds and len(kinds) >= MAX_NAMES):
            continue
        kinds[path] = kinds.get(path, frozenset()) | {kind}
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            _add(kinds, value, f"{path}.", depth + 1)
