"""docs/segments.md: its examples are valid, it explains the whole language, and its answers are the evaluator's."""

from __future__ import annotations

import re
from typing import get_args

import msgspec
import pytest

from models.conditions import budget, schema, sums
from models.conditions.checking import ConditionChecker
from models.conditions.clauses import EventClause, MeasureKind
from models.conditions.knowledge import Knowledge
from models.conditions.ordering import MAX_CHAIN
from models.conditions.parsing import parse_condition
from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.fold.conditions_in_use import USERS_PER_SECOND
from models.fold.prospects import MAX_DIFFERENCE, MIN_DIFFERENT_USERS
from models.fold.reactions import MAX_ROUNDS
from models.fold.rfm import SCORES
from models.learned_names import LEARNED_NAMES
from models.profile.features import FEATURES, LOGARITHMS
from models.units import DAY
from stream.installation.log_sample import MAX_RECORDS
from stream.settings import plain_yaml
from stream.settings.formatting import formatted
from tests.support.condition_steps import Scenario, at
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "segments.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
MEASURES = get_args(MeasureKind)
KNOWN = Knowledge(scores=("churn", *SCORES), features=FEATURES, logarithms=LOGARITHMS)
NOON = at("2026-03-01T12:00")


def configured(block: str) -> Configuration:
    values = plain_yaml.read(block)[0]
    templates = {rule["name"]: Template("Hi", "text") for rule in values.get("rules", [])}
    return parse(values, templates)


def rows(heading: str, column: int = 0) -> list[str]:
    """Return a column of the tables of a section, as they are written."""
    section = re.split(r"\n##+ ", PAGE.split(f"# {heading}\n")[1])[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("|").split(" |")[column].strip() for line in lines]


def codes(cells: list[str]) -> list[str]:
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_valid_and_keeps_its_meaning_in_the_canonical_form(block: str) -> None:
    configuration = configured(block)

    assert configuration.segments or configuration.rules
    assert configured(formatted(block).text).segments == configuration.segments
    assert formatted(block).notes == ()


def test_the_first_examples_have_no_mistakes_and_the_rule_waits_for_one_of_them() -> None:
    segments, rule = configured(BLOCKS[0]).segments, configured(BLOCKS[1]).rules[0]

    checker = ConditionChecker([segment.name for segment in segments], KNOWN)
    assert list(checker.segments(segments)) == []
    assert rule.when.name in {segment.name for segment in segments}


def test_every_condition_is_explained_and_has_an_example() -> None:
    assert set(codes(rows("Conditions"))) == set(schema.KEYS)
    shown = {key for key in schema.KEYS if re.search(rf"\b{key}:", BLOCKS[0] + BLOCKS[2])}
    assert set(schema.KEYS) - shown == {"lifecycle", "none"}


def test_every_measure_and_every_window_is_explained() -> None:
    section = PAGE.split("### Events\n")[1].split("### Operators")[0]
    first = [code for line in section.splitlines() if line.startswith("| `") for code in codes([line.split(" |")[0]])]

    assert first[: len(MEASURES)] == list(MEASURES)
    read = [parse_condition({"event": "A", **plain_yaml.read(window)[0]}, "") for window in first[len(MEASURES) :]]
    kinds = {condition.window.kind for condition in read if isinstance(condition, EventClause)}
    assert kinds == {"rolling", "calendar", "ever", "since"}


def test_every_operator_is_explained() -> None:
    compared = msgspec.structs.fields(schema.WrittenTrait) + msgspec.structs.fields(schema.Operators)
    names = {field.encode_name for field in compared} - {"trait", "zone", "currency", "until_below"}

    assert set(codes(rows("Operators"))) == names
    assert all(f"`{name}" in PAGE for name in ("zone: user", "currency", "until_below"))


def test_every_feature_is_explained_and_it_is_said_which_are_logarithms() -> None:
    names, values = rows("Features"), rows("Features", column=1)

    assert codes(names) == list(FEATURES)
    said = [code for name, value in zip(names, values, strict=True) if "as a log" in value for code in codes([name])]
    assert set(said) == LOGARITHMS


def test_the_answers_for_a_user_without_such_events_are_those_of_the_evaluator() -> None:
    section = PAGE.split("For a user with one event of another kind a day ago")[1].split("\n## ")[0]
    answers = re.findall(r"^\| `(\{.*\})` \| (yes|no)", section, re.MULTILINE)

    assert len(answers) == 14
    for written, answer in answers:
        when = plain_yaml.read(f"when: {written}")[0]["when"]
        run = Scenario({"s": when}).event("B", NOON).pass_to(NOON + DAY)
        assert run.is_in("s") == (answer == "yes"), written


def test_names_and_limits_are_those_of_the_code() -> None:
    flat = " ".join(PAGE.split())

    assert all(f"`{name}`" in flat for name in (*LEARNED_NAMES, *SCORES))
    assert f"A count or a number of values is at most {schema.MAX_COUNT:,}." in flat
    assert f"Conditions are at most {schema.MAX_DEPTH} levels deep." in flat
    assert f"At most {MAX_CHAIN} segments may refer to each other one after the other." in flat
    assert f"differs by over {MAX_DIFFERENCE:.0%} and by over {MIN_DIFFERENT_USERS} users" in flat
    assert f"at most {USERS_PER_SECOND:,} a second in each partition" in flat
    assert all(f"`on_apply: {name}`" in flat or f"default is {name}" in flat for name in schema.ON_APPLY)
    assert f"After {MAX_ROUNDS} rounds, segments still follow the marks" in flat
    assert f"at most {sums.MAX_ENTRIES:,}." in flat
    assert f"at most {budget.MAX_STATE_BYTES // 1024} KiB" in flat
    assert f"2 to {schema.MAX_STEPS} steps" in flat
    assert f"the newest {MAX_RECORDS:,} events" in flat
