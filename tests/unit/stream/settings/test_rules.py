"""Rules and templates are read from the file, and a mistake in them is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.settings.rules import read_configuration, read_templates
from stream.settings.sources import InvalidSettings
from tests.support.settings_files import WIN_BACK, write_settings


def test_templates_are_folders_beside_the_file(tmp_path: Path) -> None:
    settings = write_settings(
        tmp_path, WIN_BACK, win_back__subject="We miss\nyou\n", win_back__text="Hello", win_back__html="<p>"
    )

    template = read_configuration(settings).templates["win_back"]

    assert (template.subject, template.text, template.html, template.sms) == ("We miss\nyou\n", "Hello", "<p>", None)


def test_a_template_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    parts = {"subject": "We miss you", "text": "Hello", "html": "<p>"}
    marked = {f"win_back__{name}": f"\ufeff{part}" for name, part in parts.items()}
    settings = write_settings(tmp_path, WIN_BACK, **marked)

    template = read_configuration(settings).templates["win_back"]

    assert (template.subject, template.text, template.html) == ("We miss you", "Hello", "<p>")


def test_no_folder_means_no_templates(tmp_path: Path) -> None:
    assert read_templates(tmp_path / "templates") == {}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"win_back__subject": "s"}, r"templates/win_back: found \['subject'\]; allowed: a text\.liquid"),
        ({"win_back__text": "t", "win_back__sujbect": "s"}, r"sujbect\.liquid: .*did you mean subject\.liquid\?"),
        ({"win_back__text": "t"}, r"templates/win_back/subject\.liquid: found ''; allowed: a subject"),
        (
            {"win_back__text": "{{ first_nam }}", "win_back__subject": "s"},
            r"text\.liquid:1: .*did you mean first_name\?",
        ),
        (
            {"win_back__text": "Hello\n{% if %}", "win_back__subject": "s"},
            r"win_back/text\.liquid:2: found 'missing expression'; allowed: what Liquid can read",
        ),
        ({"winback__text": "t"}, r"perennial\.yaml:3: rules\[0\]\.template: found 'win_back'; .*\(winback\)"),
    ],
)
def test_a_mistake_in_a_template_names_its_file(tmp_path: Path, templates: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        read_configuration(write_settings(tmp_path, WIN_BACK, **templates))


def test_a_mistake_in_a_rule_names_its_line(tmp_path: Path) -> None:
    settings = write_settings(tmp_path, "rules:\n  - name: x\n    when:\n      churn_risk: {crosses: 7}\n")

    with pytest.raises(InvalidSettings, match=r"perennial\.yaml:5: rules\[0\]\.when\.churn_risk\.crosses: found 7"):
        read_configuration(settings)


@pytest.mark.parametrize(
    ("where", "place", "found"),
    [
        ("{plan: {gt: 3}}", "where.plan.gt", "'gt'"),
        ("{plan: {at_least: x}}", "where.plan.at_least", "'x'"),
        ("{plan: null}", "where.plan", "nothing"),
        ("{plan: }", "where.plan", "nothing"),
        ("{plan: [null]}", r"where.plan\[0\]", "nothing"),
        ("{plan: [[a]]}", r"where.plan\[0\]", r"\['a'\]"),
        ("{ok: 1, plan: [pro, {a: b}]}", r"where.plan\[1\]", r"\{'a': 'b'\}"),
        ("{a.b: {c: 1}}", "where.a.b.c", "'c'"),
        ("{'[0]': {c: 1}}", r"where.\[0\].c", "'c'"),
        ("{a.b: [[1]]}", r"where.a.b\[0\]", r"\[1\]"),
        ("[1]", "where", r"\[1\]"),
    ],
)
def test_a_mistake_in_a_mapping_with_free_keys_names_its_place(
    tmp_path: Path, where: str, place: str, found: str
) -> None:
    settings = write_settings(tmp_path, f"rules:\n  - name: x\n    when:\n      event: A\n      where: {where}\n")

    with pytest.raises(
        InvalidSettings, match=rf"perennial\.yaml:6: rules\[0\]\.when\.{place}: found {found}; allowed: "
    ):
        read_configuration(settings)
