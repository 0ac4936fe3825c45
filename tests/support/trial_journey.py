"""The journey of docs/journeys.md, with templates, and the test of docs/journey_tests.md."""

from __future__ import annotations

import re
from typing import Any

from models.configuration.compiled import Configuration
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.journey_tests.parsing import Variant, parse_test, variants_of
from models.journey_tests.running import FailedStep, play_test
from models.journey_tests.shaking import Shake
from stream.settings import plain_yaml
from tests.support.paths import ROOT

SUBJECTS = {"hello": "Welcome to {{ entry.plan }}"}
TEMPLATES = {
    f"trial_{name}": Template(subject=SUBJECTS.get(name, name), text="Hello. {{ entry.plan }}")
    for name in ("hello", "nudge", "tips", "short", "long", "hint")
}


def example_of(page: str) -> Any:
    """Return the YAML on a page of the documentation."""
    (found,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    return plain_yaml.read(found)[0]


def trial(**sections: Any) -> Configuration:
    """Return the configuration of the page, with other sections or with changed ones."""
    return parse({**example_of("journeys.md"), **sections}, TEMPLATES)


def play(written: Any, configuration: Configuration, shake: Shake | None = None) -> list[FailedStep]:
    """Run all variants of a test, and return what does not hold."""
    test = parse_test(written, configuration)
    return [
        failure
        for variant in variants_of(test) or [Variant()]
        for failure in play_test(test, configuration, variant, shake).failures
    ]
