"""The values of a user that conditions read: from the facts while events are folded, and from a decision's view."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from models.conditions.clauses import Subject
from models.configuration.compiled import Configuration
from models.engage.user_zone import zone_of
from models.fold.rfm import SCORES, issued_score
from models.places import zones
from models.profile import purposes
from models.profile.ledger import Ledger
from models.profile.snapshot import Seen
from models.profile.state import Consent


class FactValues:
    """The values that follow from the events of a user alone.

    Parameters
    ----------
    facts
        The facts; later changes of them change the values.
    """

    __slots__ = ("_facts",)

    def __init__(self, facts: Seen) -> None:
        self._facts = facts

    def __repr__(self) -> str:
        """Show the facts."""
        return f"FactValues({self._facts!r})"

    def value(self, subject: Subject, name: str) -> Any:
        """Return a trait, or ``granted`` or ``withdrawn`` for consent; ``None`` if it is missing."""
        if subject == "trait":
            return _trait(self._facts.traits, name)
        return _consent(self._facts.consent, name) if subject == "consent" else None

    def learned_since(self, segment: str) -> int | None:  # noqa: ARG002 - an interface has one form
        """Return ``None``: the segment that a model has learned does not follow from the events alone."""
        return None


class DecisionValues:
    """The values of a user as a decision sees them.

    Parameters
    ----------
    facts, ledger
        The user at the decision.
    configuration
        The configuration in use.
    """

    __slots__ = ("_configuration", "_facts", "_ledger")

    def __init__(self, facts: Seen, ledger: Ledger, configuration: Configuration) -> None:
        self._facts = facts
        self._ledger = ledger
        self._configuration = configuration

    def __repr__(self) -> str:
        """Show the facts."""
        return f"DecisionValues({self._facts!r})"

    def value(self, subject: Subject, name: str) -> Any:
        """Return a value; ``None`` if it is missing."""
        match subject:
            case "trait":
                return _trait(self._facts.traits, name)
            case "consent":
                return _consent(self._facts.consent, name)
            case "lifecycle":
                return _stage(self._ledger, self._configuration)
            case "score":
                if name in SCORES:
                    return issued_score(self._ledger, name)
                return self._ledger.risk if name in churn_names(self._configuration) else None
            case "mark":
                return self._ledger.marks.get(name)
            case "feature":
                held = self._ledger.features
                return None if held is None else held.get(name)

    def learned_since(self, segment: str) -> int | None:
        """Return the time since which the user is in a segment that a model has learned; ``None`` if not in it."""
        return self._ledger.segment_since if self._ledger.segment == segment else None


def churn_names(configuration: Configuration) -> tuple[str, str]:
    """Return the names of the churn score in conditions: with and without its horizon."""
    return "churn", f"churn@{configuration.churn.horizon_days}d"


def _stage(ledger: Ledger, configuration: Configuration) -> str | None:
    """Return the user's stage; ``None`` without a lifecycle."""
    if configuration.lifecycle is None:
        return None
    return configuration.lifecycle.stages[0] if ledger.stage is None else ledger.stage.name


def time_zone(traits: dict[str, Any], configuration: Configuration) -> tzinfo:
    """Return the zone in which calendar clauses of a user are read."""
    name = zone_of(traits, configuration.timezone).name
    return UTC if name == "UTC" else zones.zone(name)


def _trait(traits: Mapping[str, Any], name: str) -> Any:
    """Return a trait; ``a.b`` is the part ``b`` of the trait ``a``, unless there is a trait of that whole name."""
    if name in traits or "." not in name:
        return traits.get(name)
    found: Any = traits
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _consent(consent: Mapping[str, Consent], name: str) -> str | None:
    """Return the consent of a name such as ``marketing@email``, or another basis of messages."""
    purpose, _, channel = name.partition("@")
    state = purposes.state_of(consent, purpose, channel)
    if state is None:
        return None
    return (state.basis or "granted") if state.granted else "withdrawn"
