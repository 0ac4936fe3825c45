"""Logarithms and exponentials that have the same bits on every processor, for one number and for columns of numbers.

The functions of the C library and of numpy differ in the last bit between processors. These functions use only
operations whose results are exactly rounded everywhere: sums, differences, products, quotients, ``frexp`` and
``ldexp``. Each function comes twice, for a float and for an array. Both do the same operations in the same order. So a
number has the same result alone and in any column.

The relative error is below 3e-16.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from math import floor, frexp, ldexp

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DIGITS = 40
_STEPS = 512
_FINE = 256
_GRID = 2**42
"""The upper part of a split logarithm is a multiple of 1 / ``_GRID``, so that sums of such parts are exact."""


def _split(number: Decimal) -> tuple[float, float]:
    """Return two floats whose sum is the number; the first one is a multiple of 1 / ``_GRID``."""
    upper = Decimal(round(number * _GRID)) / _GRID
    return float(upper), float(number - upper)


with localcontext(Context(prec=_DIGITS)):
    _LN2 = Decimal(2).ln()
    _LN2_UPPER, _LN2_LOWER = _split(_LN2)
    _CENTRES = [Decimal(_STEPS // 2 + k) / _STEPS for k in range(_STEPS // 2 + 1)]
    _RECIPROCALS = [float(1 / centre) for centre in _CENTRES]
    _LOGS_UPPER, _LOGS_LOWER = map(list, zip(*(_split(centre.ln()) for centre in _CENTRES), strict=True))
    _PER_STEP = float(_FINE / _LN2)
    _STEP_UPPER = float(Decimal(round(_LN2 / _FINE * 2**40)) / 2**40)
    _STEP_LOWER = float(_LN2 / _FINE - Decimal(_STEP_UPPER))
    _POWERS: list[float] = [float(2 ** (Decimal(k) / _FINE)) for k in range(_FINE)]

_RECIPROCAL_COLUMN, _POWER_COLUMN = np.array(_RECIPROCALS), np.array(_POWERS)
_UPPER_COLUMN, _LOWER_COLUMN = np.array(_LOGS_UPPER), np.array(_LOGS_LOWER)
_THIRD, _FIFTH, _SIXTH = 1.0 / 3.0, 1.0 / 5.0, 1.0 / 6.0
_MIN_EXPONENT = -746.0
"""Minimum exponent whose power is not 0."""


def log1p(number: float) -> float:
    """Return the natural logarithm of 1 + ``number``; a number below 0 counts as 0.

    Examples
    --------
    >>> log1p(0.0), log1p(1e-20), log1p(1.0)
    (0.0, 1e-20, 0.6931471805599453)
    """
    if not number > 0.0:
        return 0.0
    one_more = 1.0 + number
    fraction, exponent = frexp(one_more)
    step = int(fraction * _STEPS + 0.5) - _STEPS // 2
    apart = (fraction - (0.5 + step / _STEPS)) * _RECIPROCALS[step]
    series = -0.5 + apart * (_THIRD + apart * (-0.25 + apart * (_FIFTH - apart * _SIXTH)))
    lost = (number - (one_more - 1.0)) / one_more
    lower = exponent * _LN2_LOWER + _LOGS_LOWER[step] + apart * apart * series + lost
    result: float = exponent * _LN2_UPPER + _LOGS_UPPER[step] + (apart + lower)
    return result


def log1p_of(numbers: Floats) -> Floats:
    """Return :func:`log1p` of each number."""
    numbers = np.where(numbers > 0.0, numbers, 0.0)
    one_more = 1.0 + numbers
    fraction, exponent = np.frexp(one_more)
    step = (fraction * _STEPS + 0.5).astype(np.intp) - _STEPS // 2
    apart = (fraction - (0.5 + step / _STEPS)) * _RECIPROCAL_COLUMN[step]
    series = -0.5 + apart * (_THIRD + apart * (-0.25 + apart * (_FIFTH - apart * _SIXTH)))
    lost = (numbers - (one_more - 1.0)) / one_more
    lower = exponent * _LN2_LOWER + _LOWER_COLUMN[step] + apart * apart * series + lost
    result: Floats = exponent * _LN2_UPPER + _UPPER_COLUMN[step] + (apart + lower)
    return result


def exp(exponent: float) -> float:
    """Return e to the power of a number of at most 0; a greater number counts as 0, and one that is none as -infinity.

    Examples
    --------
    >>> exp(0.0), exp(-1.0), exp(-800.0), exp(float("nan"))
    (1.0, 0.3678794411714423, 0.0, 0.0)
    """
    if not exponent > _MIN_EXPONENT:
        return 0.0
    exponent = min(exponent, 0.0)
    steps = floor(exponent * _PER_STEP + 0.5)
    rest = (exponent - steps * _STEP_UPPER) - steps * _STEP_LOWER
    series = rest + rest * rest * (0.5 + rest * (_SIXTH + rest * (1.0 / 24.0 + rest * (1.0 / 120.0))))
    power = _POWERS[steps % _FINE]
    result: float = ldexp(power + power * series, steps // _FINE)
    return result


def exp_of(exponents: Floats) -> Floats:
    """Return :func:`exp` of each exponent."""
    exponents = np.where(exponents > _MIN_EXPONENT, np.minimum(exponents, 0.0), 2.0 * _MIN_EXPONENT)
    steps = np.floor(exponents * _PER_STEP + 0.5)
    rest = (exponents - steps * _STEP_UPPER) - steps * _STEP_LOWER
    series = rest + rest * rest * (0.5 + rest * (_SIXTH + rest * (1.0 / 24.0 + rest * (1.0 / 120.0))))
    whole = steps.astype(np.int32)
    power = _POWER_COLUMN[whole % _FINE]
    result: Floats = np.ldexp(power + power * series, whole // _FINE)
    return result
