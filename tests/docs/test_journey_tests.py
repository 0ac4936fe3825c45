"""docs/journey_tests.md: its example passes on the journey of docs/journeys.md, and its tables name all parts."""

from __future__ import annotations

import re

from models.journey_tests.parsing import parse_test
from models.journey_tests.shaking import shakes_of
from models.journey_tests.written import INVARIANTS, WrittenExpect, WrittenTest
from tests.support.paths import ROOT
from tests.support.trial_journey import example_of, play, trial

PAGE = (ROOT / "docs" / "journey_tests.md").read_text()
EXAMPLE = example_of("journey_tests.md")


def test_the_example_passes_also_with_small_changes_of_its_events() -> None:
    configuration = trial()

    assert play(EXAMPLE, configuration) == []
    shakes = list(shakes_of(parse_test(EXAMPLE, configuration)))
    assert [failure for shake in shakes for failure in play(EXAMPLE, configuration, shake)] == []
    assert len(shakes) == 4


def test_every_part_of_a_file_is_explained() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"[a-z_]+", row)}

    assert set(WrittenTest.__struct_fields__) <= names
    assert set(WrittenExpect.__struct_encode_fields__) - {"user", "of"} <= names
    assert set(INVARIANTS) <= names
