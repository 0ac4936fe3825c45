"""What is in use in a partition of the log: configuration and models, each from its ``use`` record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

from models.configuration.compiled import Configuration, decode
from models.engage import rules
from models.learning.churn_scorer import ChurnScorer
from models.learning.segment_scorer import SegmentScorer
from models.places import zones
from models.profile.features import FEATURES

CONFIGURATION, CHURN, SEGMENTS = "configuration", "churn", "segments"


@dataclass(slots=True)
class Versions:
    """The versions in use.

    Attributes
    ----------
    numbers
        Version by name; 0 where none was ever put into use. Changed by :meth:`use` alone.
    configuration_number, churn_number, segments_number
        The three that are asked for with every event.
    configuration
        Rules, caps, quiet hours, templates; a default one before any was applied.
    churn, segments
        Scorers, ``None`` before any version existed, or when the newest was learned on other features than this code's.
    zone
        The configured time zone, ``None`` for UTC.
    cart_timers, risk_thresholds, event_names
        What the configuration's rules wait for.
    paused
        What orders have paused.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    configuration_number: int = 0
    churn_number: int = 0
    segments_number: int = 0
    configuration: Configuration = field(default_factory=Configuration)
    churn: ChurnScorer | None = None
    segments: SegmentScorer | None = None
    zone: tzinfo | None = None
    cart_timers: tuple[tuple[str, int], ...] = ()
    risk_thresholds: tuple[float, ...] = ()
    event_names: frozenset[str] = frozenset()
    paused: set[str] = field(default_factory=set)

    def number(self, name: str) -> int:
        """Version of ``name`` in use; 0 for none."""
        return self.numbers.get(name, 0)

    def use(self, name: str, version: int, content: bytes) -> bool:
        """Put a version into use, unless a newer one already is.

        Parameters
        ----------
        name
            ``configuration``, ``churn`` or ``segments``; another name is remembered and does nothing, so that an older
            worker passes over what only a newer one knows.
        version
            Positive, growing.
        content
            JSON as the module of ``name`` writes it.

        Returns
        -------
        bool
            Whether it acts from now on.

        Raises
        ------
        InvalidConfiguration, StateMismatch, msgspec.DecodeError
            The content cannot be used; nothing has changed then.
        """
        if version <= self.number(name):
            return False
        if name == CONFIGURATION:
            configuration = decode(content)
            self.zone = None if configuration.timezone == "UTC" else zones.zone(configuration.timezone)
            self.configuration, self.configuration_number = configuration, version
            self.cart_timers = rules.cart_timers(configuration)
            self.risk_thresholds = rules.churn_thresholds(configuration)
            self.event_names = rules.event_names(configuration)
        elif name == CHURN:
            churn = ChurnScorer.decode(content)
            self.churn, self.churn_number = churn if churn.fits(FEATURES) else None, version
        elif name == SEGMENTS:
            segments = SegmentScorer.decode(content)
            self.segments, self.segments_number = segments if segments.fits(FEATURES) else None, version
        self.numbers[name] = version
        return True
