"""The lift of a treatment over its control group: differences of rates and of money per user, with their intervals.

Rates are compared by Newcombe's interval, which combines Wilson's intervals of both groups. Money is compared by
Welch's interval, because only sums and sums of squares are kept, and the groups may vary differently.

Sources: Newcombe, "Interval estimation for the difference between independent proportions", 1998, method 10. Welch,
"The generalization of Student's problem when several different population variances are involved", 1947.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

from scipy.special import ndtri, stdtrit

LEVEL = 0.95
"""Confidence of all intervals."""
MIN_USERS = 30
"""Minimum number of users of a group for an interval."""
MIN_BUYERS = 20
"""Minimum number of conversions in each group for an interval of money, whose distribution has a long tail."""


class Group(NamedTuple):
    """A group of users, and what they did.

    Attributes
    ----------
    users
        Number of users.
    converted
        Number of them who have converted.
    total, squares
        Sum of the money of each user, and sum of its squares.
    """

    users: int
    converted: int
    total: float = 0.0
    squares: float = 0.0

    @property
    def rate(self) -> float:
        """The share of users who have converted; 0 without users."""
        return self.converted / self.users if self.users else 0.0

    @property
    def mean(self) -> float:
        """The money per user; 0 without users."""
        return self.total / self.users if self.users else 0.0


class Lift(NamedTuple):
    """The difference between a treatment and its control group.

    Attributes
    ----------
    treated, control
        The rate, or the money per user, of both groups.
    low, high
        Bounds of the interval of the difference; ``None`` if the groups are too small.
    too_few
        Why there is no interval; empty if there is one.
    """

    treated: float
    control: float
    low: float | None = None
    high: float | None = None
    too_few: str = ""

    @property
    def difference(self) -> float:
        """The treatment less the control group."""
        return self.treated - self.control

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def lift_of_rates(treated: Group, control: Group) -> Lift:
    """Compare the shares of users who have converted.

    Examples
    --------
    >>> found = lift_of_rates(Group(70, 56), Group(80, 48))
    >>> [round(bound, 4) for bound in (found.low, found.high)]
    [0.0524, 0.3339]
    >>> lift_of_rates(Group(70, 56), Group(8, 4)).too_few
    'the control group has 8 users, and 30 are needed'
    """
    few = _too_small(treated, control)
    one, other = treated.rate, control.rate
    if few:
        return Lift(one, other, too_few=few)
    low, high = wilson(treated.converted, treated.users)
    least, greatest = wilson(control.converted, control.users)
    difference = one - other
    below = sqrt((one - low) ** 2 + (greatest - other) ** 2)
    above = sqrt((high - one) ** 2 + (other - least) ** 2)
    return Lift(one, other, difference - below, difference + above)


def lift_of_money(treated: Group, control: Group) -> Lift:
    """Compare the money per user.

    Examples
    --------
    >>> lift_of_money(Group(50, 25, 100.0, 900.0), Group(40, 3, 9.0, 30.0)).too_few
    'the control group has 3 conversions, and 20 are needed'
    """
    few = _too_small(treated, control) or _too_poor(treated, control)
    if few:
        return Lift(treated.mean, control.mean, too_few=few)
    difference = treated.mean - control.mean
    one, other = _variance(treated) / treated.users, _variance(control) / control.users
    both = one + other
    if not both:
        return Lift(treated.mean, control.mean, difference, difference)
    freedom = both**2 / (one**2 / (treated.users - 1) + other**2 / (control.users - 1))
    side = float(stdtrit(freedom, (1 + LEVEL) / 2)) * sqrt(both)
    return Lift(treated.mean, control.mean, difference - side, difference + side)


def wilson(converted: int, users: int) -> tuple[float, float]:
    """Return Wilson's interval of a share.

    Examples
    --------
    >>> [round(bound, 4) for bound in wilson(0, 10)]
    [0.0, 0.2775]
    """
    z, share = float(ndtri((1 + LEVEL) / 2)), converted / users
    centre, scale = share + z * z / (2 * users), 1 + z * z / users
    side = z * sqrt(share * (1 - share) / users + z * z / (4 * users * users))
    return max(0.0, (centre - side) / scale), min(1.0, (centre + side) / scale)


def _variance(group: Group) -> float:
    """Return the sample variance; rounding cannot make it negative."""
    return max(0.0, group.squares - group.total**2 / group.users) / (group.users - 1)


def _too_small(treated: Group, control: Group) -> str:
    for name, group in (("the treatment", treated), ("the control group", control)):
        if group.users < MIN_USERS:
            return f"{name} has {group.users} users, and {MIN_USERS} are needed"
    return ""


def _too_poor(treated: Group, control: Group) -> str:
    for name, group in (("the treatment", treated), ("the control group", control)):
        if group.converted < MIN_BUYERS:
            return f"{name} has {group.converted} conversions, and {MIN_BUYERS} are needed"
    return ""
