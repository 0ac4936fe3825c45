"""The versions in use in a partition of the log: configuration and models, each from its ``use`` record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TypeVar

from models.conditions.gaps import has_gaps, scale_of
from models.configuration.compiled import Configuration, decode
from models.engage import rules
from models.engage.planner import Planner
from models.fold.asked_entries import asked_entries
from models.fold.campaigns_in_use import CampaignsInUse, restored_campaigns
from models.fold.conditions_in_use import (
    AskedConditions,
    ConditionsChange,
    ConditionsInUse,
    restored,
    succession,
)
from models.fold.journeys_in_use import JourneysInUse, restored_journeys
from models.learning import population
from models.learning.churn_scorer import ChurnScorer
from models.learning.population import Population
from models.learning.segment_scorer import SegmentScorer
from models.levels import FIRST, LEVEL, NEWEST, SCHEMA_OF_LEVEL
from models.places import zones
from models.profile.features import FEATURES

CONFIGURATION, CHURN, SEGMENTS, POPULATION = "configuration", "churn", "segments", population.NAME
"""Names that ``use`` records may carry."""

_Scorer = TypeVar("_Scorer", ChurnScorer, SegmentScorer)


@dataclass(slots=True)
class Versions:
    """The configuration and the models that a partition uses, with their version numbers.

    Attributes
    ----------
    numbers
        Version by name, for each name that was ever used. Only :meth:`use` changes it.
    schema
        Schema in which users are stored at the format level in use.
    configuration_number, churn_number, segments_number, population_number
        Copies of the numbers that nearly every step reads.
    configuration
        Rules, caps, quiet hours and templates; before the first version, the default configuration.
    churn, segments
        Scorers. They are ``None`` before the first version, or if the newest version was learned from other features.
    population
        Cut points of the buyers, and the gaps between their purchases; ``None`` before the first version.
    zone
        The configured time zone, ``None`` for UTC.
    cart_timers, risk_thresholds, event_names
        The delays, probabilities and names that the configuration's rules wait for.
    conditions
        The conditions of the segments by rule; ``None`` if there was never one.
    journeys
        The journeys of the configuration, and older versions that runs still walk.
    campaigns
        The campaigns that were started.
    watched
        Conditions that are folded instead of those of the configurations; ``None`` for those.
    paused
        Channels that orders have paused.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    schema: int = SCHEMA_OF_LEVEL[FIRST]
    configuration_number: int = 0
    churn_number: int = 0
    segments_number: int = 0
    population_number: int = 0
    configuration: Configuration = field(default_factory=Configuration)
    churn: ChurnScorer | None = None
    segments: SegmentScorer | None = None
    population: Population | None = None
    zone: tzinfo | None = None
    cart_timers: tuple[tuple[str, int], ...] = ()
    risk_thresholds: tuple[float, ...] = ()
    event_names: frozenset[str] = frozenset()
    conditions: ConditionsInUse | None = None
    journeys: JourneysInUse = field(default_factory=JourneysInUse)
    campaigns: CampaignsInUse = field(default_factory=CampaignsInUse)
    watched: AskedConditions | None = None
    paused: set[str] = field(default_factory=set)

    def planner(self) -> Planner:
        """Return a planner under the configuration in use."""
        campaigns, older, paused = self.campaigns, self.journeys.older_sends, self.journeys.orders.paused
        others = {**older, **campaigns.rules} if campaigns.orders else older
        return Planner(
            self.configuration,
            self.configuration_number,
            self.paused,
            others,
            campaigns.held,
            campaigns.cancelled,
            held_journeys=paused,
        )

    def number(self, name: str) -> int:
        """Return the version of ``name`` in use; 0 for none."""
        return self.numbers.get(name, 0)

    @property
    def level(self) -> int:
        """The format level in use."""
        return self.numbers.get(LEVEL, FIRST)

    def use(
        self,
        name: str,
        version: int,
        content: bytes,
        change: ConditionsChange | None = None,
        walked: Iterable[str] = (),
    ) -> bool:
        """Use a version from now on, unless the same or a newer one is in use.

        Parameters
        ----------
        name
            ``configuration``, ``churn``, ``segments``, ``population`` or ``level``. The version of any other name is
            remembered and has no effect. So an older worker can read a log with names that only a newer one knows.
        version
            A positive number that increases with each version.
        content
            JSON, as the module of ``name`` writes it. A level has none.
        change
            The place of the record in the partition, on which new conditions depend.
        walked
            Versions of journeys that runs of the partition walk.

        Returns
        -------
        bool
            Whether the version is used.

        Raises
        ------
        Exception
            The content cannot be used: it cannot be read, or its model gives no score. Then nothing has changed. An
            unknown level is a ``KeyError``; callers check it before.
        """
        if version <= self.number(name):
            return False
        if name == LEVEL:
            self.schema = SCHEMA_OF_LEVEL[NEWEST if self.watched is not None else version]
        elif name == CONFIGURATION:
            configuration = decode(content)
            zone = None if configuration.timezone == "UTC" else zones.zone(configuration.timezone)
            carts, risks = rules.cart_timers(configuration), rules.churn_thresholds(configuration)
            names, journeys = rules.event_names(configuration), self._journeys_after(configuration, walked)
            campaigns = self.campaigns.after(configuration.campaigns, 0 if change is None else change.at)
            conditions = self._succession(configuration, journeys, change, campaigns)
            self.configuration, self.configuration_number, self.zone = configuration, version, zone
            self.journeys, self.campaigns = journeys, campaigns
            self.cart_timers, self.risk_thresholds, self.event_names, self.conditions = carts, risks, names, conditions
        elif name == CHURN:
            churn = ChurnScorer.decode(content)
            self.churn, self.churn_number = _tried(churn), version
        elif name == SEGMENTS:
            segments = SegmentScorer.decode(content)
            self.segments, self.segments_number = _tried(segments), version
        elif name == POPULATION:
            self.population, self.population_number = population.decode(content), version
            self.conditions = self._succession(self.configuration, self.journeys, change)
        self.numbers[name] = version
        return True

    def _journeys_after(self, configuration: Configuration, walked: Iterable[str]) -> JourneysInUse:
        """Return the journeys under a configuration; a fold of watched segments has none."""
        if self.watched is not None or not (configuration.journeys or self.journeys):
            return self.journeys
        return self.journeys.after(configuration.journeys, walked)

    def asked(
        self,
        configuration: Configuration,
        journeys: JourneysInUse | None = None,
        campaigns: CampaignsInUse | None = None,
    ) -> AskedConditions:
        """Return what asks for conditions under a configuration, its journeys, and the population in use.

        Parameters
        ----------
        configuration
            The configuration.
        journeys
            Its journeys with the older ones that runs walk; by default, those that would be in use after those in use.
        campaigns
            The campaigns that were started; by default, those in use.
        """
        if journeys is None:
            journeys = self._journeys_after(configuration, ())
        segments, lifecycle = configuration.segments, configuration.lifecycle
        gaps = None if self.population is None else self.population.gaps
        moves = () if lifecycle is None else (move.when for move in lifecycle.moves)
        audiences = (campaigns or self.campaigns).clauses(configuration.campaigns)
        clauses = tuple(dict.fromkeys((*journeys.clauses, *audiences)))
        has_others = bool(journeys) or bool(configuration.campaigns)
        entries = asked_entries(configuration.journeys)
        asked = AskedConditions(segments, lifecycle, clauses=clauses, has_journeys=has_others, entries=entries)
        conditions = (*(segment.when for segment in segments), *moves, *clauses)
        if gaps is None or not any(map(has_gaps, conditions)):
            return asked
        return asked._replace(scale=scale_of(gaps.median, gaps.p75, gaps.p90))

    def _succession(
        self,
        configuration: Configuration,
        journeys: JourneysInUse,
        change: ConditionsChange | None,
        campaigns: CampaignsInUse | None = None,
    ) -> ConditionsInUse | None:
        """Return the conditions under a configuration; at the first level, users have no memberships and stages."""
        before, asked = self.conditions, self.asked(configuration, journeys, campaigns)
        known = AskedConditions() if before is None else before.asked
        if asked == known or self.level == FIRST or self.watched is not None:
            return before
        return succession(before, asked, change or ConditionsChange())

    def watch(self, asked: AskedConditions) -> None:
        """Fold these conditions from the beginning of a log, at any level, instead of those of its configurations."""
        self.watched, self.conditions = asked, succession(None, asked, ConditionsChange())
        self.schema = SCHEMA_OF_LEVEL[NEWEST]

    def restore_conditions(self, content: bytes | None, journeys: bytes | None, campaigns: bytes | None = None) -> None:
        """Continue with conditions whose place was stored, older journeys and campaigns; ``None`` for none."""
        self.campaigns = restored_campaigns(campaigns)
        self.journeys = restored_journeys(self.configuration.journeys, journeys)
        self.conditions = None if content is None else restored(self.asked(self.configuration, self.journeys), content)


def _tried(scorer: _Scorer) -> _Scorer | None:
    """Return a scorer that gives a score, and ``None`` for one that was learned from other features."""
    if not scorer.fits(FEATURES):
        return None
    scorer.predict_one([0.0] * len(FEATURES))
    return scorer
