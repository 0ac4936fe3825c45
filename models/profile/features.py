"""A user as a row of numbers, for every model that scores users.

Each feature is declared once, as a formula over the numbers of a user (:mod:`models.profile.numbers`). The formulas are
computed for all rows of a piece of the log at once, by column. A few rows are computed one after the other. Both ways
do the same operations in the same order, and each operation concerns one row alone. So a row has the same bits in any
company.

Counts, money and times are transformed by ``log1p``. So most values lie between 0 and 10, and no heavy tail dominates a
linear model.

To add a feature, add a line to ``_FORMULAS``. Learners notice the changed schema and start again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from models.exact_math import Floats, log1p, log1p_of
from models.profile.decay import shares, shares_of
from models.profile.flat_formulas import Term, Terms, flat
from models.profile.numbers import (
    ACTIVITY,
    CART_LINES,
    CARTS,
    CATEGORIES,
    COUNT,
    DECAYED,
    EVENING,
    FIRST_SEEN,
    GAP,
    HOURS,
    LAST_SEEN,
    NOW,
    OPENED,
    ORDERS,
    PURCHASES,
    RATING_SUM,
    RATINGS,
    REFUNDS,
    SESSIONS,
    SPEND,
    SPENT,
    SUPPORT,
    VIEWS,
    WIDTH,
    Numbers,
    numbers_of,
)
from models.profile.state import Facts
from models.units import DAY

MAX_SINGLE_ROWS = 10
"""Maximum number of rows that are computed one after the other, because numpy has a fixed cost for each column."""

_MICROS = 1_000_000
_DAY, _WEEK, _MONTH = 1, 2, 3
"""Places of the half-lives in a decayed count."""
_STEADY = 7 / 30
"""A steady rate r per day keeps r * h / ln 2 at half-life h, so this is the ratio of a week's count to a month's."""


class _Columns(list[Floats]):
    """The numbers of several rows by column, with the operations of the formulas."""

    either, greater, smaller = staticmethod(np.where), staticmethod(np.maximum), staticmethod(np.minimum)


_Source = Any
"""A :class:`_Columns`, or the :class:`Terms` of one row. A formula does the same with both."""


class _Feature(NamedTuple):
    """A feature: its name, its formula or the place of its number, and whether ``log1p`` is applied to the value."""

    name: str
    value: Callable[[_Source], Any] | int
    is_log: bool = True


def _days_since(n: _Source, place: int) -> Any:
    elapsed = n.greater(n[NOW] - n[place], 0.0) / DAY
    return n.either(n[place] > 0.0, elapsed, 0.0)


def _gap_ratio(n: _Source) -> Any:
    return _days_since(n, LAST_SEEN) / n.greater(n[GAP] / DAY, 0.5)


def _trend(n: _Source) -> Any:
    week, month = n[ACTIVITY + _WEEK], n[ACTIVITY + _MONTH]
    some = n.greater(month, 1e-9)
    return n.either(month > 1e-9, n.smaller(week / (some * _STEADY), 3.0), 0.0)


def _share(n: _Source, part: int, whole: int) -> Any:
    """Return the share of a part, at most 1; 0 if the whole is 0."""
    return n.smaller(n[part] / n.greater(n[whole], 1.0), 1.0)


def _rating_mean(n: _Source) -> Any:
    return n.either(n[RATINGS] > 0.0, n[RATING_SUM] / n.greater(n[RATINGS], 1.0) - 3.0, 0.0)


def _refund_share(n: _Source) -> Any:
    return n.either(n[ORDERS] > 0.0, _share(n, REFUNDS, ORDERS), 0.0)


def _average_order(n: _Source) -> Any:
    return n.either(n[ORDERS] > 0.0, n[SPENT] / _MICROS / n.greater(n[ORDERS], 1.0), 0.0)


_FORMULAS: tuple[_Feature, ...] = (
    _Feature("days_since_last", lambda n: _days_since(n, LAST_SEEN)),
    _Feature("days_since_first", lambda n: _days_since(n, FIRST_SEEN)),
    _Feature("sessions", SESSIONS),
    _Feature("gap_days", lambda n: n[GAP] / DAY),
    _Feature("gap_ratio", _gap_ratio),
    _Feature("activity_1d", ACTIVITY + _DAY),
    _Feature("activity_7d", ACTIVITY + _WEEK),
    _Feature("activity_30d", ACTIVITY + _MONTH),
    _Feature("activity_trend", _trend, is_log=False),
    _Feature("views_7d", VIEWS + _WEEK),
    _Feature("views_30d", VIEWS + _MONTH),
    _Feature("carts_7d", CARTS + _WEEK),
    _Feature("carts_30d", CARTS + _MONTH),
    _Feature("purchases_7d", PURCHASES + _WEEK),
    _Feature("purchases_30d", PURCHASES + _MONTH),
    _Feature("spend_30d", SPEND + _MONTH),
    _Feature("orders", ORDERS),
    _Feature("average_order", _average_order),
    _Feature("rating_mean", _rating_mean, is_log=False),
    _Feature("refund_share", _refund_share, is_log=False),
    _Feature("support", SUPPORT),
    _Feature("categories", CATEGORIES),
    _Feature("cart_open", CART_LINES),
    _Feature("messages_opened", OPENED),
    _Feature("evening_share", lambda n: _share(n, EVENING, HOURS), is_log=False),
)

FEATURES: tuple[str, ...] = tuple(feature.name for feature in _FORMULAS)
"""Names of the features, in the order of a row.

- ``gap_ratio``: ``log1p`` of the time since the last activity, relative to the user's usual gap between sessions.
- ``activity_trend``: activity of the last week, relative to that of the last month; 1 if it is steady.
- ``rating_mean``: mean rating, relative to 3.
- ``refund_share``, ``evening_share``: shares between 0 and 1.
- All others: ``log1p`` of days, counts, or units of money.
"""

PLACES = {name: place for place, name in enumerate(FEATURES)}
"""Place of each feature in a row, by its name."""
LOGARITHMS = frozenset(feature.name for feature in _FORMULAS if feature.is_log)
"""Names of the features whose value is ``log1p`` of a number."""

_CLOCKS = range(DECAYED, COUNT, WIDTH)
_LOGS = [number for number, feature in enumerate(_FORMULAS) if feature.is_log]
_COPIED = {number: each.value for number, each in enumerate(_FORMULAS) if isinstance(each.value, int)}
"""Places of the numbers that are features themselves, by the place in the row."""
_COMPUTED = [(number, each.value) for number, each in enumerate(_FORMULAS) if not isinstance(each.value, int)]
_WHOLE = {float(number): log1p(float(number)) for number in range(256)}
"""The logarithms of small whole numbers, because many features are counts."""


def _written(feature: _Feature) -> Callable[[Terms], Term]:
    """Return a function that writes the value of a feature in a row alone."""

    def write(n: Terms) -> Term:
        value: Term = n[feature.value] if isinstance(feature.value, int) else feature.value(n)
        if not feature.is_log:
            return value
        return Term(f"(log if (log := known(value := {value.text})) is not None else log1p(value))")

    return write


_flat_row = flat([_written(feature) for feature in _FORMULAS], COUNT, {"known": _WHOLE.get, "log1p": log1p})
"""The features of a row alone, whose counts have decayed."""


def row(facts: Facts, now: int) -> list[float]:
    """Compute the features of a user at ``now``: one value for each of ``FEATURES``.

    Parameters
    ----------
    facts
        The user's facts.
    now
        Milliseconds since the epoch. It should not be before the newest event, because recencies count from it.

    Examples
    --------
    >>> len(row(Facts(), 0)) == len(FEATURES)
    True
    """
    numbers = numbers_of(facts)
    numbers[NOW] = now
    return single_rows(numbers)[0]


def single_rows(block: Numbers) -> list[list[float]]:
    """Compute the features of rows one after the other.

    Parameters
    ----------
    block
        The numbers of the rows, one after the other.
    """
    return [_single_row(block[begin : begin + COUNT]) for begin in range(0, len(block), COUNT)]


def columns(block: Numbers) -> Floats:
    """Compute the features of rows by column; the values are those of :func:`single_rows`.

    Parameters
    ----------
    block
        The numbers of the rows, one after the other.

    Returns
    -------
    NDArray
        Shape ``(features, rows)``.
    """
    numbers = np.frombuffer(block).reshape(-1, COUNT).T.copy()
    decayed = numbers[DECAYED:].reshape(len(_CLOCKS), WIDTH, -1)
    elapsed = np.maximum(numbers[NOW] - decayed[:, 0], 0.0).astype(np.int64)
    decayed[:, 1:] *= shares_of(elapsed).transpose(1, 0, 2)
    source = _Columns(numbers)
    found = np.empty((len(_FORMULAS), numbers.shape[1]))
    found[list(_COPIED)] = numbers[list(_COPIED.values())]
    for number, formula in _COMPUTED:
        found[number] = formula(source)
    found[_LOGS] = log1p_of(found[_LOGS])
    return found


def _single_row(numbers: Numbers) -> list[float]:
    source = numbers.tolist()
    now = known = source[NOW]
    short = middle = long = 1.0
    for clock in _CLOCKS:
        at = source[clock]
        if at < now and (source[clock + _DAY] or source[clock + _WEEK] or source[clock + _MONTH]):
            if at != known:
                known, (short, middle, long) = at, shares(int(now - at))
            source[clock + 1] *= short
            source[clock + 2] *= middle
            source[clock + 3] *= long
    return _flat_row(*source)
