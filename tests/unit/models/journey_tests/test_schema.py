"""The exported JSON Schema allows the test files of the presets and of the page, and refuses mistakes of form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from models.journey_tests.schema import json_schema
from stream import presets
from stream.settings import plain_yaml
from tests.support.json_schema import JsonSchema

SCHEMA = JsonSchema(json_schema())
PAGE = Path(__file__).parents[4] / "docs" / "journey_tests.md"


def least(**more: Any) -> dict[str, Any]:
    return {"of": "welcome", "start": "2026-03-02T10:00Z", "steps": [{"pass": "1d"}], **more}


@pytest.mark.parametrize("preset", ["shop", "saas"])
def test_the_tests_of_a_preset_are_allowed(preset: str) -> None:
    tests = {name: text for name, text in presets.files(preset).items() if name.endswith(".test.yaml")}

    assert tests
    for name, text in tests.items():
        assert SCHEMA.allows(plain_yaml.read(text)[0]), name


def test_the_example_of_the_page_is_allowed() -> None:
    blocks = re.findall(r"```yaml\n(of: .*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert blocks
    for block in blocks:
        assert SCHEMA.allows(plain_yaml.read(block)[0]), block


@pytest.mark.parametrize(
    "mistake",
    [
        {"steps": []},
        {"stesp": [{"pass": "1d"}]},
        {"steps": [{"wait": "1d"}]},
        {"steps": [{"expect": {"mesage": "hello"}}]},
        {"steps": [{"expect": {"run": {"at_step": "pause"}}}]},
        {"given": [{"traits": {}}]},
        {"given": [{"user": "ada", "consent": {"marketing.email": "yes"}}]},
        {"world": {"email": [{"answer": 200}]}},
        {"always": ["never"]},
    ],
)
def test_mistakes_of_form_are_refused(mistake: dict[str, Any]) -> None:
    assert SCHEMA.allows(least())
    assert not SCHEMA.allows(least(**mistake))
