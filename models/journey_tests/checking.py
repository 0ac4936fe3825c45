"""Check that a journey test can fail, and that everything that it names exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from models.configuration.compiled import Configuration
from models.configuration.journeys.versions import places_of
from models.configuration.marks import set_by
from models.errors import InvalidConfiguration
from models.journey_tests.written import WrittenExpect, WrittenRun, WrittenTest, WrittenWorld
from models.spelling import did_you_mean

_OF_MESSAGE = ("channel", "by", "at", "subject", "text")
_OF_SEGMENT = ("holds", "because")
_SUBJECTS = ("user", "to", "of")
"""Fields that name the user or the journey of an expectation; alone, they expect nothing."""


def check_world_names(world: object) -> None:
    """Refuse answers for webhooks, and everything else that a world does not have.

    Raises
    ------
    InvalidConfiguration
        The world has an unknown name.
    """
    if not isinstance(world, Mapping):
        return
    known = [name for name in WrittenWorld.__struct_fields__ if name != "best_time"]
    for name in world:
        if name not in (*known, "best_time"):
            allowed = f"one of {', '.join(known)}{did_you_mean(str(name), known)}"
            raise InvalidConfiguration(f"world.{name}", name, f"{allowed}; this release has no webhooks (call)")


def check_names(test: WrittenTest, configuration: Configuration) -> None:
    """Check that a test expects something, and that the names in its expectations exist.

    Raises
    ------
    InvalidConfiguration
        A name does not exist, or an expectation says nothing.
    """
    expected = [(f"steps[{i}].expect", step.expect) for i, step in enumerate(test.steps) if step.expect is not None]
    if not expected:
        raise InvalidConfiguration("steps", "no `expect`", "at least one `expect`, without which a test cannot fail")
    names = _Names(test, configuration)
    for path, expect in expected:
        _check_form(expect, path)
        names.check(expect, path)


def _check_form(expect: WrittenExpect, path: str) -> None:
    given = {name for name in expect.__struct_fields__ if getattr(expect, name) is not None}
    given -= set() if expect.nothing_else else {"nothing_else"}
    if not given - set(_SUBJECTS):
        raise InvalidConfiguration(path, sorted(given), "something that is expected, such as message, ended, run")
    for owner, fields in (("message", _OF_MESSAGE), ("segment", _OF_SEGMENT)):
        for name in fields:
            if name in given and owner not in given:
                written = "is" if name == "holds" else name
                raise InvalidConfiguration(f"{path}.{written}", getattr(expect, name), f"`{owner}` beside it")


class _Names:
    """The names that expectations may have."""

    def __init__(self, test: WrittenTest, configuration: Configuration) -> None:
        self._of = test.of
        self._journeys = {journey.name: journey for journey in configuration.journeys}
        self._messages = [*configuration.templates, *configuration.by_name]
        self._segments = [segment.name for segment in configuration.segments]
        self._stages = () if configuration.lifecycle is None else configuration.lifecycle.stages
        self._marks = set_by(configuration.journeys)
        users = [person.user for person in test.given]
        users += [user for step in test.steps if step.event is not None for user in _users_of(step.event)]
        self._users = list(dict.fromkeys(users))

    def check(self, expect: WrittenExpect, path: str) -> None:
        """Check the names of one expectation."""
        _require(f"{path}.message", expect.message, self._messages)
        for i, name in enumerate(expect.messages or ()):
            _require(f"{path}.messages[{i}]", name, self._messages)
        if expect.dropped is not None:
            _require(f"{path}.dropped.message", expect.dropped.message, self._messages)
        _require(f"{path}.segment", expect.segment, self._segments)
        _require(f"{path}.stage", expect.stage, self._stages)
        for name in expect.mark or ():
            _require(f"{path}.mark", name, self._marks)
        _require(f"{path}.to", expect.to, self._users)
        _require(f"{path}.user", expect.user, self._users)
        _require(f"{path}.of", expect.of, self._journeys)
        if isinstance(expect.run, WrittenRun):
            _require(f"{path}.run.of", expect.run.of, self._journeys)
            journey = self._journeys[expect.run.of or expect.of or self._of]
            ids = [str(step.id) for _, step in places_of(journey.steps) if hasattr(step, "id")]
            _require(f"{path}.run.in", expect.run.at_step, ids)


def _users_of(event: Mapping[str, Any]) -> list[str]:
    found = [event[name] for name in ("user", "userId") if name in event]
    found += [f"anonymous:{event[name]}" for name in ("anonymousId", "anonymous") if name in event]
    return [str(user) for user in found]


def _require(path: str, name: str | None, known: Collection[str]) -> None:
    if name is not None and name not in known:
        raise InvalidConfiguration(path, name, f"one of {', '.join(known) or 'none'}{did_you_mean(name, known)}")
