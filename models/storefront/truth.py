"""The hidden truth about churn: the exact probability that a shopper does not visit within a horizon.

After each visit, a shopper leaves with probability ``leave``, without any event. Otherwise the shopper visits again at
a Poisson rate that changes only with visits. So the probability of no visit follows exactly from these laws and the
visits so far. No model can be better, because this computation uses every hidden parameter and the same events.

References
----------
P. Fader, B. Hardie, K. Lee, "Counting your customers the easy way" (BG/NBD), Marketing Science 24 (2005).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

import msgspec

from models.storefront.season import Season
from models.units import DAY


class Visited(msgspec.Struct, array_like=True, frozen=True):
    """A visit, and the parameters that apply from its end to the next visit.

    Attributes
    ----------
    begin, end
        Begin and end of the visit, milliseconds since the epoch.
    rate
        Visits per day of average traffic.
    leave
        Probability that it was the last visit, 0 to 1.
    """

    begin: int
    end: int
    rate: float
    leave: float


class Story(msgspec.Struct):
    """The history of a shopper.

    Attributes
    ----------
    offset
        Offset of the shopper's zone, hours.
    visits
        All visits, in time order.
    """

    offset: int
    visits: list[Visited]


class Truth(msgspec.Struct):
    """The histories of all shoppers.

    Attributes
    ----------
    start, days
        Begin of the simulation, milliseconds since the epoch, and the number of days that seasons cover.
    stories
        History of each shopper, by user id.

    Examples
    --------
    >>> truth = Truth(start=0, days=60, stories={"u": Story(offset=0, visits=[Visited(0, 0, rate=0.2, leave=0.1)])})
    >>> [round(truth.silence("u", day * DAY, horizon=14 * DAY), 3) for day in (0, 10)]
    [0.146, 0.505]
    """

    start: int
    days: int
    stories: dict[str, Story]

    def silence(self, user: str, at: int, horizon: int) -> float | None:
        """Return the probability of no visit within a horizon.

        Parameters
        ----------
        user
            User id.
        at
            Begin of the horizon, milliseconds since the epoch.
        horizon
            Length of the horizon, milliseconds.

        Returns
        -------
        float or None
            0 to 1; ``None`` for a user who is unknown or has no visit before ``at``.
        """
        story = self.stories.get(user)
        if story is None:
            return None
        index = bisect_right(story.visits, at, key=lambda visit: visit.begin) - 1
        if index < 0:
            return None
        visit = story.visits[index]
        if at < visit.end:
            return 0.0
        season = _season(self.start, self.days, story.offset)
        stayed = (1 - visit.leave) * math.exp(-visit.rate * season.between(visit.end, at))
        alive = stayed / (stayed + visit.leave)
        return 1 - alive * (1 - math.exp(-visit.rate * season.between(at, at + horizon)))


@lru_cache(maxsize=16)
def _season(start: int, days: int, offset: int) -> Season:
    return Season(start, days, offset)


def season_days(days: int, horizon: int = 30 * DAY) -> int:
    """Return the number of days that a season must cover to answer questions at the end of ``days``."""
    return days + horizon // DAY
