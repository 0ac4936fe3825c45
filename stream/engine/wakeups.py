"""When a lane acts although no record arrives: a timer of its agent is due, or the agent asked to be woken."""

from __future__ import annotations

from collections.abc import Callable

TICK_AGAIN_S = 1.0
"""Between two ticks for the same timer: by the broker's clock, which may be behind ours, it was not due yet."""


class Alarm:
    """Of one lane; times are seconds of the wall clock.

    Parameters
    ----------
    clock
        Seconds since the epoch.
    gives_beats
        Whether the agent is woken itself. Else a tick in its log moves the time that it goes by.

    Attributes
    ----------
    next_due
        When the agent's earliest timer is due, milliseconds; ``None`` without one.
    """

    def __init__(self, clock: Callable[[], float], *, gives_beats: bool) -> None:
        self._clock = clock
        self._gives_beats = gives_beats
        self.next_due: int | None = None
        self._next_tick = 0.0
        self._rung = False

    def begin(self) -> None:
        """Begin with a restored state: which timers are due is not known before the first commit, so ask soon."""
        self.next_due, self._next_tick, self._rung = 0, self._clock() + TICK_AGAIN_S, False

    def set(self, next_due: int | None) -> None:
        """Note what the agent has said."""
        if next_due != self.next_due:
            self.next_due, self._next_tick = next_due, 0.0

    def ring(self) -> None:
        """Ask for a beat now."""
        self._rung = True

    def hush(self) -> None:
        """Forget that a beat was asked for: the agent gets a batch anyway."""
        self._rung = False

    def take_beat(self) -> None:
        """Note that a beat is given: whoever gets one says anew when the next is due, or is not asked again."""
        self._rung, self.next_due = False, None

    @property
    def is_beat_due(self) -> bool:
        """Whether a beat is to be given now."""
        if not self._gives_beats:
            return False
        return self._rung or (self.next_due is not None and self._clock() * 1_000 >= self.next_due)

    @property
    def beat_at(self) -> float | None:
        """When the next beat is due."""
        return self.next_due / 1_000 if self._gives_beats and self.next_due is not None else None

    @property
    def tick_at(self) -> float | None:
        """When a tick would let the next timer fire, if nothing else moves the log's time."""
        return None if self.next_due is None else max(self.next_due / 1_000, self._next_tick)

    def tick(self) -> int:
        """Note that a tick is written now; returns its time, milliseconds."""
        now = self._clock()
        self._next_tick = now + TICK_AGAIN_S
        return int(now * 1_000)
