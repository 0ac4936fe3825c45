"""Compare what a test expects with what has happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from models.conditions.clauses import Scalar
from models.configuration.journeys.versions import step_at
from models.fold.membership_view import why
from models.fold.moments import moment
from models.journey_tests.memory import MemoryInstallation
from models.journey_tests.timeline import Timeline, TimelineEntry
from models.journey_tests.written import WrittenExpect, WrittenRun
from models.profile.runs import Run


class Mismatch(NamedTuple):
    """A part of an expectation that does not hold.

    Attributes
    ----------
    path
        Place within the expectation, such as ``message``.
    expected, came
        What was expected, and what has come instead.
    """

    path: str
    expected: str
    came: str


class StandingRun(NamedTuple):
    """A run under way: its journey, the id of its step, and the end of its wait, milliseconds."""

    journey: str
    step: str
    until: int


class UserStanding(NamedTuple):
    """The state of a user at one time: the runs under way, and the marks."""

    runs: tuple[StandingRun, ...]
    marks: dict[str, Scalar]


Standing = Callable[[str], UserStanding]
"""Return the present state of a user."""


class Expectations:
    """The comparison of one run of a test.

    Parameters
    ----------
    installation, timeline
        The fold, and what has happened.
    journey
        Name of the journey that the test is about.
    time_of
        Return the instant that a written time means for a user.
    slack
        Time by which instants may differ, milliseconds.
    """

    def __init__(
        self,
        installation: MemoryInstallation,
        timeline: Timeline,
        journey: str,
        time_of: Callable[[str, str], int],
        slack: int = 0,
    ) -> None:
        self._installation = installation
        self._timeline = timeline
        self._journey = journey
        self._time_of = time_of
        self._slack = slack
        self._taken: set[int] = set()

    def __repr__(self) -> str:
        """Name the journey."""
        return f"Expectations({self._journey!r})"

    def standing(self, user: str) -> UserStanding:
        """Return the present state of a user."""
        ledger = self._installation.customer(user).ledger
        runs = () if ledger.runs is None else ledger.runs.active
        return UserStanding(
            tuple(StandingRun(one.journey, self._step_of(one), one.until) for one in runs), ledger.marks
        )

    def check(self, expect: WrittenExpect, user: str) -> Iterator[Mismatch]:
        """Yield the parts of an expectation about a user that do not hold."""
        journey = expect.of or self._journey
        if expect.message is not None:
            yield from self._message(expect, expect.message, user)
        if expect.messages is not None:
            yield from self._messages(expect.messages, user, is_all=expect.nothing_else)
        elif expect.nothing_else:
            yield from _compared("nothing_else", "no other message", self._names(user), [])
        yield from self._journeys(expect, journey, user)
        if expect.dropped is not None:
            wanted = f"{expect.dropped.message} dropped as {expect.dropped.reason}"
            drops = [one for one in self._of(user, "dropped") if _is_named(one, expect.dropped.message)]
            found = [one.reason for one in drops]
            if expect.dropped.reason not in found:
                yield Mismatch("dropped", wanted, ", ".join(found) or "it was not dropped")
        yield from self._state(expect, user)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _of(self, user: str, kind: str) -> list[TimelineEntry]:
        return [one for one in self._timeline.of(user) if one.kind == kind]

    def _waiting(self, user: str) -> list[TimelineEntry]:
        """Return the messages that no expectation has taken yet."""
        return [one for one in self._of(user, "message") if id(one) not in self._taken]

    def _names(self, user: str) -> list[str]:
        return [one.template for one in self._waiting(user)]

    def _message(self, expect: WrittenExpect, name: str, user: str) -> Iterator[Mismatch]:
        found = next((one for one in self._waiting(user) if _is_named(one, name)), None)
        if found is None or found.message is None:
            others = ", ".join(self._names(user)) or "no message"
            why_not = [one for one in self._timeline.of(user) if one.kind in ("deferred", "dropped", "failed")]
            reasons = "; ".join(one.in_words() for one in why_not if _is_named(one, name))
            yield Mismatch("message", f"{name} to {user}", others + (f"; {reasons}" if reasons else ""))
            return
        self._taken.add(id(found))
        message = found.message
        if expect.channel is not None and message.channel != expect.channel:
            yield Mismatch("channel", expect.channel, message.channel)
        if expect.subject is not None and message.subject != expect.subject:
            yield Mismatch("subject", repr(expect.subject), repr(message.subject))
        if expect.text is not None and expect.text not in message.text:
            yield Mismatch("text", f"with {expect.text!r}", repr(message.text))
        if expect.by is not None:
            by = self._time_of(expect.by, user)
            if found.at > by + self._slack:
                yield Mismatch("by", f"{name} by {_shown(by)}", _shown(found.at))
        if expect.at is not None:
            yield from self._instant("at", name, self._time_of(expect.at, user), found.at)

    def _instant(self, path: str, what: str, wanted: int, found: int) -> Iterator[Mismatch]:
        if abs(found - wanted) > self._slack:
            yield Mismatch(path, f"{what} at {_shown(wanted)}", _shown(found))

    def _messages(self, names: list[str], user: str, *, is_all: bool) -> Iterator[Mismatch]:
        waiting = self._waiting(user)
        if is_all and not (len(names) == len(waiting) and all(map(_is_named, waiting, names))):
            yield Mismatch("messages", f"[{', '.join(names)}], and no other", f"[{', '.join(self._names(user))}]")
        left = list(waiting)
        for name in names:
            place = next((i for i, one in enumerate(left) if _is_named(one, name)), None)
            if place is None:
                if not is_all:
                    yield Mismatch("messages", f"[{', '.join(names)}]", f"[{', '.join(self._names(user))}]")
                break
            self._taken.add(id(left[place]))
            left = left[place + 1 :]

    # --- journeys ----------------------------------------------------------------------------------------------------

    def _journeys(self, expect: WrittenExpect, journey: str, user: str) -> Iterator[Mismatch]:
        def of(kind: str) -> list[TimelineEntry]:
            return [one for one in self._of(user, kind) if one.name == journey]

        if expect.ended is not None:
            came = [one.detail for one in of("ended")]
            yield from _compared("ended", expect.ended, came[-1] if came else "no run has ended", expect.ended)
        if expect.refused is not None:
            came = [one.detail for one in of("refused")]
            yield from _compared(
                "refused", expect.refused, came[-1] if came else "no entry was refused", expect.refused
            )
        for path, kind, number in (
            ("entered", "entered", expect.entered),
            ("converted", "converted", expect.converted),
        ):
            if number is not None:
                yield from _compared(path, f"{number} times", len(of(kind)), number)
        if expect.run == "none":
            runs = [self._described(run) for run in self._runs(user, journey)]
            yield from _compared("run", "no run under way", runs, [])
        elif isinstance(expect.run, WrittenRun):
            yield from self._run(expect.run, expect.run.of or journey, user)

    def _runs(self, user: str, journey: str) -> list[Run]:
        runs = self._installation.customer(user).ledger.runs
        return [] if runs is None else [run for run in runs.active if run.journey == journey]

    def _step_of(self, run: Run) -> str:
        compiled = self._installation.versions.journeys.by_version.get(run.version)
        return "" if compiled is None else str(getattr(step_at(compiled.journey.steps, run.place), "id", ""))

    def _described(self, run: Run) -> str:
        until = f" until {_shown(run.until)}" if run.until else ""
        return f"in {self._step_of(run)}{until}"

    def _run(self, wanted: WrittenRun, journey: str, user: str) -> Iterator[Mismatch]:
        runs = self._runs(user, journey)
        until = None if wanted.until is None else self._time_of(wanted.until, user)
        for run in runs:
            if self._step_of(run) == wanted.at_step and (until is None or abs(run.until - until) <= self._slack):
                return
        said = f"in {wanted.at_step}" + ("" if until is None else f" until {_shown(until)}")
        yield Mismatch("run", f"a run {said}", "; ".join(map(self._described, runs)) or "no run under way")

    # --- state -------------------------------------------------------------------------------------------------------

    def _state(self, expect: WrittenExpect, user: str) -> Iterator[Mismatch]:
        customer = self._installation.customer(user)
        if expect.segment is not None:
            yield from self._segment(expect, expect.segment, user)
        if expect.stage is not None:
            came = None if customer.ledger.stage is None else customer.ledger.stage.name
            yield from _compared("stage", expect.stage, came, expect.stage)
        for name, value in (expect.mark or {}).items():
            found = customer.ledger.marks.get(name)
            if found != value or type(found) is not type(value):
                yield Mismatch(f"mark.{name}", repr(value), "it is not set" if found is None else repr(found))

    def _segment(self, expect: WrittenExpect, name: str, user: str) -> Iterator[Mismatch]:
        customer, versions = self._installation.customer(user), self._installation.versions
        answer = why(user, customer, self._installation.now, versions, name)
        wanted = True if expect.holds is None else expect.holds
        is_member = answer["since"] is not None
        came = True if is_member else "unknown" if answer["tree"]["truth"] is None else False
        if came != wanted:
            yield Mismatch("is", f"{name}: {_said(wanted)}", _said(came))
        if expect.because is not None:
            failing = [_words(clause) for clause in answer["failing"]]
            if not any(expect.because in words for words in failing):
                yield Mismatch("because", expect.because, "; ".join(failing) or "no clause fails")


def _compared(path: str, expected: str, came: Any, wanted: Any) -> Iterator[Mismatch]:
    if came != wanted:
        said = ", ".join(map(str, came)) if isinstance(came, list) else str(came)
        yield Mismatch(path, expected, said)


def _is_named(entry: TimelineEntry, name: str) -> bool:
    return name in (entry.template, entry.name)


def _said(truth: object) -> str:
    return "unknown" if truth == "unknown" else "true" if truth else "false"


def _words(clause: Any) -> str:
    """Return a written clause in words, such as ``trait plan in ['free']``."""
    return " ".join(f"{name} {value}" for name, value in clause.items()) if isinstance(clause, dict) else str(clause)


def _shown(at: int) -> str:
    return str(moment(at))
