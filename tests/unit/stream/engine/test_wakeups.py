"""Times at which a lane acts without a record: ticks for its log, wake-ups for its agent."""

from __future__ import annotations

from dataclasses import dataclass

from stream.engine.wakeups import Wakeups


@dataclass
class ManualClock:
    """A clock that a test moves, seconds."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def wakeups(clock: ManualClock | None = None, *, wakes_agent: bool) -> Wakeups:
    """Return wake-ups of an agent without a timer."""
    made = Wakeups(clock or ManualClock(), wakes_agent=wakes_agent, tick_again_s=1.0)
    made.schedule(None)
    return made


def test_a_restored_lane_ticks_soon_because_its_timers_are_unknown() -> None:
    assert Wakeups(ManualClock(), wakes_agent=False, tick_again_s=1.0).tick_at == 101.0


def test_a_tick_that_fired_no_timer_is_repeated_later() -> None:
    made = wakeups(wakes_agent=False)
    made.schedule(99_000)
    assert made.tick_at == 99.0

    assert made.tick() == 100_000

    assert made.tick_at == 101.0
    made.schedule(99_000)
    assert made.tick_at == 101.0
    made.schedule(99_500)
    assert made.tick_at == 99.5


def test_nothing_is_due_without_a_timer() -> None:
    made = wakeups(wakes_agent=True)

    assert made.tick_at is None
    assert made.due_at is None
    assert not made.is_due


def test_a_wake_up_is_due_with_its_timer_and_then_not_again() -> None:
    clock = ManualClock()
    made = wakeups(clock, wakes_agent=True)
    made.schedule(101_000)
    early = made.is_due
    clock.now = 101.0
    due = made.is_due

    made.wake()

    assert (early, due, made.is_due) == (False, True, False)


def test_a_wake_up_is_due_after_a_request_until_a_batch_clears_it() -> None:
    made = wakeups(wakes_agent=True)

    made.request()
    assert made.is_due
    made.clear()

    assert not made.is_due


def test_wake_ups_are_never_due_for_an_agent_that_is_not_woken() -> None:
    made = wakeups(wakes_agent=False)

    made.schedule(1_000)
    made.request()

    assert not made.is_due
    assert made.due_at is None
