"""The guard against bounce storms: large providers have answered 550 5.1.1 for valid addresses for hours.

It counts attempts and hard bounces in a sliding window, for each domain and in total. Above the limit no entry is
written, and messages wait: all messages to that domain or, if the total is above the limit, all marketing. After this
hold a few messages are tried. If they bounce as well, the hold begins again.
"""

from __future__ import annotations

from collections import deque

from models.units import DAY, MINUTE

WINDOW_MS = 10 * MINUTE
"""Length of the sliding window, milliseconds."""
MIN_ATTEMPTS = 100
"""Minimum number of attempts that can show a storm."""
MIN_TRIED = 20
"""Minimum number of attempts after a hold that show whether the storm continues."""
MAX_SHARE = 0.05
"""Maximum share of hard bounces in the attempts; a higher share is a storm."""
HOLD_MS = 30 * MINUTE
"""How long messages wait after a storm was found, milliseconds."""
REMEMBERED_MS = DAY
"""How long a storm is remembered after its hold, if too few messages are sent to test its end, milliseconds."""
MAX_DOMAINS = 20_000
"""Maximum number of domains that are counted at a time; the least recently used one is forgotten first."""

ALL = ""
"""Value in place of a domain; it means all attempts."""

_BUCKET_MS = MINUTE


class _Window:
    """Counts of a sliding window, in buckets of a minute."""

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()

    def add(self, now: int, hard: bool) -> None:
        bucket = now // _BUCKET_MS
        if not self._buckets or self._buckets[-1][0] < bucket:
            self._buckets.append([bucket, 0, 0])
        self._buckets[-1][1] += 1
        self._buckets[-1][2] += hard
        while self._buckets[0][0] <= bucket - WINDOW_MS // _BUCKET_MS:
            self._buckets.popleft()

    def clear(self) -> None:
        self._buckets.clear()

    @property
    def attempts(self) -> int:
        return sum(bucket[1] for bucket in self._buckets)

    @property
    def hard(self) -> int:
        return sum(bucket[2] for bucket in self._buckets)


class BounceGuard:
    """A count of the attempts and bounces of one channel in one process.

    Examples
    --------
    >>> guard = BounceGuard()
    >>> for number in range(100):
    ...     guard.note("example.com", hard=number < 6, now=0)
    >>> guard.may_write("example.com", 1), guard.held_until("example.com", "transactional", 1)
    (False, 1800000)
    >>> guard.storms(1)
    ['', 'example.com']
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._until: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<BounceGuard {self.domains} domains, storms in {sorted(self._until)}>"

    @property
    def domains(self) -> int:
        """Number of domains that are counted now, including :data:`ALL`."""
        return len(self._windows)

    def note(self, domain: str, *, hard: bool, now: int) -> None:
        """Count an attempt that the provider answered.

        Parameters
        ----------
        domain
            Domain of the recipient; :data:`ALL` for channels without domains.
        hard
            Whether the answer was a hard bounce.
        now
            Time of the answer, milliseconds.
        """
        for place in {domain, ALL}:
            self._note(place, hard, now)

    def may_write(self, domain: str, now: int) -> bool:
        """Return whether a hard bounce becomes an entry. It does not in a storm, or while the storm's end is tested."""
        self._forget(now)
        return domain not in self._until and ALL not in self._until

    def held_until(self, domain: str, category: str, now: int) -> int | None:
        """Return the time until which a message waits, milliseconds; ``None`` if it may be sent.

        A storm in all attempts holds only marketing, because a receipt must not wait for a problem of other domains.
        """
        held = [self._until.get(domain, 0) if domain != ALL else 0]
        if category == "marketing":
            held.append(self._until.get(ALL, 0))
        until = max(held)
        return until if until > now else None

    def storms(self, now: int) -> list[str]:
        """Return the domains that are held, or are tested after a hold; :data:`ALL` means all attempts."""
        self._forget(now)
        return sorted(self._until)

    def _note(self, place: str, hard: bool, now: int) -> None:
        window = self._windows.pop(place, None) or _Window()
        self._windows[place] = window
        if len(self._windows) > MAX_DOMAINS:
            del self._windows[next(iter(self._windows))]
        until = self._until.get(place)
        if until is not None and now < until:
            return  # an attempt that began before the hold
        window.add(now, hard)
        attempts = window.attempts
        if attempts < (MIN_ATTEMPTS if until is None else MIN_TRIED):
            return
        if window.hard > MAX_SHARE * attempts:
            self._until[place] = now + HOLD_MS
            window.clear()
        elif until is not None:
            del self._until[place]

    def _forget(self, now: int) -> None:
        for place in [place for place, until in self._until.items() if until + REMEMBERED_MS <= now]:
            del self._until[place]
