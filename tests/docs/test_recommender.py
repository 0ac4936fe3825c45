"""Tests that the page on the recommender agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from models.events import EventType
from models.recommend.catalogue import Catalogue
from models.recommend.interactions import WEIGHTS
from models.recommend.item_rows import read_csv
from stream.settings.loading import load
from stream.settings.schema import RetrainerSection
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "recommender.md").read_text()


def block_after(heading: str, first_word: str) -> list[str]:
    """Return the lines of the indented block whose first word is given, below a heading, without indentation."""
    lines = PAGE[PAGE.index(f"## {heading}") :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"    {first_word}"))
    end = next(number for number, line in enumerate(lines) if number > start and not line.startswith("    "))
    return [line[4:] for line in lines[start:end]]


def test_the_table_of_weights_agrees_with_the_code() -> None:
    rows: list[tuple[str, str]] = re.findall(r"^\| `(\w+)` \| (\d+) \|$", PAGE, re.MULTILINE)
    documented: dict[EventType, float] = {kind: float(weight) for kind, weight in rows}  # type: ignore[misc]

    assert documented == dict(WEIGHTS)


def test_the_example_of_a_catalogue_can_be_imported() -> None:
    catalogue = Catalogue()
    for item in read_csv("the page", block_after("What is for sale", "id,")):
        catalogue.put(item)

    assert [catalogue.sells(item) for item in ("mug", "pot")] == [True, False]


def test_the_page_lists_all_settings_with_their_defaults(tmp_path: Path) -> None:
    text = "\n".join(block_after("Settings", "retrainer:"))
    (tmp_path / "perennial.yaml").write_text(f"version: 1\n{text}\n")
    settings = load(tmp_path / "perennial.yaml", environment={})

    assert set(yaml.safe_load(text)["retrainer"]) == set(RetrainerSection.__struct_fields__)
    assert settings.artifacts == tmp_path / ".perennial" / "artifacts"
    given = {
        name: getattr(settings.sections.retrainer, name)
        for name in RetrainerSection.__struct_fields__
        if name != "artifacts"
    }
    assert given == {name: getattr(RetrainerSection(), name) for name in given}
