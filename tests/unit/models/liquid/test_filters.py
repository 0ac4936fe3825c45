"""No filter fails for any value, and no filter writes ``None``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from models.configuration.templates import TemplateError, render
from models.liquid.environment import MessageEnvironment

WHEN = {"now": 1_700_000_000_000, "timezone": "Asia/Tokyo"}
FILTERS = sorted(MessageEnvironment().filters)
ARGUMENTS = {
    "append": "'x'",
    "at_least": "3",
    "at_most": "3",
    "concat": "others",
    "date": "'%Y'",
    "divided_by": "2",
    "find": "'a'",
    "find_index": "'a'",
    "has": "'a'",
    "map": "'a'",
    "minus": "1",
    "modulo": "2",
    "plus": "1",
    "prepend": "'x'",
    "reject": "'a'",
    "remove": "'x'",
    "remove_first": "'x'",
    "remove_last": "'x'",
    "replace": "'x', 'y'",
    "replace_first": "'x', 'y'",
    "replace_last": "'x', 'y'",
    "slice": "0",
    "split": "','",
    "times": "2",
    "where": "'a'",
}
"""Arguments of the filters that need arguments."""
VALUES: list[Any] = [
    "",
    "text",
    "12",
    "now",
    0,
    5,
    -1,
    10**40,
    4.5,
    float("nan"),
    float("inf"),
    Decimal("49.90"),
    True,
    False,
    [],
    ["b", None, 2, True, {"a": None}, ["a"]],
    {},
    {"a": None, "b": Decimal("1.50")},
]


def _filtered(name: str, value: Any, arguments: str, *, html: bool = False) -> str:
    source = f"{{{{ v | {name}{': ' + arguments if arguments else ''} }}}}"
    return render(source, {**WHEN, "v": value, "others": ["x", None]}, html=html)


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("name", sorted({*FILTERS} - {"default"}))
def test_a_filter_of_nil_gives_an_empty_text(name: str, html: bool) -> None:
    assert _filtered(name, None, ARGUMENTS.get(name, ""), html=html) == ""


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_fails_or_writes_the_text_none_for_any_value(name: str, html: bool) -> None:
    for value in VALUES:
        written = _filtered(name, value, ARGUMENTS.get(name, ""), html=html)

        assert "None" not in written, value
        assert "NaN" not in written, value


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_writes_the_text_none_for_a_missing_argument(name: str) -> None:
    if name in ("divided_by", "modulo"):
        assert _filtered(name, 5, "absent") == ""
    for value in VALUES:
        for arguments in ("absent", "absent, absent"):
            try:
                assert "None" not in _filtered(name, value, arguments), value
            except TemplateError as error:
                assert "too few or too many arguments" in str(error) or "argument" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ m | times: 3 }}", "149.70"),
        ("{{ m | plus: 0.1 }}", "50.00"),
        ("{{ m | minus: m }}", "0.00"),
        ("{{ m | divided_by: 3 | round: 2 }}", "16.63"),
        ("{{ m | round }}", "50"),
        ("{{ m | at_least: 50 }}", "50"),
        ("{{ m | at_most: 50 }}", "49.90"),
        ("{{ m | ceil }} {{ m | floor }}", "50 49"),
        ("{{ lines | map: 'price' | sum }}", "12.60"),
        ("{{ lines | sum: 'price' }}", "12.60"),
        ("{{ 0.1 | plus: 0.2 }}", "0.3"),
        ("{{ 5 | divided_by: 2 }} {{ 5.0 | divided_by: 2 }}", "2 2.5"),
        ("{{ 2.5 | round }} {{ -2.5 | round }} {{ 1250 | round: -2 }}", "3 -3 1300"),
        ("{{ '4.50' | times: 2 }}", "9.00"),
        ("{{ -7 | modulo: 3 }}", "2"),
    ],
)
def test_amounts_are_computed_exactly(source: str, written: str) -> None:
    lines = [{"price": Decimal("4.50")}, {"price": Decimal("8.10")}, {"price": None}]

    assert render(source, {"m": Decimal("49.90"), "lines": lines}) == written


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ l | sort | join: ',' }}", "1,2.5,A,b,"),
        ("{{ l | sort_natural | join: ',' }}", "1,2.5,A,b,"),
        ("{{ l | compact | size }}", "4"),
        ("{{ d | sort: 'a' | map: 'a' | join: ',' }}", "1,2,"),
        ("{{ d | where: 'a', 2 | size }}", "1"),
        ("{{ d | where: 'a' | size }}", "2"),
        ("{{ d | reject: 'a', 2 | size }}", "2"),
        ("{{ d | find: 'a', 2 | map: 'b' }}", "x"),
        ("{{ d | find_index: 'a', 2 }} {{ d | has: 'a', 3 }}", "1 false"),
        ("{{ u | uniq | join: ',' }}", "1,true,a"),
        ("{{ l | first }}{{ l | last }}", "b1"),
        ("{{ 'a,b' | split: ',' | reverse | join }}", "b a"),
        ("{{ l | concat: u | size }}", "10"),
    ],
)
def test_lists_may_hold_values_of_any_types(source: str, written: str) -> None:
    values = {
        "l": ["b", None, "A", 2.5, 1],
        "d": [{"a": 1}, {"a": Decimal(2), "b": "x"}, {"a": None}],
        "u": [1, True, "a", 1.0, "a"],
    }

    assert render(source, values) == written


def test_the_separator_of_join_is_escaped_in_html() -> None:
    values = {"l": ["<a>", "b"], "s": "<hr>"}

    assert render("{{ l | join: '<br>' }}", values, html=True) == "&lt;a&gt;<br>b"
    assert render("{{ l | join: s }}", values, html=True) == "&lt;a&gt;&lt;hr&gt;b"
    assert render("{{ l | first | append: s }}", values, html=True) == "&lt;a&gt;&lt;hr&gt;"


@pytest.mark.parametrize("name", ["divided_by", "modulo"])
def test_a_division_by_zero_is_an_error(name: str) -> None:
    with pytest.raises(TemplateError, match=f"{name}: can't divide by 0"):
        _filtered(name, 5, "0")


@pytest.mark.parametrize("value", [10**30, -(10**20), 1e300, "9999-99-99", "2024-13-01T00:00:00Z", "soon"])
def test_a_value_that_is_not_a_date_stays_as_it_is(value: object) -> None:
    assert _filtered("date", value, "'%d'") == render("{{ v }}", {"v": value})
