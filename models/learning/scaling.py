"""River's running scaler as plain numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from river.preprocessing import StandardScaler


class Moments(msgspec.Struct, array_like=True, frozen=True):
    """What a ``StandardScaler`` has seen: by name, in the order of the model's inputs.

    Attributes
    ----------
    count
        Rows.
    mean, variance
        Running, of the population; one of each an input.
    """

    count: int
    mean: tuple[float, ...]
    variance: tuple[float, ...]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviations, 0 for what never varied; the very power that river takes."""
        return tuple(v**0.5 if v else 0.0 for v in self.variance)


def take_moments(scaler: StandardScaler, names: Sequence[str] | Sequence[int]) -> Moments:
    """Numbers of a scaler; zeros for inputs that it has not seen."""
    return Moments(
        count=max((scaler.counts[name] for name in names), default=0),
        mean=tuple(scaler.means[name] for name in names),
        variance=tuple(scaler.vars[name] for name in names),
    )


def make_scaler(moments: Moments, names: Sequence[str] | Sequence[int]) -> StandardScaler:
    """Make a scaler that goes on where the numbers were taken."""
    scaler = StandardScaler()
    if moments.count:
        scaler.counts.update(dict.fromkeys(names, moments.count))
        scaler.means.update(zip(names, moments.mean, strict=True))
        scaler.vars.update(zip(names, moments.variance, strict=True))
    return scaler
