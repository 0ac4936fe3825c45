"""Slots are shared fairly among the lanes of a process."""

from __future__ import annotations

from collections.abc import Callable

from stream.delivery.slots import Slots

KEYS = [("m1", 1, False), ("m2", 1, False)]


def ignore_wake() -> None:
    pass


def lanes(number: int, woken: list[int] | None = None) -> list[Callable[[], None]]:
    """Return the wake functions of lanes; each records the number of its lane."""
    made = woken if woken is not None else []
    return [lambda number=number: made.append(number) for number in range(number)]  # type: ignore[misc]


def test_a_lane_gets_its_share_if_other_lanes_wait() -> None:
    slots = Slots(4)
    taken = slots.take(4, ignore_wake)
    hungry = lanes(3)
    waiting = [slots.take(4, wake) for wake in hungry]

    slots.release(taken)  # all four in one call, before any lane is woken
    share = slots.take(4, hungry[0])

    assert waiting == [0, 0, 0]
    assert share == 1


def test_a_lane_that_wants_nothing_leaves_the_queue() -> None:
    woken: list[int] = []
    slots = Slots(1)
    slots.take(1, ignore_wake)
    (wake,) = lanes(1, woken)

    slots.take(1, wake)
    slots.take(0, wake)
    slots.release(1)
    slots.wake_lanes()

    assert woken == []
    assert slots.take(1, ignore_wake) == 1


def test_one_lane_is_woken_for_each_free_slot_in_the_order_of_the_queue() -> None:
    woken: list[int] = []
    slots = Slots(2)
    slots.take(2, ignore_wake)
    for wake in lanes(3, woken):
        slots.take(1, wake)

    slots.release(2)
    slots.wake_lanes()

    assert woken == [0, 1]


def test_slots_of_ended_calls_are_used_again_if_no_other_lane_waits() -> None:
    slots = Slots(2)
    slots.take(2, ignore_wake)
    for key in KEYS:
        slots.hold(key)

    both = slots.take(1, ignore_wake, ended=KEYS[:1])
    slots.take(1, *lanes(1))  # another lane waits now
    none = slots.take(1, ignore_wake, ended=KEYS[1:])
    first = slots.release_held(KEYS[0]), slots.take(1, ignore_wake)
    second = slots.release_held(KEYS[1]), slots.take(1, ignore_wake)

    assert (both, none) == (1, 0)
    assert first == (False, 0)
    assert second == (True, 1)


def test_a_limit_bounds_the_reserved_slots_and_slots_of_ended_calls_are_not_used_again() -> None:
    slots = Slots(4)
    slots.take(1, ignore_wake)
    slots.hold(KEYS[0])

    assert slots.take(4, ignore_wake, limit=0, ended=KEYS[:1]) == 0
    assert slots.take(4, ignore_wake, limit=1, ended=KEYS[:1]) == 1
    assert slots.held == 1
