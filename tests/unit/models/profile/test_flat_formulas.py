"""Formulas written as one function give the values that the same operations give when they are called."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.profile.flat_formulas import flat


class _Called(list[float]):
    """The numbers of a row, with the operations of the formulas as calls."""

    greater, smaller = staticmethod(max), staticmethod(min)

    @staticmethod
    def either(condition: Any, one: Any, other: Any) -> Any:
        return one if condition else other


_FORMULAS: tuple[Callable[[Any], Any], ...] = (
    lambda n: n[0] + n[1] - n[2] * 0.1,
    lambda n: n[0] / n.greater(n.smaller(n[1], n[2]), 0.5),
    lambda n: n.either(n[1] > n[2], n.greater(n[0] - n[1], n[2] - n[1]), n.smaller(n[2], 3.0)),
    lambda n: n.greater(n.greater(n[0], n[1]), n.greater(n[2], n[0])),
)

numbers = st.floats() | st.sampled_from((0.0, -0.0, 3.0))


@given(st.tuples(numbers, numbers, numbers))
def test_the_function_gives_the_bits_of_the_calls(row: tuple[float, float, float]) -> None:
    found = flat(_FORMULAS, numbers=3)(*row)

    assert struct.pack("4d", *found) == struct.pack("4d", *(formula(_Called(row)) for formula in _FORMULAS))
