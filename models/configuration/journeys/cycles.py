"""Refuse journeys that can trigger each other without end: one sets a mark, by which a segment lets the next one enter.

A user enters a journey with ``again: never`` once, so a circle through such a journey ends by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from models.conditions.clauses import AllOf, AnyOf, Condition, NoneOf, SegmentRule, ValueClause
from models.conditions.ordering import in_order, references
from models.configuration.journeys.definition import Journey, SegmentTrigger, SetStep
from models.configuration.journeys.versions import places_of
from models.errors import InvalidConfiguration


class _Link(NamedTuple):
    """A journey that lets another one enter.

    Attributes
    ----------
    journey
        Name of the journey that sets the mark.
    mark
        The mark.
    segments
        The segments from the one that reads the mark to the one by which the next journey enters.
    then
        Name of the next journey.
    """

    journey: str
    mark: str
    segments: tuple[str, ...]
    then: str

    def in_words(self) -> str:
        """Return the link as a part of a sentence."""
        first, *others = self.segments
        reads = f"segment {first} reads {self.mark}"
        reads += "".join(
            f", segment {name} reads {before}" for before, name in zip(self.segments, others, strict=False)
        )
        return f"journey {self.journey} sets {self.mark}, {reads}, journey {self.then} enters on {self.segments[-1]}"


def refuse_cycles(journeys: Sequence[Journey], segments: Sequence[SegmentRule], path: str = "journeys") -> None:
    """Refuse journeys that can trigger each other without end.

    Parameters
    ----------
    journeys, segments
        The journeys and the segments by rule.
    path
        Place of the journeys in the file.

    Raises
    ------
    InvalidConfiguration
        There is a circle whose journeys may all be entered again. The message names each link.

    Examples
    --------
    >>> from models.conditions.parsing import parse_segments
    >>> from models.configuration.journeys.parsing import parse_journeys
    >>> segments = parse_segments([{"name": "s", "when": {"mark": "x", "set": True}}])
    >>> one = {"name": "a", "enter": {"on": {"segment": "s"}, "again": "always"},
    ...        "exit": [{"after": "1d", "as": "late"}], "steps": [{"set": {"x": 1}}]}
    >>> refuse_cycles(parse_journeys([one]), segments)
    Traceback (most recent call last):
    ...
    models.errors.InvalidConfiguration: journeys[0].enter.on.segment: found 's'; allowed: no circle that a user \
could walk without end: journey a sets x, segment s reads x, journey a enters on s. `again: never` in one of these \
journeys ends it
    """
    repeated = [journey for journey in journeys if journey.enter.again != "never"]
    readers = _readers(segments)
    links = {journey.name: list(_links(journey, repeated, readers)) for journey in repeated}
    circle = _circle(links)
    if circle:
        number = next(i for i, journey in enumerate(journeys) if journey.name == circle[0].journey)
        named = "; ".join(link.in_words() for link in circle)
        raise InvalidConfiguration(
            f"{path}[{number}].enter.on.segment",
            circle[-1].segments[-1],
            f"no circle that a user could walk without end: {named}. `again: never` in one of these journeys ends it",
        )


def _links(
    journey: Journey, others: Sequence[Journey], readers: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> Iterator[_Link]:
    steps = (step for _, step in places_of(journey.steps))
    marks = dict.fromkeys(name for step in steps if isinstance(step, SetStep) for name, _ in step.marks)
    for other in others:
        on = other.enter.on
        if isinstance(on, SegmentTrigger):
            for mark in marks:
                if on.segment in readers.get(mark, ()):
                    yield _Link(journey.name, mark, readers[mark][on.segment], other.name)


def _readers(segments: Sequence[SegmentRule]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, by the mark and the name of a segment that reads it, the way of segments from the mark to that one."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for segment in in_order(segments):
        for mark in _marks(segment.when):
            found.setdefault(mark, {}).setdefault(segment.name, (segment.name,))
        for other in references(segment.when):
            for ways in found.values():
                if other in ways:
                    ways.setdefault(segment.name, (*ways[other], segment.name))
    return found


def _marks(condition: Condition) -> Iterator[str]:
    if isinstance(condition, AllOf | AnyOf | NoneOf):
        for inner in condition.of:
            yield from _marks(inner)
    elif isinstance(condition, ValueClause) and condition.subject == "mark":
        yield condition.name


def _circle(links: Mapping[str, Sequence[_Link]]) -> list[_Link]:
    """Return the links of a shortest circle through the first journey that has one; nothing if there is none."""
    for start in links:
        reached: dict[str, list[_Link]] = {start: []}
        waiting = [start]
        while waiting:
            name = waiting.pop(0)
            for link in links[name]:
                if link.then == start:
                    return [*reached[name], link]
                if link.then not in reached:
                    reached[link.then] = [*reached[name], link]
                    waiting.append(link.then)
    return []
