"""docs/lifecycle.md shows exactly the default moves, and an example that can be applied."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from models.configuration.parsing import parse
from models.lifecycle.defaults import DEFAULTS, DefaultName
from models.lifecycle.definition import STAGES
from stream.settings.formatting import formatted
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "lifecycle.md").read_text()


def _text(page: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def _block(page: str) -> Any:
    return yaml.safe_load(_text(page))


@pytest.mark.parametrize("name", ["purchases", "usage"])
def test_the_default_moves_are_those_of_the_code(name: DefaultName) -> None:
    shown = _block(PAGE.split(f"## The default moves: {name}\n")[1])

    assert shown == [{"from": list(move.origins), "to": move.target, "when": move.when} for move in DEFAULTS[name]]


def test_the_example_can_be_applied_and_all_stages_are_named() -> None:
    assert parse(_block(PAGE), {}).lifecycle is not None
    assert formatted(_text(PAGE)).text == _text(PAGE)
    assert all(stage in PAGE.split("```")[0] for stage in STAGES)
