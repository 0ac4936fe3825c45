"""When a lane acts by itself: ticks for its log, beats for its agent."""

from __future__ import annotations

from stream.engine.wakeups import TICK_AGAIN_S, Alarm


class Hands:
    """A clock that is moved by hand, seconds."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_restored_lane_asks_once_for_what_is_due_although_it_does_not_know_yet() -> None:
    alarm = Alarm(Hands(), gives_beats=False)

    alarm.begin()

    assert alarm.tick_at == 100 + TICK_AGAIN_S


def test_a_tick_that_fired_nothing_is_repeated_later_and_not_at_once() -> None:
    clock = Hands()
    alarm = Alarm(clock, gives_beats=False)
    alarm.set(99_000)
    assert alarm.tick_at == 99.0

    assert alarm.tick() == 100_000

    assert alarm.tick_at == 100 + TICK_AGAIN_S
    alarm.set(99_000)
    assert alarm.tick_at == 100 + TICK_AGAIN_S
    alarm.set(99_500)
    assert alarm.tick_at == 99.5


def test_without_a_timer_nothing_is_asked() -> None:
    alarm = Alarm(Hands(), gives_beats=True)

    assert alarm.tick_at is None
    assert alarm.beat_at is None
    assert not alarm.is_beat_due


def test_a_beat_is_due_with_its_timer_and_then_not_again() -> None:
    clock = Hands()
    alarm = Alarm(clock, gives_beats=True)
    alarm.set(101_000)
    early = alarm.is_beat_due
    clock.now = 101.0
    due = alarm.is_beat_due

    alarm.take_beat()

    assert (early, due, alarm.is_beat_due) == (False, True, False)


def test_who_rings_is_given_a_beat_unless_records_come_first() -> None:
    alarm = Alarm(Hands(), gives_beats=True)

    alarm.ring()
    assert alarm.is_beat_due
    alarm.hush()

    assert not alarm.is_beat_due


def test_an_agent_that_goes_by_the_log_gets_no_beats() -> None:
    alarm = Alarm(Hands(), gives_beats=False)

    alarm.set(1_000)
    alarm.ring()

    assert not alarm.is_beat_due
    assert alarm.beat_at is None
