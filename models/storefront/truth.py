"""The hidden truth about departures: the probability that a shopper will not be seen within a horizon, in closed form.

After each visit a shopper leaves silently with probability ``leave``; who stays visits again at a Poisson rate that
only visits change. So, given the laws and all visits so far, the probability of silence is exact: it is what somebody
would say who knows every hidden parameter and has seen the same events, the ceiling of any model.

References
----------
The structure is that of Fader, Hardie and Lee, "Counting your customers the easy way" (BG/NBD), Marketing
Science 24 (2005).
"""

from __future__ import annotations

import math
from bisect import bisect_right

import msgspec

from models.storefront.season import DAY_MS, Season


class Visited(msgspec.Struct, array_like=True, frozen=True):
    """A visit, and what holds from its end to the next one.

    Attributes
    ----------
    begin, end
        Of the visit, milliseconds.
    rate
        Visits a day of average traffic.
    leave
        Probability that it was the last one.
    """

    begin: int
    end: int
    rate: float
    leave: float


class Story(msgspec.Struct):
    """A shopper's visits, and the hour offset of their zone."""

    offset: int
    visits: list[Visited]


class Truth(msgspec.Struct):
    """Every shopper's story.

    Examples
    --------
    >>> truth = Truth(start=0, days=60, stories={"u": Story(offset=0, visits=[Visited(0, 0, rate=0.2, leave=0.1)])})
    >>> [round(truth.silence("u", day * DAY_MS, horizon=14 * DAY_MS), 3) for day in (0, 10)]
    [0.146, 0.505]
    """

    start: int
    days: int
    stories: dict[str, Story]

    def silence(self, user: str, at: int, horizon: int) -> float | None:
        """Probability of no visit within a horizon.

        Parameters
        ----------
        user
            Key on the wire.
        at
            When it is asked, milliseconds.
        horizon
            Milliseconds.

        Returns
        -------
        float or None
            ``None`` for somebody unknown or not seen before ``at``.
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


_seasons: dict[tuple[int, int, int], Season] = {}


def _season(start: int, days: int, offset: int) -> Season:
    key = (start, days, offset)
    if key not in _seasons:
        _seasons[key] = Season(start, days, offset)
    return _seasons[key]


def season_days(days: int, horizon: int = 30 * DAY_MS) -> int:
    """Days that a season must cover so that questions at the end of ``days`` can be answered."""
    return days + horizon // DAY_MS
