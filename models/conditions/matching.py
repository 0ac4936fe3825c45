"""Compile what the properties of an event must be into predicates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.conditions.amounts import micros_of
from models.conditions.clauses import Scalar, ValueComparison, Where
from models.conditions.properties import LINE, MONEY, line_value, value_of
from models.events import Event, OrderLine

Predicate = Callable[[Any], bool]
EventTest = Callable[[Event], bool]
LineTest = Callable[[OrderLine], bool]

_BOUNDS = ("at_least", "more_than", "at_most", "less_than")


def predicate(comparison: ValueComparison) -> Predicate:
    """Return a predicate over a value. A missing or wrongly typed value never holds, and nothing is converted.

    Examples
    --------
    >>> is_three = predicate(ValueComparison(among=(3,)))
    >>> is_three(3.0), is_three("3"), is_three(None), predicate(ValueComparison(among=(1,)))(True)
    (True, False, False, False)
    """
    tests: list[Predicate] = []
    if comparison.among:
        tests.append(_among(comparison.among))
    if any(getattr(comparison, bound) is not None for bound in _BOUNDS):
        tests.append(_bounded(comparison))
    if (prefix := comparison.starts_with) is not None:
        tests.append(lambda value: isinstance(value, str) and value.startswith(prefix))
    if (part := comparison.contains) is not None:
        tests.append(_containing(part))
    if comparison.is_set:
        tests.append(lambda value: value is not None)
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def example_of(comparison: ValueComparison) -> Any:
    """Return a value that meets a comparison, for previews. Of several operators, it may meet only the first one.

    Examples
    --------
    >>> example_of(ValueComparison(at_least=3)), example_of(ValueComparison(less_than=3)), example_of(ValueComparison())
    (3, 2, True)
    """
    if comparison.among:
        return comparison.among[0]
    numbers = (
        comparison.at_least,
        comparison.at_most,
        None if comparison.more_than is None else comparison.more_than + 1,
        None if comparison.less_than is None else comparison.less_than - 1,
    )
    examples = (*numbers, comparison.starts_with, comparison.contains)
    return next((value for value in examples if value is not None), True)


def event_test(where: Where) -> EventTest | None:
    """Return a predicate over events; ``None`` if every event fits. References to other events are not tested."""
    tests: list[EventTest] = []
    for name, comparison in where:
        if not name.startswith(LINE) and comparison != ValueComparison(same_as=comparison.same_as):
            tests.append(_property(name, comparison))
    lines = line_test(where)
    if lines is not None:
        tests.append(lambda event: any(lines(line) for line in event.lines))
        currencies = {one.currency for name, one in where if name.startswith(LINE) and one.currency is not None}
        if currencies:
            tests.append(lambda event: all(event.currency == currency for currency in currencies))
    if len(tests) <= 1:
        return tests[0] if tests else None
    return lambda event: all(test(event) for test in tests)


def line_test(where: Where) -> LineTest | None:
    """Return a predicate over the lines of an order; ``None`` if every line fits."""
    tests = [(name.removeprefix(LINE), _of(name, comparison)) for name, comparison in where if name.startswith(LINE)]
    if not tests:
        return None
    return lambda line: all(test(line_value(line, name)) for name, test in tests)


def _property(name: str, comparison: ValueComparison) -> EventTest:
    test, currency = _of(name, comparison), comparison.currency
    if currency is not None:
        return lambda event: event.currency == currency and test(value_of(event, name))
    return lambda event: test(value_of(event, name))


def _of(name: str, comparison: ValueComparison) -> Predicate:
    """Return the predicate over a property; money is compared in micros."""
    if name not in MONEY:
        return predicate(comparison)
    in_micros = ValueComparison(
        among=tuple(_money(value) for value in comparison.among),
        at_least=_micros(comparison.at_least),
        more_than=_micros(comparison.more_than),
        at_most=_micros(comparison.at_most),
        less_than=_micros(comparison.less_than),
        is_set=comparison.is_set,
    )
    return predicate(in_micros)


def _micros(value: float | None) -> int | None:
    return None if value is None else micros_of(value)


def _money(value: Scalar) -> Scalar:
    micros = micros_of(value)
    return value if micros is None else micros


def _among(values: tuple[Scalar, ...]) -> Predicate:
    flags = frozenset(value for value in values if isinstance(value, bool))
    others = frozenset(value for value in values if not isinstance(value, bool))

    def is_among(value: Any) -> bool:
        if isinstance(value, bool):
            return value in flags
        return isinstance(value, str | int | float) and value in others

    return is_among


def _bounded(comparison: ValueComparison) -> Predicate:
    at_least, more_than = comparison.at_least, comparison.more_than
    at_most, less_than = comparison.at_most, comparison.less_than

    def is_within(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (
            (at_least is None or value >= at_least)
            and (more_than is None or value > more_than)
            and (at_most is None or value <= at_most)
            and (less_than is None or value < less_than)
        )

    return is_within


def _containing(part: Scalar) -> Predicate:
    same = _among((part,))

    def contains(value: Any) -> bool:
        if isinstance(value, str):
            return isinstance(part, str) and part in value
        return isinstance(value, list | tuple) and any(same(inner) for inner in value)

    return contains
