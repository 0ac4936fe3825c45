"""Write formulas over numbers as one function over floats, which costs a third of calling them one after the other.

A formula is called once with a :class:`Terms`, and thereby writes itself down as an expression. The expressions do the
same operations in the same order as the formulas, so the results have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any


class Term:
    """An expression of a formula, as text.

    Examples
    --------
    >>> (Term("a") - 1.0) / Term("b"), Term("a") > 0.0
    (Term('((a - 1.0) / b)'), Term('(a > 0.0)'))
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        """Show the expression."""
        return f"Term({self.text!r})"

    def __add__(self, other: Any) -> Term:
        return Term(f"({self.text} + {_text(other)})")

    def __sub__(self, other: Any) -> Term:
        return Term(f"({self.text} - {_text(other)})")

    def __mul__(self, other: Any) -> Term:
        return Term(f"({self.text} * {_text(other)})")

    def __truediv__(self, other: Any) -> Term:
        return Term(f"({self.text} / {_text(other)})")

    def __gt__(self, other: Any) -> Term:
        return Term(f"({self.text} > {_text(other)})")


class Terms:
    """The numbers of a formula as expressions, with the operations that formulas may use besides arithmetic."""

    def __init__(self) -> None:
        self._names = count()

    def __getitem__(self, place: int) -> Term:
        return Term(f"n{place}")

    @staticmethod
    def either(condition: Any, one: Any, other: Any) -> Term:
        """Write a choice."""
        return Term(f"({_text(one)} if {_text(condition)} else {_text(other)})")

    def greater(self, one: Any, other: Any) -> Term:
        """Write the call of ``max`` without the call."""
        return self._choice(one, other, ">")

    def smaller(self, one: Any, other: Any) -> Term:
        """Write the call of ``min`` without the call."""
        return self._choice(one, other, "<")

    def _choice(self, one: Any, other: Any, sign: str) -> Term:
        first, second = f"t{next(self._names)}", f"t{next(self._names)}"
        return Term(f"({second} if ({second} := {_text(other)}) {sign} ({first} := {_text(one)}) else {first})")


def flat(
    formulas: Sequence[Callable[[Any], Any]], numbers: int, names: Mapping[str, Any] | None = None
) -> Callable[..., list[float]]:
    """Return one function for the values of all formulas.

    Parameters
    ----------
    formulas
        The formulas, each over a source of numbers such as :class:`Terms`.
    numbers
        Number of the numbers, which are the parameters of the function.
    names
        Values of other names in the expressions.

    Examples
    --------
    >>> function = flat([lambda n: n[0] / n.greater(n[1], 1.0), lambda n: n[1]], numbers=2)
    >>> function(6.0, 0.0), function(6.0, 4.0)
    ([6.0, 0.0], [1.5, 4.0])
    """
    source = Terms()
    values = ", ".join(_text(formula(source)) for formula in formulas)
    parameters = ", ".join(f"n{place}" for place in range(numbers))
    function: Callable[..., list[float]] = eval(f"lambda {parameters}: [{values}]", dict(names or {}))  # noqa: S307 - our own formulas
    return function


def _text(value: Any) -> str:
    return value.text if isinstance(value, Term) else repr(value)
