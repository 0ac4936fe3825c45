"""River's running moments as plain numbers, and the scaling that learners and scorers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from river.preprocessing import StandardScaler

FLOOR = 0.05
"""Variance that is added to the variance of each input.

A feature that has hardly varied so far would otherwise get a huge scaled value for the first user who differs. An
example is recency in a young shop, where no user can have been away for long. For such a shop, the measured AUC is .77
without this variance, and .80 with it.
"""

_Name = TypeVar("_Name", str, int)


class Moments(msgspec.Struct, array_like=True, frozen=True):
    """Running moments of a ``StandardScaler``, in the order of the model's inputs.

    Attributes
    ----------
    count
        Number of rows.
    mean, variance
        Mean and population variance of each input, shape ``(inputs,)``.

    Examples
    --------
    >>> scaler = make_scaler(Moments(4, (2.0,), (0.95,)), ("orders",))
    >>> scale(scaler, {"orders": 3.0})
    {'orders': 1.0}
    """

    count: int
    mean: tuple[float, ...]
    variance: tuple[float, ...]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each input, with ``FLOOR`` added to its variance, shape ``(inputs,)``."""
        return tuple(float((v + FLOOR) ** 0.5) for v in self.variance)


def scale(scaler: StandardScaler, inputs: Mapping[_Name, float]) -> dict[_Name, float]:
    """Return inputs in standard deviations (with ``FLOOR``) from their running means."""
    means, variances = scaler.means, scaler.vars
    return {name: (value - means[name]) / (variances[name] + FLOOR) ** 0.5 for name, value in inputs.items()}


def take_moments(scaler: StandardScaler, names: Sequence[_Name]) -> Moments:
    """Return the moments of a scaler, with zeros for inputs that it has not seen."""
    return Moments(
        count=max((scaler.counts[name] for name in names), default=0),
        mean=tuple(scaler.means[name] for name in names),
        variance=tuple(scaler.vars[name] for name in names),
    )


def make_scaler(moments: Moments, names: Sequence[_Name]) -> StandardScaler:
    """Make a scaler that continues from moments."""
    scaler = StandardScaler()
    if moments.count:
        scaler.counts.update(dict.fromkeys(names, moments.count))
        scaler.means.update(zip(names, moments.mean, strict=True))
        scaler.vars.update(zip(names, moments.variance, strict=True))
    return scaler
