"""Liquid's filters for numbers: amounts stay exact, and a result that cannot be computed is nil.

A result cannot be computed if an operand is nil or if it would be too large. Only a division by zero is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from types import MappingProxyType
from typing import Any

from liquid.exceptions import FilterArgumentError

from models.liquid.values import Number, bounded, compare, exact, number_of, text_of, whole_of
from models.liquid.work import Work

_PRECISE = Context(prec=60)
_QUOTIENT = Context(prec=15)


def _computed(function: Callable[[Any, Any], Number]) -> Callable[..., Any]:
    """Make a filter of two numbers that returns nil if one of them or the result is nil."""

    def call(_: Work, value: Any, other: Any) -> Number | None:
        one, two = number_of(value), None if other is None else number_of(other)
        return None if one is None or two is None else bounded(function(one, two))

    return call


def _like(result: int | Decimal, *operands: Number) -> Number:
    """Return an exact amount if one of the operands is an amount; otherwise return the result as a plain number."""
    has_amount = any(isinstance(operand, Decimal) for operand in operands)
    return float(result) if isinstance(result, Decimal) and not has_amount else result


def add(one: Number, other: Number) -> Number:
    """Add two numbers; amounts are added exactly."""
    return _like(_decimal(_PRECISE.add, one, other), one, other)


def _minus(one: Number, other: Number) -> Number:
    return _like(_decimal(_PRECISE.subtract, one, other), one, other)


def _times(one: Number, other: Number) -> Number:
    return _like(_decimal(_PRECISE.multiply, one, other), one, other)


def _decimal(operation: Callable[[Any, Any], Decimal], one: Number, other: Number) -> int | Decimal:
    result = operation(Decimal(exact(one)), Decimal(exact(other)))
    return int(result) if isinstance(one, int) and isinstance(other, int) else result


def _divided_by(one: Number, other: Number) -> Number:
    if not other:
        raise FilterArgumentError(f"divided_by: can't divide by {text_of(other)}", token=None)
    if isinstance(one, int) and isinstance(other, int):
        return one // other
    return _like(_QUOTIENT.divide(Decimal(exact(one)), Decimal(exact(other))), one, other)


def _modulo(one: Number, other: Number) -> Number:
    if not other:
        raise FilterArgumentError(f"modulo: can't divide by {text_of(other)}", token=None)
    if isinstance(one, int) and isinstance(other, int):
        return one % other
    left, right = Decimal(exact(one)), Decimal(exact(other))
    rest = _PRECISE.subtract(left, _PRECISE.multiply(right, Decimal(math.floor(_PRECISE.divide(left, right)))))
    return _like(rest, one, other)


def _at_least(one: Number, other: Number) -> Number:
    return other if compare(one, other) == -1 else one


def _at_most(one: Number, other: Number) -> Number:
    return other if compare(one, other) == 1 else one


def _absolute(_: Work, value: Any) -> Number | None:
    number = number_of(value)
    return -number if number is not None and number < 0 else number


def _ceil(_: Work, value: Any) -> Number | None:
    number = number_of(value)
    return None if number is None else math.ceil(number)


def _floor(_: Work, value: Any) -> Number | None:
    number = number_of(value)
    return None if number is None else math.floor(number)


def _round(_: Work, value: Any, digits: Any = None) -> Number | None:
    """Round half away from zero."""
    number, places = number_of(value), max(min(whole_of(digits, 0), 30), -30)
    if number is None or (isinstance(number, int) and places >= 0):
        return number
    rounded = Decimal(exact(number)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, context=Context(prec=80))
    return int(rounded) if places <= 0 else _like(rounded, number)


NUMBERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": _absolute,
        "at_least": _computed(_at_least),
        "at_most": _computed(_at_most),
        "ceil": _ceil,
        "divided_by": _computed(_divided_by),
        "floor": _floor,
        "minus": _computed(_minus),
        "modulo": _computed(_modulo),
        "plus": _computed(add),
        "round": _round,
        "times": _computed(_times),
    }
)
"""Filters for numbers, by name."""
