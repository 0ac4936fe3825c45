"""Laws of the load of a shop: how long a visit is, how long visitors pause, and after how many days users return.

``python -m tests.benchmarks.fit_load`` fits the parameters to real data and writes them to ``figures/load.json``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

FIT = Path(__file__).parent / "figures" / "load.json"
MAX_LENGTH = 1_000
"""Maximum number of events of a visit; the longest visit in the data has 894."""
MAX_PAUSE_S = 14_400.0
"""Maximum pause within a visit, seconds."""
MAX_AT_ONCE_S = 0.5
"""Maximum pause that the data, in whole seconds, shows as 0, seconds."""

Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LengthLaw:
    """Number of events of a visit: a log-normal number, rounded up.

    Attributes
    ----------
    mu, sigma
        Mean and standard deviation of the logarithm.
    """

    mu: float
    sigma: float

    def cdf(self, counts: Numbers, least: int = 1) -> Numbers:
        """Return the share of visits with at most this many events, among the visits with ``least`` events or more."""
        missing = self._below(np.array([least - 1.0]))
        found: Numbers = (self._below(counts) - missing) / (1.0 - missing)
        return found

    def mean(self) -> float:
        """Return the mean length of drawn visits."""
        below = self._below(np.arange(0.0, MAX_LENGTH + 1.0))
        return float((1.0 - below[:-1] / below[-1]).sum())

    def share_of_at_least(self, least: int) -> float:
        """Return the share of visits with this many events or more."""
        return float(1.0 - self._below(np.array([least - 1.0]))[0])

    def draw(self, random: Random) -> int:
        """Draw the length of one visit."""
        while True:
            length = math.ceil(math.exp(random.gauss(self.mu, self.sigma)))
            if length <= MAX_LENGTH:
                return length

    def _below(self, counts: Numbers) -> Numbers:
        found: Numbers = np.where(counts > 0, ndtr((np.log(np.maximum(counts, 1e-9)) - self.mu) / self.sigma), 0.0)
        return found


@dataclass(frozen=True, slots=True)
class PauseLaw:
    """Time between two events of a visit: with some probability none, otherwise a log-normal time of at least a second.

    Attributes
    ----------
    at_once
        Share of pauses that are 0 when they are rounded to whole seconds.
    mu, sigma
        Mean and standard deviation of the logarithm of the other pauses in seconds.
    """

    at_once: float
    mu: float
    sigma: float

    def cdf(self, seconds: Numbers) -> Numbers:
        """Return the share of pauses that are at most this long, rounded to whole seconds."""
        longer = self._below(np.minimum(seconds + 0.5, MAX_PAUSE_S)) / self._below(np.array([MAX_PAUSE_S]))
        found: Numbers = self.at_once + (1.0 - self.at_once) * np.where(seconds < 1.0, 0.0, longer)
        return found

    def draw(self, random: Random) -> float:
        """Draw one pause, in milliseconds."""
        if random.random() < self.at_once:
            return random.random() * MAX_AT_ONCE_S * 1e3
        while True:
            seconds = math.exp(random.gauss(self.mu, self.sigma))
            if seconds <= MAX_PAUSE_S:
                return max(seconds, 1.0) * 1e3

    def _below(self, seconds: Numbers) -> Numbers:
        found: Numbers = ndtr((np.log(seconds) - self.mu) / self.sigma)
        return found


@dataclass(frozen=True, slots=True)
class ReturnLaw:
    """Days after which users do something again: each user has a constant rate, and the rates have a gamma law.

    Few users have a high rate and most have a low one. So the days between two actions have a heavy tail (Lomax's law).
    A small part of the users causes a large part of the actions.

    Attributes
    ----------
    shape, scale_days
        Shape of the gamma law of the rates, and the reciprocal of its scale, days.
    """

    shape: float
    scale_days: float

    @property
    def rate(self) -> float:
        """Mean number of actions of a user per day."""
        return self.shape / self.scale_days

    def more_often(self, times: float) -> ReturnLaw:
        """Return the law of actions that every user does this many times as often."""
        return ReturnLaw(self.shape, self.scale_days / times)

    def cdf(self, days: Numbers, window: float, least: float = 0.0) -> Numbers:
        """Return the share of the days between actions that are at most this many.

        Parameters
        ----------
        days
            Upper bounds.
        window
            Length of the observation, days. A long time between actions fits into a window at fewer places.
        least
            Minimum number of days between actions; shorter ones are not counted.
        """
        low, high = (self._seen(np.array([bound]), window) for bound in (least, window))
        found: Numbers = (self._seen(np.minimum(days, window), window) - low) / (high - low)
        return found

    def _seen(self, days: Numbers, window: float) -> Numbers:
        """Return the integral of (window - t) times Lomax's density, from 0 to each bound."""
        inside = self.scale_days / (self.scale_days + days)
        survivors = inside ** (self.shape + 1.0)
        spent = self.scale_days / self.shape * (1.0 - inside**self.shape)  # the integral of the survivors
        found: Numbers = window * (1.0 - survivors) + days * survivors - spent
        return found


@dataclass(frozen=True, slots=True)
class ShopLaws:
    """All laws of the load of a shop.

    Attributes
    ----------
    lengths
        Length of a visit, by the data set to which it was fitted.
    pauses
        Pause before an event of each kind: ``page``, ``view``, ``click``.
    following
        Probability of each kind of event after an event of each kind, and at the ``start``.
    purchases
        Days between the purchases of a user.
    """

    lengths: dict[str, LengthLaw]
    pauses: dict[str, PauseLaw]
    following: dict[str, dict[str, float]]
    purchases: ReturnLaw

    def mean_length(self) -> float:
        """Return the mean number of events of a visit; each data set counts the same."""
        return sum(law.mean() for law in self.lengths.values()) / len(self.lengths)


class _Fit(msgspec.Struct):
    laws: ShopLaws


def fitted(file: Path = FIT) -> ShopLaws:
    """Read the fitted laws."""
    return msgspec.json.decode(file.read_bytes(), type=_Fit).laws
