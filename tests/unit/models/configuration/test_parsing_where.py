"""``where`` of rules: values mean what they always meant, and operators are those of segments by rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.conditions.clauses import ValueComparison
from models.configuration.compiled import Configuration, Trigger, decode, encode
from models.configuration.levels import require_expressible
from models.configuration.parsing import parse
from models.configuration.templates import Template
from models.engage.rules import matching, rules_met
from models.errors import InvalidConfiguration
from models.events import Event, OrderLine
from models.levels import FIRST, NEWEST
from models.profile.signals import Signal

TEMPLATES = {"r": Template("Hi", "text")}
scalars = st.sampled_from(["pro", "1", "", 0, 1, 2, 1.0, 1.5, True, False])
names = st.sampled_from(
    ["plan", "price", "amount", "category", "item", "name", "page.kind", "line.item", "line.x", "is"]
)
written_values = st.dictionaries(names, scalars | st.lists(scalars, max_size=3), max_size=3)
stated = st.dictionaries(names, scalars | st.none() | st.lists(scalars, max_size=2), max_size=4)


def configured(where: dict[str, Any] | None, event: str = "A") -> Configuration:
    when = {"event": event} if where is None else {"event": event, "where": where}
    return parse({"rules": [{"name": "r", "when": when}]}, TEMPLATES)


def is_triggered(configuration: Configuration, event: Event) -> bool:
    name = event.name or event.type
    met = rules_met(configuration, name, event)
    signal = Signal(kind="event", user="u", at=1, cause="m", name=name, properties=event.properties, met=met)
    return bool(matching(configuration, signal))


def as_before(where: dict[str, Any], properties: dict[str, Any]) -> bool:
    """Return whether a rule was triggered before ``where`` had operators."""
    for name, allowed in where.items():
        values = allowed if isinstance(allowed, list) else [allowed]
        found = properties.get(name)
        if not any(found == value and isinstance(found, bool) == isinstance(value, bool) for value in values):
            return False
    return True


@given(written_values, stated)
def test_values_in_where_mean_what_they_always_meant(where: dict[str, Any], properties: dict[str, Any]) -> None:
    configuration = configured(where)
    event = Event(
        id="m",
        user="u",
        type="custom",
        name="A",
        at=1,
        item="pro",
        category="pro",
        amount=1_000_000,
        lines=(OrderLine("pro"),),
        properties=properties,
    )
    assert is_triggered(configuration, event) == as_before(where, properties)


@given(written_values)
def test_values_in_where_have_the_bytes_of_the_first_level(where: dict[str, Any]) -> None:
    configuration = configured(where)
    require_expressible(configuration, FIRST)
    when = msgspec.json.decode(encode(configuration))["rules"][0]["when"]
    listed = {name: value if isinstance(value, list) else [value] for name, value in where.items()}
    assert when == {"kind": "event", "name": "A"} | ({"where": listed} if where else {})
    assert decode(encode(configuration)) == configuration


def test_operators_need_the_second_level() -> None:
    configuration = configured({"plan": "pro", "seats": {"at_least": 3}})
    expected = Trigger(
        kind="event", name="A", where={"plan": ("pro",)}, conditions=(("seats", ValueComparison(at_least=3)),)
    )
    assert configuration.rules[0].when == expected
    assert decode(encode(configuration)) == configuration
    require_expressible(configuration, NEWEST)
    with pytest.raises(InvalidConfiguration, match=r"rules\[0\]\.when\.where\.seats.*upgrade finish"):
        require_expressible(configuration, FIRST)


@pytest.mark.parametrize(
    ("where", "event", "fields", "triggered"),
    [
        ({"seats": {"at_least": 3}}, "A", {"properties": {"seats": 3}}, True),
        ({"seats": {"at_least": 3}}, "A", {"properties": {"seats": "3"}}, False),
        ({"seats": {"at_least": 3}}, "A", {}, False),
        ({"seats": {"at_least": 3}, "plan": "pro"}, "A", {"properties": {"seats": 3, "plan": "pro"}}, True),
        ({"seats": {"at_least": 3}, "plan": "pro"}, "A", {"properties": {"seats": 3, "plan": "free"}}, False),
        ({"coupon": {"starts_with": "SPRING"}}, "A", {"properties": {"coupon": "SPRING10"}}, True),
        ({"coupon": {"set": True}}, "A", {"properties": {"coupon": ""}}, True),
        ({"page.kind": {"is": "start"}}, "A", {"properties": {"page": {"kind": "start"}}}, True),
        ({"category": {"is": "lamps"}}, "product_view", {"category": "lamps"}, True),
        ({"category": "lamps"}, "product_view", {"category": "lamps"}, False),
        ({"amount": {"at_least": 20, "currency": "EUR"}}, "purchase", {"amount": 20_000_000, "currency": "EUR"}, True),
        ({"amount": {"at_least": 20, "currency": "EUR"}}, "purchase", {"amount": 20_000_000, "currency": "USD"}, False),
        ({"line.item": {"is": "a"}}, "purchase", {"lines": (OrderLine("b"), OrderLine("a"))}, True),
        ({"line.item": {"is": "c"}}, "purchase", {"lines": (OrderLine("b"), OrderLine("a"))}, False),
    ],
)
def test_operators_in_where_mean_the_same_as_in_segments(
    where: dict[str, Any], event: str, fields: dict[str, Any], triggered: bool
) -> None:
    custom = {"type": "custom", "name": event} if event == "A" else {"type": event}
    happened = msgspec.convert({"id": "m", "user": "u", "at": 1, **custom, **fields}, Event)
    assert is_triggered(configured(where, event), happened) is triggered


@pytest.mark.parametrize(
    ("where", "path", "allowed"),
    [
        ({"seats": {}}, "seats", "at least one of is, in, at_least"),
        ({"seats": {"atleast": 3}}, "seats.atleast", "one of is, in, at_least"),
        ({"price": {"at_least": 3}}, "price.currency", "such as EUR"),
        ({"line.colour": {"is": "red"}}, "line.colour", "line.item"),
        ({"x": {"same_as": "a.x"}}, "x.same_as", "only steps of a sequence refer"),
    ],
)
def test_a_mistake_in_an_operator_is_reported_with_its_place(where: dict[str, Any], path: str, allowed: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        configured(where)
    assert caught.value.path == f"rules[0].when.where.{path}"
    assert allowed in caught.value.allowed
