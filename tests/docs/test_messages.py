"""docs/messages.md contains exactly the existing names of templates, reasons, triggers and codes."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any, get_args

import yaml

from models.configuration import definition
from models.configuration.parsing import parse
from models.configuration.templates import NAMES, PARTS, Template
from models.delivery import bounces
from models.delivery.suppression import STOPPING
from models.engage.decisions import Reason
from models.engage.why import REASONS
from models.reading import read
from stream.settings.schema import DeliverySection
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "messages.md").read_text()


def _first_column(heading: str) -> set[str]:
    """Return the code in the first column of the tables of a section."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row)}


def _examples() -> list[dict[str, Any]]:
    """Return the examples of settings, of which one in a list is indented."""
    found = re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
    return [yaml.safe_load(dedent(text)) for text in found]


def test_every_name_that_a_template_may_use_is_explained() -> None:
    assert _first_column("Templates") == {*NAMES, *(f"{part}.liquid" for part in PARTS)}


def test_every_reason_is_explained() -> None:
    assert _first_column("The outcome of a trigger") == set(get_args(Reason)) - {""}


def test_every_reason_has_a_description() -> None:
    assert REASONS.keys() == set(get_args(Reason)) - {""}


def test_every_trigger_is_explained_with_a_valid_example() -> None:
    triggers = [yaml.safe_load(code) for code in _first_column("Rules") - {"when"}]
    rules = [{"name": f"rule_{i}", "template": "t", "when": when} for i, when in enumerate(triggers)]

    parse({"rules": rules, "lifecycle": {}}, {"t": Template("Hi", "text")})

    assert {kind for when in triggers for kind in when} == set(definition.When.__struct_fields__)


def test_the_example_shows_every_field_of_a_rule_with_its_default() -> None:
    example, *others = _examples()

    for one in (example, *others):
        delivery = one.pop("delivery", None)
        if delivery is not None:
            read(delivery, DeliverySection)
        parse(one, {rule["name"]: Template("Hi", "text") for rule in one.get("rules", [])})

    assert set(example["rules"][0]) == set(definition.RuleDefinition.__struct_fields__)


def test_every_reason_of_the_suppression_list_is_explained() -> None:
    assert _first_column("The suppression list") == set(STOPPING)


def test_every_code_about_an_address_is_in_the_row_of_its_class() -> None:
    section = PAGE.split("## Bounces\n")[1]
    rows = {row[1]: row[0] for row in re.finditer(r"^\| `(\w+)` \|.*$", section, re.MULTILINE)}
    codes: dict[str, set[str]] = {"stop": set(), "soft": set(), "gone": set()}
    codes |= {"hard": {*bounces.HARD}, "second": {*bounces.SECOND}, "sender": {*bounces.SENDER}}
    for code, says in bounces.TWILIO.items():
        codes[says].add(code)
    for name, says in (*bounces.FCM.items(), *((str(status), says) for status, says in bounces.WEB_PUSH.items())):
        codes[says].add(name)

    written = re.compile(r"(?<![\w.])(?:[245]\.\d\.\d+|\d{5}|4\d\d|[A-Z]+_[A-Z_]+|UNREGISTERED)(?![\w.]*\d)")
    assert rows.keys() == codes.keys()
    for kind, wanted in codes.items():
        found = set(written.findall(rows[kind]))
        assert found - {"30003", "30004"} == wanted, kind
