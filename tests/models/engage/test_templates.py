from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engage.templates import InvalidTemplate, Template, TemplateError, check, render
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


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\n\n{{ frist_name }}\n", 3),
        ("a\n{{ first_name | shout }}\nb", 2),
        ("{{ user }}\n{% if %}\n{{ user }}", 2),
        ("a\n{{ user\n", 2),
        ("a\n{% if user %}\nb\n", 3),
    ],
)
def test_a_mistake_in_a_template_is_found_with_its_line(source: str, line: int) -> None:
    with pytest.raises(InvalidTemplate) as caught:
        check("welcome", Template("Hi", source))

    assert caught.value.line == line


def test_names_of_the_template_itself_are_no_mistake() -> None:
    check(
        "ok", Template("Hi", "{% assign x = cart.items | first %}{{ x.item }}{% for i in items %}{{ i }}{% endfor %}")
    )


def test_a_text_that_doubles_itself_is_an_error() -> None:
    with pytest.raises(TemplateError, match=r"limit|memory"):
        render("{% assign s = 'xy' %}{% for i in (1..1000) %}{% assign s = s | append: s %}{% endfor %}", {})


FILTERS = (
    "append: 'x'",
    "at_least: x",
    "capitalize",
    "compact",
    "concat: x",
    "date: '%d %Q'",
    "date: x",
    "default: x",
    "divided_by: x",
    "first",
    "join: x",
    "map: 'a'",
    "minus: x",
    "modulo: 0",
    "round: x",
    "size",
    "slice: 0, 99999999999",
    "sort",
    "split: x",
    "sum: 'a'",
    "times: x",
    "truncate: x",
    "uniq",
    "url_decode",
    "where: 'a', x",
)
traits = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("now"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(one=traits, other=traits, filters=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3), html=st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_a_user_is_like_a_template_renders_or_fails_as_one(
    one: object, other: object, filters: list[str], html: bool
) -> None:
    source = "{{ " + " | ".join(["t", *filters]) + " }}{% for i in t %}{{ i.a[x] }}{% endfor %}"
    try:
        assert isinstance(render(source, {**WHEN, "t": one, "x": other}, html=html), str)
    except TemplateError as error:
        assert str(error)  # noqa: PT017 - either is well
