"""Invariants that hold at every step of a test, whatever it expects. They are computed here without the planner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from models.configuration.compiled import Configuration
from models.durations import written
from models.engage import consent, quiet_hours
from models.engage.decisions import Decision
from models.engage.planner import journey_of
from models.engage.user_zone import zone_of
from models.fold.moments import moment
from models.journey_tests.memory import MemoryInstallation
from models.journey_tests.timeline import TimelineEntry
from models.journey_tests.written import Invariant


class BrokenInvariant(NamedTuple):
    """An invariant that did not hold, with the time, the user, and what has happened."""

    invariant: Invariant
    at: int
    user: str
    says: str


class Invariants:
    """The invariants of one run of a test.

    Parameters
    ----------
    configuration
        The configuration.
    installation
        The fold, whose state is that of the newest record.
    wanted
        Names of the invariants.

    Attributes
    ----------
    violations
        What did not hold.
    """

    def __init__(
        self, configuration: Configuration, installation: MemoryInstallation, wanted: Collection[Invariant]
    ) -> None:
        self._configuration = configuration
        self._installation = installation
        self._wanted = frozenset(wanted)
        self._counted: defaultdict[str, list[Decision]] = defaultdict(list)
        self._accepted: set[str] = set()
        self.violations: list[BrokenInvariant] = []

    def __repr__(self) -> str:
        """Show the amount."""
        return f"Invariants({len(self.violations)} violations)"

    def look_at(self, entry: TimelineEntry) -> None:
        """Look at what has happened."""
        for invariant, says in self._found(entry):
            if invariant in self._wanted:
                self.violations.append(BrokenInvariant(invariant, entry.at, entry.user, says))

    def _found(self, entry: TimelineEntry) -> Iterator[tuple[Invariant, str]]:
        decision, message = entry.decision, entry.message
        if entry.kind in ("dropped", "deferred") and not entry.reason:
            yield "every_drop_has_a_reason", f"{entry.name} was {entry.kind} without a reason"
        if entry.given_up:
            self._counted[entry.user] = [one for one in self._counted[entry.user] if one.id != entry.given_up]
        if entry.kind == "sent" and decision is not None:
            yield from self._capped(entry.user, decision)
        if message is None:
            return
        if message.id in self._accepted:
            yield "never_twice", f"{entry.name} was handed over twice under the id {message.id}"
        self._accepted.add(message.id)
        if message.category != "marketing":
            return
        facts = self._installation.customer(entry.user).facts
        settings = self._configuration.consent
        if consent.obstacle(facts, message.purpose, message.channel, settings, entry.at) is not None:
            says = f"{entry.name} was sent over {message.channel} without consent to {message.purpose}"
            yield "never_without_consent", says
        quiet = self._configuration.quiet_hours
        zone = zone_of(facts.traits, self._configuration.timezone)
        if quiet is not None and quiet_hours.check(quiet, zone, entry.at).is_quiet:
            yield "never_in_quiet_hours", f"{entry.name} was sent at {moment(entry.at)}, which is quiet in {zone.name}"

    def _capped(self, user: str, decision: Decision) -> Iterator[tuple[Invariant, str]]:
        self._counted[user].append(decision)
        for cap in self._configuration.caps:
            counted = [
                one
                for one in self._counted[user]
                if decision.at - one.at < cap.within
                and one.category == cap.category
                and (cap.channel is None or one.channel == cap.channel)
                and (not cap.journey or journey_of(one.rule) == cap.journey)
            ]
            if counted and counted[-1] is decision and len(counted) > cap.messages:
                over = (cap.channel or "all channels") + (f", journey {cap.journey}" if cap.journey else "")
                says = f"{len(counted)} messages within {written(cap.within)} over {over}; the cap is {cap.messages}"
                yield "never_above_caps", says
