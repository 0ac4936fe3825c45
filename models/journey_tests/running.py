"""Run a journey test: play its steps, compare its expectations, and collect what its runs have reached."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from models.configuration.compiled import Configuration
from models.configuration.journeys.versions import Place
from models.delivery.calls import Call
from models.delivery.deliveries import Result
from models.durations import milliseconds
from models.errors import InvalidConfiguration, InvalidEvent
from models.events import Channel, Event
from models.fold.moments import moment
from models.fold.user_values import time_zone
from models.journey_tests.expectations import Expectations, Standing
from models.journey_tests.invariants import Invariants
from models.journey_tests.memory import MemoryInstallation, WrittenRecord
from models.journey_tests.parsing import Variant, start_of, time_of
from models.journey_tests.pinned import churn_content, pinned, world_of
from models.journey_tests.shaking import Shake
from models.journey_tests.timeline import Timeline, TimelineEntry
from models.journey_tests.written import ProviderAnswer, WrittenExpect, WrittenPerson, WrittenTest, WrittenWorld
from models.source import Received, Source
from models.units import SECOND
from models.wire import decode

MAX_SHOWN = 40
"""Maximum number of the newest entries of a timeline that a failure shows."""


class FailedStep(NamedTuple):
    """A step of a test that does not hold.

    Attributes
    ----------
    path
        Place in the file, such as ``steps[3].expect.message``.
    expected, came
        What was expected, and what has come.
    variant
        The values of the matrix, and the change of ``--shake``, in words.
    timeline
        What has happened to the user.
    """

    path: str
    expected: str
    came: str
    variant: str = ""
    timeline: tuple[str, ...] = ()


class PlayedTest(NamedTuple):
    """The result of one variant of a test.

    Attributes
    ----------
    failures
        What does not hold.
    reached
        The places to which runs have come, by journey.
    entries
        Everything that has happened.
    standing
        The state of the users at the end.
    """

    failures: tuple[FailedStep, ...]
    reached: frozenset[tuple[str, Place]]
    entries: tuple[TimelineEntry, ...]
    standing: Standing


def play_test(
    test: WrittenTest, configuration: Configuration, variant: Variant, shake: Shake | None = None
) -> PlayedTest:
    """Run one variant of a test.

    Parameters
    ----------
    test
        The test, as :func:`~models.journey_tests.parsing.parse_test` has checked it.
    configuration
        The configuration of the settings file.
    variant
        One of the combinations of the matrix.
    shake
        A small change of the events; ``None`` for none.
    """
    return _Player(test, configuration, variant, shake).play()


class _Player:
    """One run of a test."""

    def __init__(self, test: WrittenTest, configuration: Configuration, variant: Variant, shake: Shake | None) -> None:
        self._test, self._variant, self._shake = test, variant, shake
        self._slack = 0 if shake is None else shake.slack
        self._start = start_of(test)
        world = world_of(test.world, variant)
        self._configuration = pinned(configuration, world)
        self._provider = _Provider(world)
        self._timeline = Timeline(self._configuration)
        self._failures: list[FailedStep] = []
        self._path = ""
        begin = min([self._start - SECOND, *map(self._known_since, test.given)])
        self._installation = MemoryInstallation(self._configuration, begin, self._provider.answer, self._see)
        self._invariants = Invariants(self._configuration, self._installation, test.always)
        self._expectations = Expectations(self._installation, self._timeline, test.of, self._instant, self._slack)
        if "churn" in world.scores:
            self._installation.use_risk(churn_content(world.scores["churn"]))
        self._number = 0
        self._clock = self._start  # as the test says it, without the change of the events
        self._newest = test.given[0].user if test.given else ""

    def play(self) -> PlayedTest:
        self._give()
        steps = [(i, step) for i, step in enumerate(self._test.steps) if self._variant.has(step)]
        events = {i: event for i, step in steps if (event := self._decoded(i)) is not None}
        order = [i for i, step in steps]
        if self._shake is not None:
            order = self._shake.order(order, events)
        for i in order:
            self._step(i, events.get(i))
        for one in self._invariants.violations:
            self._fail("always", one.invariant, f"{moment(one.at)}: {one.says}", one.user)
        return PlayedTest(
            tuple(self._failures),
            frozenset(self._installation.reached),
            tuple(self._timeline.entries),
            self._expectations.standing,
        )

    # --- steps -------------------------------------------------------------------------------------------------------

    def _known_since(self, person: WrittenPerson) -> int:
        """Return the time at which a user is stated: before the start, and before the first event."""
        steps = [self._at(i) - SECOND for i, step in enumerate(self._test.steps) if step.event is not None]
        return min([self._start - milliseconds(person.known_for), *steps])

    def _give(self) -> None:
        """Send the events that make the users known with which the test begins."""
        timezone = dict(self._variant.values).get("timezone")
        for person in sorted(self._test.given, key=self._known_since):
            traits = person.traits if timezone is None else {**person.traits, "timezone": timezone}
            at = self._known_since(person)
            said: list[dict[str, Any]] = [{"type": "identify", "user": person.user, "traits": traits}]
            for name, state in person.consent.items():
                (purpose, _, channel), granted = name.rpartition("."), state == "granted"
                about = {"channel": channel, "purpose": purpose or None, "granted": granted}
                said.append({"type": "consent", "user": person.user, **about})
            self._installation.pass_to(at)
            self._path = f"given[{self._test.given.index(person)}]"
            for one in said:
                self._fold(self._decode(one, at, self._path), at)

    def _step(self, i: int, event: Event | None) -> None:
        step, path = self._test.steps[i], f"steps[{i}]"
        self._path = path
        if step.wait is not None:
            self._move_to(self._clock + milliseconds(step.wait))
        elif step.expect is not None:
            self._expect(step.expect, f"{path}.expect")
        elif event is not None:
            self._newest = event.user
            self._clock = max(self._clock, self._at(i))
            self._installation.pass_to(event.at)
            self._fold(event, event.at)
        elif step.at is not None and step.event is None:
            self._move_to(self._instant(step.at, self._newest))

    def _decoded(self, i: int) -> Event | None:
        """Return the event of a step at its time; ``None`` if there is none, or if it cannot be read."""
        step, path = self._test.steps[i], f"steps[{i}]"
        if step.event is None or step.at is None:
            return None
        at = self._at(i)
        if self._shake is not None:
            at += self._shake.moved(i)
        return self._decode(step.event, at, f"{path}.event")

    def _at(self, i: int) -> int:
        """Return the time of a step with an event, as the test says it."""
        step = self._test.steps[i]
        assert step.event is not None
        assert step.at is not None
        user = str(step.event.get("user", step.event.get("userId", "")))
        return time_of(step.at, self._start, self._zone(user), f"steps[{i}].at")

    def _move_to(self, at: int) -> None:
        """Move the clock to a time that the test says."""
        self._clock = max(self._clock, at)
        self._installation.pass_to(at + self._slack)

    def _decode(self, said: dict[str, Any], at: int, path: str) -> Event:
        self._number += 1
        try:
            return decode(msgspec.json.encode(said), Received(Source("journey test", 0, self._number), at))
        except InvalidEvent as error:
            place = f"{path}.{error.field}" if error.field else path
            raise InvalidConfiguration(place, error.found, error.allowed) from None

    def _fold(self, event: Event, at: int) -> None:
        self._timeline.add_event(event, at)
        self._installation.fold(event)

    def _expect(self, expect: WrittenExpect, path: str) -> None:
        user = expect.to or expect.user or self._newest
        for written in (expect.by, expect.at):
            if written is not None and (at := self._instant(written, user)) > self._clock:
                self._move_to(at)
        for one in self._expectations.check(expect, user):
            self._fail(f"{path}.{one.path}", one.expected, one.came, user)

    # --- outside -----------------------------------------------------------------------------------------------------

    def _see(self, happening: WrittenRecord) -> None:
        before = len(self._timeline.entries)
        self._timeline.see(happening)
        for entry in self._timeline.entries[before:]:
            self._invariants.look_at(entry)
            if entry.kind == "refused_record":
                self._fail(self._path, "events and timers that the fold accepts", entry.detail, entry.user)

    def _zone(self, user: str) -> Any:
        traits = dict(next((one.traits for one in self._test.given if one.user == user), {}))
        timezone = dict(self._variant.values).get("timezone")
        return time_zone(traits if timezone is None else {**traits, "timezone": timezone}, self._configuration)

    def _instant(self, written: str, user: str) -> int:
        return time_of(written, self._start, self._zone(user), "steps")

    def _fail(self, path: str, expected: str, came: str, user: str) -> None:
        shown = [entry.in_words() for entry in self._timeline.of(user) if entry.kind != "sent"]
        if len(shown) > MAX_SHOWN:
            shown = [f"({len(shown) - MAX_SHOWN} earlier entries)", *shown[-MAX_SHOWN:]]
        words = [str(self._variant), "" if self._shake is None else str(self._shake)]
        variant = "; ".join(word for word in words if word)
        self._failures.append(FailedStep(path, expected, came, variant, tuple(shown)))


class _Provider:
    """The providers of a test, whose answers it states."""

    def __init__(self, world: WrittenWorld) -> None:
        self._answers: dict[Channel, list[ProviderAnswer]] = {
            "email": list(world.email),
            "sms": list(world.sms),
            "push": list(world.push),
        }

    def answer(self, call: Call) -> Result:
        """Return the next answer of the channel; ``ok`` after the last one."""
        channel = call.message.channel
        answers = self._answers[channel]
        found: ProviderAnswer = answers.pop(0) if answers else "ok"
        if found == "ok":
            return Result("delivered")
        if found == "unknown":
            return Result("unknown", "the connection broke")
        if found == "refused":
            return Result("rejected", "550", bounce="hard", code="550 5.1.1")
        is_temporary = found.answer < 500 if channel == "email" else found.answer == 429 or found.answer >= 500
        retry_after = None if found.retry_after is None else milliseconds(found.retry_after) / SECOND
        code = str(found.answer)
        if is_temporary or retry_after is not None:
            return Result("failed", code, retry_after=retry_after, code=code)
        return Result("rejected", code, code=code)
