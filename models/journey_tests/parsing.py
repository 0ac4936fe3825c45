"""Read a journey test, and resolve the times in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from itertools import product
from typing import Any, NamedTuple

from models.conditions.clauses import Scalar
from models.conditions.periods import read_time
from models.configuration.compiled import Configuration
from models.configuration.journeys.definition import ExperimentStep, Journey
from models.configuration.journeys.versions import places_of
from models.errors import InvalidConfiguration
from models.events import CHANNELS, MARKETING
from models.journey_tests.checking import check_names, check_world_names
from models.journey_tests.written import OFFSET, WrittenTest, WrittenTestStep
from models.reading import read
from models.spelling import did_you_mean
from models.units import DAY, HOUR, MINUTE, SECOND

MAX_VARIANTS = 1_000
"""Maximum number of combinations of the values in ``matrix``."""

_PART = re.compile(r"([0-9]+)(ms|s|m|h|d|w)")
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


class Variant(NamedTuple):
    """A combination of the values in ``matrix``; without a matrix, there is one without values."""

    values: tuple[tuple[str, Scalar], ...] = ()

    def __str__(self) -> str:
        """Return the values in words."""
        return ", ".join(f"{name} {value}" for name, value in self.values)

    def has(self, step: WrittenTestStep) -> bool:
        """Return whether a step counts for this variant."""
        values = dict(self.values)
        return all(values.get(name) == value for name, value in step.only.items())


def parse_test(value: Any, configuration: Configuration) -> WrittenTest:
    """Read a test, and check it against the configuration.

    Parameters
    ----------
    value
        Plain values, as YAML gives them.
    configuration
        The configuration of the settings file.

    Raises
    ------
    InvalidConfiguration
        The test is wrong, or names something that the configuration does not have.
    """
    if not isinstance(value, Mapping):
        raise InvalidConfiguration("", value, "a mapping with of, start, steps")
    check_world_names(value.get("world"))
    test = read(value, WrittenTest)
    journeys = {journey.name: journey for journey in configuration.journeys}
    if test.of not in journeys:
        allowed = f"one of the journeys {', '.join(journeys) or '(there are none)'}{did_you_mean(test.of, journeys)}"
        raise InvalidConfiguration("of", test.of, allowed)
    start_of(test)
    _check_world(test, configuration)
    _check_matrix(test, experiments_of(configuration))
    for i, step in enumerate(test.steps):
        _check_step(step, f"steps[{i}]", test)
    check_names(test, configuration)
    return test


def start_of(test: WrittenTest) -> int:
    """Return the time at which a test begins, milliseconds."""
    at = read_time(test.start, None)
    if at is None:
        raise InvalidConfiguration("start", test.start, "a time of ISO 8601 with its zone, such as 2026-03-27T10:00Z")
    return at


def variants_of(test: WrittenTest) -> list[Variant]:
    """Return the combinations of the values in ``matrix``."""
    names = list(test.matrix)
    return [Variant(tuple(zip(names, values, strict=True))) for values in product(*test.matrix.values())]


def time_of(written: str, start: int, zone: tzinfo, path: str) -> int:
    """Return the instant that a time in a test means, milliseconds.

    Parameters
    ----------
    written
        A distance from the start, a time with its zone, or a time without one, which is that of the user's clock.
    start
        The start, milliseconds.
    zone
        Zone of the user.
    path
        Place in the file, for errors.

    Examples
    --------
    >>> from datetime import UTC
    >>> time_of("+1d12h", 0, UTC, ""), time_of("1970-01-02", 0, UTC, "")
    (129600000, 86400000)
    """
    if re.match(OFFSET, written):
        length = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(written))
        return start - length if written[0] == "-" else start + length
    at = read_time(written, zone)
    if at is None:
        raise InvalidConfiguration(path, written, "a distance from the start (+1d12h), or a time of ISO 8601")
    return at


def experiments_of(configuration: Configuration) -> dict[str, tuple[str, ...]]:
    """Return the names of the arms by the name of the experiment."""
    found: dict[str, tuple[str, ...]] = {}
    for journey in configuration.journeys:
        for step in _experiments(journey):
            found[step.experiment] = tuple(arm.name for arm in step.arms)
    return found


def _experiments(journey: Journey) -> list[ExperimentStep]:
    return [step for _, step in places_of(journey.steps) if isinstance(step, ExperimentStep)]


def _check_world(test: WrittenTest, configuration: Configuration) -> None:
    if test.world.best_time is not None:
        allowed = "nothing: this release does not choose times (best_time), so a test cannot either"
        raise InvalidConfiguration("world.best_time", test.world.best_time, allowed)
    known = experiments_of(configuration)
    for name, arm in test.world.arms.items():
        _require_arm(f"world.arms.{name}", name, arm, known)
    for i, person in enumerate(test.given):
        for name in person.consent:
            purpose, _, channel = name.rpartition(".")
            if channel not in CHANNELS:
                allowed = f"one of the channels {', '.join(CHANNELS)}"
                raise InvalidConfiguration(f"given[{i}].consent.{name}", channel, allowed)
            purposes = (MARKETING, *configuration.consent.purposes)
            if purpose not in ("", *purposes):
                allowed = f"one of the purposes {', '.join(purposes)}, or none"
                raise InvalidConfiguration(f"given[{i}].consent.{name}", purpose, allowed)


def _check_matrix(test: WrittenTest, known: Mapping[str, tuple[str, ...]]) -> None:
    for name, values in test.matrix.items():
        path = f"matrix.{name}"
        first, _, rest = name.partition(".")
        if first == "arms" and rest:
            for value in values:
                _require_arm(path, rest, value, known)
        elif name == "holdout":
            _require_all(path, values, bool, "true or false")
        elif name == "scores.churn":
            _require_all(path, values, float, "numbers above 0 and below 1")
        elif name == "timezone":
            _require_all(path, values, str, "names of time zones")
        else:
            raise InvalidConfiguration(path, name, "timezone, holdout, arms.EXPERIMENT or scores.churn")
    if len(variants_of(test)) > MAX_VARIANTS:
        raise InvalidConfiguration("matrix", len(variants_of(test)), f"at most {MAX_VARIANTS} combinations")


def _require_all(path: str, values: list[Scalar], kind: type, allowed: str) -> None:
    for value in values:
        if not isinstance(value, kind) or (isinstance(value, float) and not 0 < value < 1):
            raise InvalidConfiguration(path, value, allowed)


def _require_arm(path: str, experiment: str, arm: Scalar, known: Mapping[str, tuple[str, ...]]) -> None:
    if experiment not in known:
        allowed = f"one of the experiments {', '.join(known) or '(there are none)'}{did_you_mean(experiment, known)}"
        raise InvalidConfiguration(path, experiment, allowed)
    if arm not in known[experiment]:
        raise InvalidConfiguration(path, arm, f"one of the arms {', '.join(known[experiment])}")


def _check_step(step: WrittenTestStep, path: str, test: WrittenTest) -> None:
    given = [name for name, value in (("event", step.event), ("pass", step.wait), ("expect", step.expect)) if value]
    if len(given) > 1 or (step.at is not None and given not in ([], ["event"])) or (step.at is None and not given):
        raise InvalidConfiguration(
            path, [*given, *(["at"] if step.at else [])], "`at` with `event`, `pass`, or `expect`"
        )
    if step.event is not None and step.at is None:
        raise InvalidConfiguration(path, "event", "`at` beside `event`, such as +0s")
    for name in step.only:
        if name not in test.matrix:
            raise InvalidConfiguration(
                f"{path}.only.{name}", name, f"one of matrix: {', '.join(test.matrix) or 'none'}"
            )
