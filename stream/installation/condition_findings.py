"""Findings about the conditions of segments and rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from models.conditions.checking import ConditionChecker, ConditionFinding
from models.conditions.clauses import Condition, SegmentRule
from models.conditions.costs import cost_of_all
from models.conditions.knowledge import FIELDS, Knowledge
from models.conditions.parsing import parse_condition
from models.configuration.compiled import Configuration
from models.configuration.marks import set_by
from models.counting import counted
from models.events import MARKETING, EventType
from models.fold.rfm import SCORES
from models.fold.user_values import churn_names
from models.learning.population import MAX_SCORE
from models.levels import NEWEST
from models.lifecycle.definition import Lifecycle
from models.log import EVENTS
from models.profile.features import FEATURES, LOGARITHMS
from models.wire import withdrawals
from models.wire.segment import READ_AS
from stream.cluster.connection import Connection
from stream.cluster.retention import retention_ms
from stream.installation.findings import Finding
from stream.installation.journey_findings import journey_findings, summary
from stream.installation.log_sample import newest_events
from stream.installation.segment_names import names_in_use
from stream.log.levels import level_in_use
from stream.settings.sources import Given

_READ_AS = {**READ_AS, **{name.lower(): "consent" for name in withdrawals.EVENTS}}


def known(configuration: Configuration) -> Knowledge:
    """Return what is known without the log."""
    scores = (*churn_names(configuration), *SCORES)
    stages = () if configuration.lifecycle is None else configuration.lifecycle.stages
    return Knowledge(
        features=FEATURES,
        logarithms=LOGARITHMS,
        scores=scores,
        ranges={**dict.fromkeys(churn_names(configuration), (0, 1)), **dict.fromkeys(SCORES, (1, MAX_SCORE))},
        stages=stages,
        marks=set_by(configuration.journeys),
        purposes=(MARKETING, *configuration.consent.purposes),
        read_as=_READ_AS,
    )


def findings(configuration: Configuration, knowledge: Knowledge, given: Given) -> Iterator[Finding]:
    """Check the conditions of a configuration.

    Parameters
    ----------
    configuration
        The configuration.
    knowledge
        What is known of the log.
    given
        The settings file, for the lines of findings.
    """
    if configuration.segments:
        yield _segments_summary(configuration.segments)
    if configuration.lifecycle is not None:
        yield _lifecycle_summary(configuration.lifecycle)
    yield from (Finding("journeys", "ok", summary(journey)) for journey in configuration.journeys)
    checker = ConditionChecker([segment.name for segment in configuration.segments], knowledge)
    for found in checker.segments(configuration.segments):
        yield _placed("segments", found, given)
    for path, condition in _moves(configuration, given):
        for found in checker.condition(condition, path):
            yield _placed("lifecycle", found, given)
    for found in journey_findings(configuration, checker):
        yield _placed("journeys", found, given)
    for i, rule in enumerate(configuration.rules):
        if rule.when.kind != "event":
            continue
        path = f"rules[{i}].when"
        for found in checker.event(rule.when.name, rule.when.conditions, path, f"{path}.event"):
            yield _placed("rules", found, given)
        if rule.when.name in get_args(EventType) and rule.when.name != "custom":
            for name in rule.when.where:
                if name in FIELDS:
                    says = (
                        f"a value is compared with what the sender states as {name!r} beside the event's own {name}; "
                        f"for the event's own, write an operator, such as {{{name}: {{is: ...}}}}"
                    )
                    yield _placed("rules", ConditionFinding(f"{path}.where.{name}", "unknown_property", says), given)


def _moves(configuration: Configuration, given: Given) -> Iterator[tuple[str, Condition]]:
    """Yield the conditions of the lifecycle's moves that the file states, with their places."""
    if configuration.lifecycle is None:
        return
    for i, move in enumerate(given.values["lifecycle"].get("moves") or []):
        if isinstance(move["when"], Mapping):  # a move may also be removed by a word
            path = f"lifecycle.moves[{i}].when"
            yield path, parse_condition(move["when"], path)


def _segments_summary(segments: Sequence[SegmentRule]) -> Finding:
    names = ", ".join(segment.name for segment in segments)
    cost = _cost(segment.when for segment in segments)
    return Finding("segments", "ok", f"{counted(len(segments), 'segment')} ({names}), {cost}")


def _lifecycle_summary(lifecycle: Lifecycle) -> Finding:
    stages, moves = lifecycle.stages, counted(len(lifecycle.moves), "move")
    cost = _cost(move.when for move in lifecycle.moves)
    return Finding("lifecycle", "ok", f"{len(stages)} stages ({', '.join(stages)}), {moves}, {cost}")


def _cost(conditions: Iterable[Condition]) -> str:
    cost = cost_of_all(conditions)
    says = f"{counted(cost.clauses, 'clause')}; at most {cost.bounded:,} bytes for a user"
    if cost.growing:
        says += f", and {cost.each} bytes for each event in {counted(cost.growing, 'clause')} without such a limit"
    return says


def _placed(name: str, found: ConditionFinding, given: Given) -> Finding:
    origin = given.origin(found.path)
    where = found.path if origin == "default" else f"{origin}: {found.path}"
    return Finding(name, "failed" if found.is_certain else "note", f"{where}: {found.says}")


async def known_of_log(configuration: Configuration, connection: Connection, partitions: int) -> Knowledge:
    """Return what is known, with the learned segments in use and, if there are conditions, the newest events.

    Parameters
    ----------
    configuration
        The configuration.
    connection
        The cluster.
    partitions
        Number of partitions of the log.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    """
    knowledge = replace(known(configuration), learned=await names_in_use(connection))
    has_conditions = configuration.segments or configuration.journeys or configuration.lifecycle is not None
    has_conditions = has_conditions or any(rule.when.conditions for rule in configuration.rules)
    if not has_conditions or await level_in_use(connection, partitions) > NEWEST:
        return knowledge
    sample = await newest_events(connection, partitions)
    if not sample.events:
        return knowledge
    return replace(
        knowledge,
        source=sample.source,
        events=sample.sightings.events,
        traits=sample.sightings.traits,
        retention=retention_ms(connection, EVENTS),
    )
