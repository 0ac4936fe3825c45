"""Times at which a lane acts without a record: a timer of its agent is due, or the agent asked for a batch."""

from __future__ import annotations

from collections.abc import Callable


class Wakeups:
    """Wake-ups of one run of a lane; times are seconds of the wall clock.

    Before the first commit of a run it is unknown when timers are due, so the first tick comes soon.

    Parameters
    ----------
    clock
        Returns seconds since the epoch.
    wakes_agent
        Whether the agent itself is woken. If not, a tick in its log moves the time that the agent follows.
    tick_again_s
        Minimum time between two ticks for the same timer.

    Attributes
    ----------
    next_due
        Time at which the agent's earliest timer is due, milliseconds; ``None`` if there is no timer.
    """

    def __init__(self, clock: Callable[[], float], *, wakes_agent: bool, tick_again_s: float) -> None:
        self._clock = clock
        self._wakes_agent = wakes_agent
        self._tick_again_s = tick_again_s
        self.next_due: int | None = 0
        self._next_tick = clock() + tick_again_s
        self._requested = False

    def __repr__(self) -> str:
        return f"<Wakeups next_due={self.next_due} requested={self._requested}>"

    def schedule(self, next_due: int | None) -> None:
        """Record when the agent's earliest timer is due."""
        if next_due != self.next_due:
            self.next_due, self._next_tick = next_due, 0.0

    def request(self) -> None:
        """Ask for a wake-up now."""
        self._requested = True

    def clear(self) -> None:
        """Forget the request, because the agent gets a batch anyway."""
        self._requested = False

    def wake(self) -> None:
        """Record that the agent is woken now. It is not woken again before it reports its next timer."""
        self._requested, self.next_due = False, None

    @property
    def is_due(self) -> bool:
        """Whether the agent is to be woken now."""
        if not self._wakes_agent:
            return False
        return self._requested or (self.next_due is not None and self._clock() * 1_000 >= self.next_due)

    @property
    def due_at(self) -> float | None:
        """Time of the next wake-up of the agent; ``None`` if there is none."""
        return self.next_due / 1_000 if self._wakes_agent and self.next_due is not None else None

    @property
    def tick_at(self) -> float | None:
        """Time at which a tick lets the next timer fire, if nothing else moves the log's time."""
        return None if self.next_due is None else max(self.next_due / 1_000, self._next_tick)

    def tick(self) -> int:
        """Record that a tick is written now; return its time, milliseconds."""
        now = self._clock()
        self._next_tick = now + self._tick_again_s
        return int(now * 1_000)
