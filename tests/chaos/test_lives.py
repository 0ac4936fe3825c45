"""Tests of the records of processes: when each process ran, how it ended, and what it noted.

The records show ends that came too late, groups that continued without a stalled member, and faults that no process
reached.
"""

from __future__ import annotations

import pytest

from tests.chaos.faults import Fault
from tests.chaos.lives import (
    Absence,
    Life,
    ProcessNote,
    awakenings,
    by_dispatcher,
    ended_by_limit,
    has_moved_on,
    held_by,
    late_ends,
    unmet,
)


def _asked(code: int, after_ms: int, stalls: tuple[Absence, ...] = ()) -> Life:
    return Life("fold-0", 7, 0, end=20_000 + after_ms, code=code, asked=20_000, stalls=list(stalls))


@pytest.mark.parametrize("life", [_asked(0, 10_500), _asked(76, 9_100), _asked(75, 2_000), _asked(-15, 50)])
def test_a_process_must_end_in_time_and_cleanly_while_the_broker_is_available(life: Life) -> None:
    assert len(late_ends([life], [ProcessNote(pid=7, at=100, generation=1)], [])) == 1


@pytest.mark.parametrize(
    "life",
    [_asked(0, 9_500), _asked(-9, 15_000), _asked(75, 15_000, (Absence("fold-0", 21_000, 29_000),))],
)
def test_a_process_that_ended_cleanly_or_was_killed_or_stopped_is_not_late(life: Life) -> None:
    assert late_ends([life], [ProcessNote(pid=7, at=100, generation=1)], []) == []


def test_a_process_that_had_not_finished_loading_may_end_in_any_way() -> None:
    assert late_ends([_asked(-15, 50)], [], []) == []


def test_a_process_may_end_by_its_own_limit_but_not_later_while_the_broker_is_absent() -> None:
    away = [Absence("broker", 18_000, 25_000)]

    assert late_ends([_asked(76, 9_100)], [], away) == []
    assert len(late_ends([_asked(76, 20_500)], [], away)) == 1
    assert ended_by_limit([_asked(76, 9_100), _asked(0, 10)]) == 1


def test_a_group_moved_on_when_another_member_got_a_later_generation_after_the_wake_up() -> None:
    stalled = Life("fold-0", 7, 0, stalls=[Absence("fold-0", 5_000, 12_000)])
    other, deliver = Life("fold-1", 8, 0), Life("deliver-0", 9, 0)
    lives = [stalled, other, deliver]
    before = [ProcessNote(pid=7, at=100, generation=1), ProcessNote(pid=8, at=11_000, generation=2)]
    ((life, woken),) = awakenings(lives)

    assert (life, woken) == (stalled, 12_000)
    assert not has_moved_on(life, woken, lives, before)
    assert not has_moved_on(life, woken, lives, [*before, ProcessNote(pid=9, at=13_000, generation=5)])
    assert not has_moved_on(life, woken, lives, [*before, ProcessNote(pid=8, at=13_000, generation=2)])
    assert has_moved_on(life, woken, lives, [*before, ProcessNote(pid=8, at=13_000, generation=3)])


def test_notes_name_the_process_of_a_dispatcher_and_its_lanes_even_if_a_process_id_is_reused() -> None:
    first, second = Life("deliver-0", 7, 0, end=500), Life("deliver-1", 7, 600)
    notes = [
        ProcessNote(pid=7, at=100, dispatcher="a"),
        ProcessNote(pid=7, at=700, dispatcher="b"),
        ProcessNote(pid=7, at=200, generation=1, lanes=("events-1",)),
        ProcessNote(pid=7, at=300, generation=2, lanes=("events-2",)),
    ]

    assert by_dispatcher([first, second], notes) == {"a": first, "b": second}
    assert held_by(first, 250, [first, second], notes) == {"events-1"}
    assert held_by(first, 400, [first, second], notes) == {"events-2"}
    assert held_by(second, 900, [first, second], notes) == frozenset()


def test_a_planned_fault_that_no_process_met_is_named() -> None:
    kill, stop = Fault("kill", "commit.sent", 3), Fault("stop", "restore.in", 1)
    planned = {"fold-0": ((), (kill,), (stop,)), "fold-1": ((kill,),)}

    assert unmet(planned, [("fold-0", str(kill)), ("fold-1", str(kill))]) == ["fold-0: stop@restore.in:1"]
