"""Replace everything personal in recorded events: ids, addresses, and texts that no condition needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from models.conditions.clauses import (
    AbsentClause,
    Condition,
    EventClause,
    SequenceClause,
    ValueClause,
    ValueComparison,
    Where,
)
from models.conditions.periods import read_time
from models.configuration.compiled import Configuration
from models.configuration.journeys.checking import conditions_of, leaves_of
from models.configuration.journeys.parts import matches_with_paths
from models.configuration.templates import members_of

PLACES = ("timezone", "country", "locale", "language")
"""Traits that stay as they are: they say where a user is, and which language the user reads."""
_ADDRESSES = ("email", "phone")
_NAMES = {"firstName": "Ada", "first_name": "Ada", "lastName": "Lovelace", "last_name": "Lovelace"}
_LENGTH = 9_900
"""Number of different phone numbers."""


class NamesInUse:
    """The names and texts that a configuration reads.

    Parameters
    ----------
    configuration
        The configuration.

    Attributes
    ----------
    traits, properties
        Names of the traits and of the properties that conditions, journeys and templates read.
    texts
        Texts with which conditions compare.
    parts
        Texts that conditions look for in other texts.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.traits: set[str] = set()
        self.properties: set[str] = set()
        self.texts: set[str] = set()
        self.parts: set[str] = set()
        for condition in _conditions(configuration):
            self._read(condition)
        for journey in configuration.journeys:
            self.properties |= {*journey.enter.kept, *({journey.goal.value} if journey.goal is not None else ())}
            for match in matches_with_paths(journey, ""):
                self._where(match.match.where)
        for rule in configuration.rules:
            self._where(rule.when.conditions)
            self.properties |= set(rule.when.where)
            self.texts |= {value for values in rule.when.where.values() for value in values if isinstance(value, str)}
        for template in configuration.templates.values():
            self.traits |= {one.member for one in members_of(template, "traits")}

    def __repr__(self) -> str:
        """Show the amounts."""
        return f"NamesInUse({len(self.traits)} traits, {len(self.properties)} properties)"

    def _read(self, condition: Condition) -> None:
        for leaf in leaves_of(condition):
            match leaf:
                case EventClause() | AbsentClause():
                    self._where(leaf.where)
                    if isinstance(leaf, EventClause) and leaf.measure.of:
                        self.properties.add(leaf.measure.of)
                case SequenceClause(steps):
                    for step in steps:
                        self._where(step.where)
                case ValueClause("trait", name):
                    self.traits.add(name)
                    if leaf.comparison is not None:
                        self._compare(leaf.comparison)

    def _where(self, where: Where) -> None:
        for name, comparison in where:
            self.properties.add(name)
            self._compare(comparison)
            if comparison.same_as is not None:
                self.properties.add(comparison.same_as.partition(".")[2])

    def _compare(self, comparison: ValueComparison) -> None:
        self.texts |= {text for text in comparison.among if isinstance(text, str)}
        self.parts |= {text for text in (comparison.starts_with, comparison.contains) if isinstance(text, str)}


def _conditions(configuration: Configuration) -> Iterator[Condition]:
    yield from (segment.when for segment in configuration.segments)
    if configuration.lifecycle is not None:
        yield from (move.when for move in configuration.lifecycle.moves)
    for journey in configuration.journeys:
        yield from conditions_of(journey)


class Replacements:
    """The replacements in one recording: equal texts get equal replacements, and no replacement shows its text.

    Parameters
    ----------
    names
        The names and texts that the configuration reads.
    """

    def __init__(self, names: NamesInUse) -> None:
        self._names = names
        self._known: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}

    def __repr__(self) -> str:
        """Show the amount."""
        return f"Replacements({len(self._known)})"

    def text(self, kind: str, text: str) -> str:
        """Return the replacement of a text of a kind, such as ``order_2``."""
        if (kind, text) not in self._known:
            self._numbers[kind] = self._numbers.get(kind, 0) + 1
            self._known[kind, text] = f"{kind}_{self._numbers[kind]}"
        return self._known[kind, text]

    def user(self, user: str) -> str:
        """Return the replacement of a user's id."""
        return self.text("user", user)

    def traits(self, traits: Mapping[str, Any]) -> dict[str, Any]:
        """Return the traits that the configuration reads, and those that messages need, with texts replaced."""
        found: dict[str, Any] = {}
        for name, value in traits.items():
            if name in PLACES:
                found[name] = value
            elif name in _ADDRESSES and isinstance(value, str):
                found[name] = self._address(name, value)
            elif name in _NAMES and value:
                found[name] = _NAMES[name]
            elif name == "address" and isinstance(value, Mapping) and "country" in value:
                found[name] = {"country": value["country"]}
            else:
                kept = self._kept(name, value, self._names.traits)
                if kept is not None:
                    found[name] = kept
        return found

    def properties(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return the properties that the configuration reads, with texts replaced."""
        kept = {name: self._kept(name, value, self._names.properties) for name, value in properties.items()}
        return {name: value for name, value in kept.items() if value is not None}

    def _kept(self, path: str, value: Any, names: set[str]) -> Any:
        """Return a value whose name is read, or the parts of an object that are; ``None`` for nothing."""
        if isinstance(value, Mapping):
            inner = {name: self._kept(f"{path}.{name}", one, names) for name, one in value.items()}
            return {name: one for name, one in inner.items() if one is not None} or None
        return self._value(path, value) if path in names else None

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._value(name, one) for one in value]
        if not isinstance(value, str) or value in self._names.texts or read_time(value, UTC) is not None:
            return value
        kept = next((text for text in sorted(self._names.parts) if text and text in value), None)
        return self.text(name.rpartition(".")[2], value) if kept is None else kept

    def _address(self, name: str, value: str) -> str:
        if name == "email":
            domain = next((text for text in self._names.parts if text.startswith("@") and value.endswith(text)), None)
            return self.text("person", value).replace("_", "") + (domain or "@example.org")
        number = int(self.text("phone", value).rpartition("_")[2])
        return f"+4930901{number % _LENGTH:04d}"
