from __future__ import annotations

import pytest

from models.engage.templates import Template, TemplateError, check, render
from models.errors import InvalidConfiguration

WHEN = {"now": 1_700_000_000_000, "timezone": "Asia/Tokyo"}


def test_values_are_escaped_in_html() -> None:
    assert render("<b>{{ first_name }}</b>", {"first_name": "<script>"}, html=True) == "<b>&lt;script&gt;</b>"


def test_values_are_not_escaped_in_text() -> None:
    assert render("{{ first_name }}", {"first_name": "A & B"}) == "A & B"


def test_what_a_user_does_not_have_is_empty() -> None:
    assert render("[{{ traits.shoe }}]", {"traits": {}}) == "[]"


def test_what_a_user_does_not_have_is_an_error_where_somebody_looks_for_mistakes() -> None:
    with pytest.raises(TemplateError, match="shoe"):
        render("[{{ traits.shoe }}]", {"traits": {}}, strict=True)


def test_a_default_makes_up_for_what_is_missing_even_there() -> None:
    assert render("{{ traits.shoe | default: 'M' }}", {"traits": {}}, strict=True) == "M"


def test_the_clock_is_the_one_of_the_log_and_the_zone_the_one_of_the_user() -> None:
    assert render("{{ 'now' | date: '%Y-%m-%d %H:%M' }}", WHEN) == "2023-11-15 07:13"
    assert render("{{ now | date: '%H' }}", WHEN) == "07"


def test_a_date_with_an_offset_is_shown_in_the_zone_of_the_user() -> None:
    assert render("{{ at | date: '%d %H:%M' }}", {**WHEN, "at": "2024-02-29T20:00:00Z"}) == "01 05:00"


def test_what_is_no_date_stays_as_it_is() -> None:
    assert render("{{ 'soon' | date: '%d' }}", WHEN) == "soon"


def test_a_loop_without_end_is_an_error() -> None:
    with pytest.raises(TemplateError, match="loop"):
        render("{% for i in (1..100000000) %}x{% endfor %}", {})


def test_output_without_end_is_an_error() -> None:
    with pytest.raises(TemplateError, match="output"):
        render("{% for i in (1..9999) %}{{ t }}{% endfor %}", {"t": "x" * 1000})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{{ frist_name }}", "frist_name"),
        ("{% if risk > treshold %}x{% endif %}", "treshold"),
        ("{{ first_name | shout }}", "shout"),
        ("{% if %}", "expression"),
        ("{% include 'footer' %}", "include"),
    ],
)
def test_a_mistake_in_a_template_is_found_before_it_is_used(source: str, found: str) -> None:
    with pytest.raises(InvalidConfiguration, match=found) as caught:
        check("welcome", Template("Hi", source))

    assert caught.value.path == "templates.welcome.text"


def test_names_of_the_template_itself_are_no_mistake() -> None:
    check(
        "ok", Template("Hi", "{% assign x = cart.items | first %}{{ x.item }}{% for i in items %}{{ i }}{% endfor %}")
    )
