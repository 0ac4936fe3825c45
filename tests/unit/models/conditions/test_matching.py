from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.conditions.clauses import ValueComparison
from models.conditions.comparing import where
from models.conditions.matching import event_test, predicate
from models.conditions.schema import Operators
from models.configuration.compiled import Configuration, Rule, Trigger
from models.engage.rules import matching
from models.events import Event, OrderLine
from models.profile.signals import Signal

scalars = st.sampled_from(("a", "1", "", 0, 1, 2, 1.0, 1.5, True, False))


@given(
    st.dictionaries(st.sampled_from("xyz"), st.one_of(scalars, st.lists(scalars, min_size=1, max_size=3)), max_size=3),
    st.dictionaries(st.sampled_from("xyz"), st.one_of(scalars, st.none(), st.just([1]), st.just({"a": 1})), max_size=3),
)
def test_what_rules_say_today_in_where_has_the_same_answer(written: dict[str, Any], properties: dict[str, Any]) -> None:
    compiled = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in written.items()}
    trigger = Trigger(kind="event", name="A", where=compiled)
    rule = Rule(name="r", category="marketing", when=trigger, channels=("email",), template="t")
    signal = Signal(kind="event", user="u", at=1, cause="m", name="A", properties=properties)
    event = Event(id="m", user="u", type="custom", name="A", at=1, properties=properties)
    test = event_test(where(written, "where"))
    assert (test is None or test(event)) == bool(matching(Configuration(rules=(rule,)), signal))


@pytest.mark.parametrize(
    ("comparison", "holds", "fails"),
    [
        (ValueComparison(at_least=3), [3, 3.5], [2.9, "3", True, None, [3]]),
        (ValueComparison(more_than=3, less_than=5), [4, 4.99], [3, 5]),
        (ValueComparison(starts_with="ab"), ["ab", "abc"], ["a", "cab", 1, None]),
        (ValueComparison(contains="b"), ["abc", ["b"]], ["ac", [1], None, 5]),
        (ValueComparison(contains=1), [[1], [2, 1.0]], ["1", [True], 1]),
        (ValueComparison(is_set=True), [0, "", False, []], [None]),
    ],
)
def test_an_operator_holds_for_values_of_its_type_only(comparison: Any, holds: list[Any], fails: list[Any]) -> None:
    test = predicate(comparison)
    assert [value for value in holds if not test(value)] == []
    assert [value for value in fails if test(value)] == []


def test_one_line_of_an_order_must_meet_all_comparisons_of_lines() -> None:
    test = event_test(where({"line.item": "a", "line.quantity": Operators(at_least=2)}, "where"))
    assert test is not None
    lines = (OrderLine("a", 1), OrderLine("b", 2))
    order = Event(id="m", user="u", type="purchase", at=1, lines=lines)
    assert not test(order)
    assert test(Event(id="m", user="u", type="purchase", at=1, lines=(*lines, OrderLine("a", 2))))


def test_a_field_of_the_event_is_used_if_the_sender_states_no_such_property() -> None:
    test = event_test(where({"category": "lamps"}, "where"))
    assert test is not None
    assert test(Event(id="m", user="u", type="product_view", at=1, item="i", category="lamps"))
    other = Event(id="m", user="u", type="product_view", at=1, category="lamps", properties={"category": "desks"})
    assert not test(other)


def test_a_property_of_an_object_is_reached_by_a_path() -> None:
    test = event_test(where({"page.kind": "start"}, "where"))
    assert test is not None
    assert test(Event(id="m", user="u", type="custom", name="A", at=1, properties={"page": {"kind": "start"}}))
    assert test(Event(id="m", user="u", type="custom", name="A", at=1, properties={"page.kind": "start"}))
    assert not test(Event(id="m", user="u", type="custom", name="A", at=1, properties={"page": "start"}))
