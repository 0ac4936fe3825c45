"""Read the steps of a journey, with the steps within them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from models.conditions.parsing import parse_condition
from models.configuration.categories import Category
from models.configuration.journeys.definition import (
    Arm,
    BranchCase,
    BranchStep,
    CallStep,
    ExperimentStep,
    JourneyStep,
    RepeatStep,
    SendStep,
    SetStep,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
)
from models.configuration.journeys.matches import event_match, local_time
from models.configuration.journeys.written import MAX_DEPTH, MAX_STEPS
from models.configuration.journeys.written_steps import (
    STEP_FORMS,
    WrittenBranch,
    WrittenCall,
    WrittenExperiment,
    WrittenRepeat,
    WrittenSend,
    WrittenSet,
    WrittenWait,
    WrittenWaitFor,
    WrittenWaitUntil,
)
from models.durations import milliseconds
from models.errors import InvalidConfiguration
from models.places import zones
from models.reading import read_at
from models.units import MINUTE

MAX_CALL_MS = MINUTE
"""Maximum wait for the answer of a webhook, milliseconds."""
USER_ZONE = "user"
"""The written name of the user's own zone."""

Steps = tuple[JourneyStep, ...]


class StepReader:
    """A reader of the steps of one journey.

    Parameters
    ----------
    kept
        Names of the properties of the entry that a run keeps.
    experiments
        Place of each experiment that was read before, by its name; those of this journey are added.
    category
        The category of the journey's messages.
    """

    def __init__(self, kept: Collection[str], experiments: dict[str, str], category: Category) -> None:
        self._kept = kept
        self._experiments = experiments
        self._category = category
        self._ids: set[str] = set()
        self._number = 0

    def __repr__(self) -> str:
        """Show the amount."""
        return f"StepReader({self._number} steps)"

    def read(self, value: Any, path: str, depth: int = 0) -> Steps:
        """Read a list of steps.

        Raises
        ------
        InvalidConfiguration
            A step is wrong, an id is used twice, or there are too many steps or levels.
        """
        if not isinstance(value, list):
            raise InvalidConfiguration(path, value, "a list of steps")
        if depth > MAX_DEPTH:
            raise InvalidConfiguration(path, "steps within steps", f"at most {MAX_DEPTH} levels")
        return tuple(self._step(one, f"{path}[{i}]", depth) for i, one in enumerate(value))

    def _step(self, value: Any, path: str, depth: int) -> JourneyStep:
        self._number += 1
        if self._number > MAX_STEPS:
            raise InvalidConfiguration(path, "another step", f"at most {MAX_STEPS} steps in a journey")
        if not isinstance(value, Mapping):
            raise InvalidConfiguration(path, value, f"a mapping with one of {', '.join(STEP_FORMS)}")
        found = [key for key in STEP_FORMS if key in value]
        if len(found) != 1:
            raise InvalidConfiguration(path, found or list(value), f"exactly one of {', '.join(STEP_FORMS)}")
        written = read_at(value, STEP_FORMS[found[0]], path)
        self._take_id(getattr(written, "id", None), path)
        match written:
            case WrittenSend():
                return self._send(written, path)
            case WrittenWait():
                return WaitStep(written.id, milliseconds(written.wait))
            case WrittenWaitUntil():
                return _wait_until(written, path)
            case WrittenWaitFor():
                return self._wait_for(written, value, path, depth)
            case WrittenBranch():
                return BranchStep(written.id, self._cases(written, value["branch"], f"{path}.branch", depth))
            case WrittenExperiment():
                return self._experiment(written, value, path, depth)
            case WrittenRepeat():
                return self._repeat(written, path, depth)
            case WrittenSet():
                return SetStep(tuple(sorted(written.set.items())))
            case WrittenCall():
                return _call(written, path)
        raise AssertionError(written)

    def _take_id(self, name: str | None, path: str) -> None:
        if name is None:
            return
        if name in self._ids:
            raise InvalidConfiguration(f"{path}.id", name, "an id that no other step of the journey has")
        self._ids.add(name)

    def _send(self, written: WrittenSend, path: str) -> SendStep:
        if written.best_time is not None and self._category == "transactional":
            raise InvalidConfiguration(f"{path}.best_time", "within", "nothing: transactional messages are not delayed")
        capped, _, retry = written.if_dropped.capped.partition(" ")
        return SendStep(
            id=written.id,
            template=written.send,
            channels=tuple(dict.fromkeys(written.channels)),
            expires_after=milliseconds(written.expires_after),
            best_within=0 if written.best_time is None else milliseconds(written.best_time.within),
            retry_capped=milliseconds(retry) if retry else 0,
            exits_capped=capped == "exit",
            exits_dropped=written.if_dropped.otherwise == "exit",
        )

    def _wait_for(self, written: WrittenWaitFor, value: Mapping[str, Any], path: str, depth: int) -> WaitForStep:
        awaited = written.wait_for
        return WaitForStep(
            id=written.id,
            on=event_match(awaited, f"{path}.wait_for", self._kept),
            at_most=milliseconds(awaited.at_most),
            is_since_entry=awaited.since == "entry",
            then=self.read(value.get("then", []), f"{path}.then", depth + 1),
            otherwise=self.read(value.get("otherwise", []), f"{path}.otherwise", depth + 1),
        )

    def _cases(self, written: WrittenBranch, value: list[Any], path: str, depth: int) -> tuple[BranchCase, ...]:
        found: list[BranchCase] = []
        for i, one in enumerate(written.branch):
            place, is_last = f"{path}[{i}]", i == len(written.branch) - 1
            if one.otherwise is not None:
                if one.condition is not None or one.do is not None:
                    raise InvalidConfiguration(place, sorted(value[i]), "either `if` and `do`, or `else`")
                if not is_last or not i:
                    raise InvalidConfiguration(f"{place}.else", "else", "`else` as the last of several cases")
                found.append(BranchCase(self.read(one.otherwise, f"{place}.else", depth + 1)))
                continue
            if one.condition is None or one.do is None:
                raise InvalidConfiguration(place, sorted(value[i]), "either `if` and `do`, or `else`")
            condition = parse_condition(one.condition, f"{place}.if", entry=self._kept)
            found.append(BranchCase(self.read(one.do, f"{place}.do", depth + 1), condition))
        return tuple(found)

    def _experiment(
        self, written: WrittenExperiment, value: Mapping[str, Any], path: str, depth: int
    ) -> ExperimentStep:
        name = written.experiment
        if name in self._experiments:
            allowed = (
                f"another name than that of the experiment at {self._experiments[name]}: the arms would be the same"
            )
            raise InvalidConfiguration(f"{path}.experiment", name, allowed)
        self._experiments[name] = path
        arms = tuple(
            Arm(arm, one.weight, self.read(value["arms"][arm].get("do", []), f"{path}.arms.{arm}.do", depth + 1))
            for arm, one in written.arms.items()
        )
        if len(arms) < 2 or not any(arm.weight for arm in arms):
            raise InvalidConfiguration(
                f"{path}.arms", list(written.arms), "at least two arms, one with a weight above 0"
            )
        return ExperimentStep(written.id, name, arms)

    def _repeat(self, written: WrittenRepeat, path: str, depth: int) -> RepeatStep:
        rounds = written.repeat
        until = rounds.until
        steps = self.read(written.do, f"{path}.do", depth + 1)
        if not steps:
            raise InvalidConfiguration(f"{path}.do", [], "at least one step")
        return RepeatStep(
            id=written.id,
            every=milliseconds(rounds.every),
            times=rounds.times,
            steps=steps,
            until=None if until is None else parse_condition(until, f"{path}.repeat.until", entry=self._kept),
        )


def _wait_until(written: WrittenWaitUntil, path: str) -> WaitUntilStep:
    moment = written.wait_until
    zone = "" if moment.zone == USER_ZONE else moment.zone
    if zone and zone not in zones.names():
        raise InvalidConfiguration(f"{path}.wait_until.zone", zone, "`user`, or an IANA zone, such as Europe/Berlin")
    return WaitUntilStep(written.id, local_time(moment.time, moment.days, zone))


def _call(written: WrittenCall, path: str) -> CallStep:
    at_most = milliseconds(written.at_most)
    if at_most > MAX_CALL_MS:
        raise InvalidConfiguration(f"{path}.at_most", written.at_most, "at most 1m")
    return CallStep(
        id=written.id,
        webhook=written.call,
        body=tuple(sorted(written.body.items())),
        save=written.save or "",
        at_most=at_most,
        exits_failed=written.on_failure == "exit",
    )
