"""Exponentially decayed counts: how often something has happened lately, at several half-lives.

The share that is left of a count after some milliseconds is a product of numbers from tables. The tables are made by
integer arithmetic, and products are exactly rounded. So the counts have the same bits on every processor.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from models.profile.numbers import Numbers
from models.units import DAY

HALF_LIVES = (1, 7, 30)
"""The half-lives, in days."""

_DIGIT_BITS = 10
_DIGITS = 4
_BASE = 1 << _DIGIT_BITS
_LAST = _BASE - 1
_MAX_HIGHEST = _LAST
"""Maximum value of the highest digit of a time. It stands for 34 years, after which hardly any share is left."""
_PRECISION = 1_400


def _tables(half_life: int) -> list[list[float]]:
    """Return, for each digit of a time in milliseconds to the base 1,024, the share that is left after it.

    The shares are powers of one number in fixed-point arithmetic, so each is rounded once.
    """
    one, tables = 1 << _PRECISION, []
    with localcontext(Context(prec=450)):
        step = int(Decimal(2) ** (Decimal(-1) / (half_life * DAY)) * one)
    for _ in range(_DIGITS):
        share, shares = one, []
        for _ in range(_BASE):
            shares.append(share / one)
            share = share * step >> _PRECISION
        tables.append(shares)
        step = share
    return tables


_SHORT, _MIDDLE, _LONG = (_tables(half_life) for half_life in HALF_LIVES)
_SHORT_0, _SHORT_1, _SHORT_2, _SHORT_3 = _SHORT
_MIDDLE_0, _MIDDLE_1, _MIDDLE_2, _MIDDLE_3 = _MIDDLE
_LONG_0, _LONG_1, _LONG_2, _LONG_3 = _LONG
_BY_DIGIT = np.array([_SHORT, _MIDDLE, _LONG]).transpose(1, 0, 2).copy()
"""Tables of the shares that are left, as one array of shape (digits, half-lives, values of a digit)."""


def shares(elapsed: int) -> tuple[float, float, float]:
    """Return the share of a count that is left after this time, at each of ``HALF_LIVES``.

    Parameters
    ----------
    elapsed
        Milliseconds, at least 0.

    Examples
    --------
    >>> [round(share, 3) for share in shares(7 * DAY)]
    [0.008, 0.5, 0.851]
    """
    first, rest = elapsed & _LAST, elapsed >> _DIGIT_BITS
    second, rest = rest & _LAST, rest >> _DIGIT_BITS
    short, middle, long = (
        _SHORT_0[first] * _SHORT_1[second],
        _MIDDLE_0[first] * _MIDDLE_1[second],
        _LONG_0[first] * _LONG_1[second],
    )
    if not rest:
        return short, middle, long
    third, fourth = rest & _LAST, min(rest >> _DIGIT_BITS, _MAX_HIGHEST)
    return (
        short * _SHORT_2[third] * _SHORT_3[fourth],
        middle * _MIDDLE_2[third] * _MIDDLE_3[fourth],
        long * _LONG_2[third] * _LONG_3[fourth],
    )


def month_share(elapsed: int) -> float:
    """Return the last of :func:`shares`: what is left of a count whose half-life is 30 days."""
    rest = elapsed >> 2 * _DIGIT_BITS
    share = _LONG_0[elapsed & _LAST] * _LONG_1[elapsed >> _DIGIT_BITS & _LAST]
    return share if not rest else share * _LONG_2[rest & _LAST] * _LONG_3[min(rest >> _DIGIT_BITS, _MAX_HIGHEST)]


def shares_of(elapsed: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return :func:`shares` of each time; the half-lives are the first axis."""
    third = elapsed >> 2 * _DIGIT_BITS
    fourth = np.minimum(third >> _DIGIT_BITS, _MAX_HIGHEST)
    left: NDArray[np.float64] = _BY_DIGIT[0][:, elapsed & _LAST] * _BY_DIGIT[1][:, elapsed >> _DIGIT_BITS & _LAST]
    left *= _BY_DIGIT[2][:, third & _LAST]
    left *= _BY_DIGIT[3][:, fourth]
    return left


def bump(numbers: Numbers, place: int, at: int, amount: float = 1.0) -> None:
    """Add ``amount`` at time ``at`` to the decayed counts at a place of a user's numbers.

    A late event is weighed as if it had come in order. So the result does not depend on the order, except for the last
    bits of the floats.

    Examples
    --------
    >>> from models.profile.numbers import ACTIVITY, new_numbers
    >>> numbers = new_numbers()
    >>> bump(numbers, ACTIVITY, 0)
    >>> bump(numbers, ACTIVITY, 7 * DAY)
    >>> [round(value, 3) for value in numbers[ACTIVITY + 1 : ACTIVITY + 4]]
    [1.008, 1.5, 1.851]
    """
    elapsed = at - int(numbers[place])
    if elapsed >= 0:
        short, middle, long = shares(elapsed)
        numbers[place] = at
        numbers[place + 1] = numbers[place + 1] * short + amount
        numbers[place + 2] = numbers[place + 2] * middle + amount
        numbers[place + 3] = numbers[place + 3] * long + amount
    else:
        short, middle, long = shares(-elapsed)
        numbers[place + 1] += amount * short
        numbers[place + 2] += amount * middle
        numbers[place + 3] += amount * long
