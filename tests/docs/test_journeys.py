"""docs/journeys.md: its example can be applied, and its tables name all triggers and steps."""

from __future__ import annotations

import re

from models.configuration.journeys.checking import conditions_of
from models.configuration.journeys.parsing import TRIGGERS
from models.configuration.journeys.versions import places_of
from models.configuration.journeys.written_steps import STEP_FORMS
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.journeys.entering import MAX_KEPT_TEXT
from models.profile.runs import MAX_CHAIN, MAX_ENTERED, MAX_RUNS
from stream.settings import plain_yaml
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "journeys.md").read_text()
[EXAMPLE] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TEMPLATES = {f"trial_{name}": Template("Hi", "text") for name in ("hello", "nudge", "tips", "short", "long", "hint")}


def test_the_example_is_a_valid_configuration() -> None:
    [journey] = parse(plain_yaml.read(EXAMPLE)[0], TEMPLATES).journeys

    assert len(list(places_of(journey.steps))) == 13
    assert len(list(conditions_of(journey))) == 4


def test_every_trigger_and_every_step_is_explained() -> None:
    firsts = set(re.findall(r"^\| `([a-z_]+)", PAGE, re.MULTILINE))
    refused = set(re.findall(r"`(call)`", PAGE))

    assert set(TRIGGERS) | set(STEP_FORMS) == (firsts | refused)


def test_the_limits_are_those_of_the_code() -> None:
    assert f"at most {MAX_RUNS} runs" in PAGE
    assert f"{MAX_ENTERED} newest entries" in PAGE
    assert f"the {MAX_CHAIN + 1}th run" in PAGE
    assert f"up to {MAX_KEPT_TEXT} characters" in PAGE
