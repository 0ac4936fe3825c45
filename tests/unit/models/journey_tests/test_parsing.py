"""A journey test that cannot be run, or that could not fail, is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidConfiguration
from models.journey_tests.parsing import parse_test, variants_of
from tests.support.trial_journey import example_of, trial

EXAMPLE = example_of("journey_tests.md")
EVENT = {"type": "custom", "user": "ada", "name": "Trial Started"}


def changed(**parts: Any) -> dict[str, Any]:
    return {**EXAMPLE, **parts}


def step(**step: Any) -> dict[str, Any]:
    return {**EXAMPLE, "steps": [*EXAMPLE["steps"], step]}


def expecting(**wanted: Any) -> dict[str, Any]:
    return step(expect=wanted)


@pytest.mark.parametrize(
    ("test", "path", "allowed"),
    [
        (changed(of="trail"), "of", "(did you mean trial?)"),
        (changed(start="2026-03-27"), "start", "with its zone"),
        (changed(world={"sales_webhook": {"status": 200}}), "world.sales_webhook", "no webhooks (call)"),
        (changed(world={"best_time": "now"}), "world.best_time", "does not choose times"),
        (changed(world={"arms": {"trial_ton": "short"}}), "world.arms.trial_ton", "(did you mean trial_tone?)"),
        (changed(world={"arms": {"trial_tone": "medium"}}), "world.arms.trial_tone", "short, long"),
        (changed(world={"scores": {"churn": 1}}), "world.scores.churn", "below 1"),
        (changed(world={"email": ["okay"]}), "world.email", ""),
        (changed(given=[{"user": "ada", "consent": {"fax": "granted"}}]), "given[0].consent.fax", "email, sms"),
        (changed(given=[{"user": "ada", "consent": {"x.email": "granted"}}]), "given[0].consent.x.email", "marketing"),
        (changed(matrix={"arms.trial_tone": ["tall"]}), "matrix.arms.trial_tone", "short, long"),
        (changed(matrix={"weather": ["good"]}), "matrix.weather", "timezone, holdout"),
        (changed(matrix={"holdout": [1]}), "matrix.holdout", "true or false"),
        (changed(matrix={"scores.churn": [1.5]}), "matrix.scores.churn", "below 1"),
        (changed(always=["never_late"]), "always[0]", "never_twice"),
        (changed(steps=[{"pass": "1d"}]), "steps", "cannot fail"),
        (step(event=EVENT), "steps[11]", "`at`"),
        (step(at="+1d", expect={"entered": 1}), "steps[11]", "`at` with `event`"),
        (step(), "steps[11]", "`at` with `event`"),
        (step(at="+1d", only={"holdout": True}), "steps[11].only.holdout", "arms.trial_tone"),
        (expecting(), "steps[11].expect", "something that is expected"),
        (expecting(to="ada"), "steps[11].expect", "something that is expected"),
        (expecting(message="trial_helo"), "steps[11].expect.message", "(did you mean trial_hello?)"),
        (expecting(messages=["trial/helo"]), "steps[11].expect.messages[0]", "(did you mean trial/hello?)"),
        (expecting(message="trial_hello", to="adda"), "steps[11].expect.to", "(did you mean ada?)"),
        (expecting(subject="Hi"), "steps[11].expect.subject", "`message`"),
        (expecting(**{"is": False}), "steps[11].expect.is", "`segment`"),
        (expecting(segment="staf"), "steps[11].expect.segment", "(did you mean staff?)"),
        (expecting(run={"in": "stup"}), "steps[11].expect.run.in", "(did you mean setup?)"),
        (expecting(run={"in": "setup", "of": "x"}), "steps[11].expect.run.of", "one of trial"),
        (expecting(mark={"onborded": True}), "steps[11].expect.mark", "(did you mean onboarded?)"),
        (expecting(stage="new"), "steps[11].expect.stage", "none"),
        (expecting(message="trial_hello", channel="fax"), "steps[11].expect.channel", "email, push, sms"),
        (expecting(mesage="trial_hello"), "steps[11].expect.mesage", "message"),
    ],
)
def test_a_mistake_is_refused_with_its_place(test: dict[str, Any], path: str, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        parse_test(test, trial())

    assert caught.value.path.startswith(path)
    assert allowed in caught.value.allowed


def test_a_matrix_gives_each_combination() -> None:
    test = parse_test(
        changed(matrix={"timezone": ["UTC", "Asia/Tokyo"], "arms.trial_tone": ["short", "long"]}), trial()
    )

    assert [str(variant) for variant in variants_of(test)] == [
        "timezone UTC, arms.trial_tone short",
        "timezone UTC, arms.trial_tone long",
        "timezone Asia/Tokyo, arms.trial_tone short",
        "timezone Asia/Tokyo, arms.trial_tone long",
    ]
