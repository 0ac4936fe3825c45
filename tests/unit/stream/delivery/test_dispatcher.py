"""Calls of a provider: their number is limited, none is made while the breaker is open, and none is made twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from models.delivery.deliveries import Result
from monitoring.testing import capture_metrics, value
from stream.delivery import dispatcher as dispatcher_module
from stream.delivery import handover as handover_module
from tests.support.dispatching import (
    DELIVERED,
    FakeGate,
    SteppedClock,
    begin_and_leave,
    call,
    ignore_wake,
    made,
    open_dispatcher,
    take,
)
from tests.support.letters import NOW, letter

AWAY = Result("failed", "no connection", trouble=True)
REFUSED = Result("rejected", "550 no such user")


def shown(metric: str) -> float | None:
    return value(metric, channel="email")


async def test_a_call_that_is_requested_several_times_is_made_once() -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate)
    take(dispatcher, call())

    await asyncio.gather(*(dispatcher.make(call()) for _ in range(3)))
    _, result = await dispatcher.make(call())

    assert gate.taken == [letter().id]
    assert result == DELIVERED


async def test_a_call_continues_after_its_awaiting_task_is_cancelled() -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    await begin_and_leave(dispatcher, gate, call())

    gate.open.set()
    is_reclaimed = dispatcher.reclaim(call(), dispatcher.name)
    _, result = await dispatcher.make(call())
    taken = take(dispatcher, *map(call, range(1, 5)))
    dispatcher.commit(0, [call()], 0)

    assert is_reclaimed
    assert result == DELIVERED
    assert len(gate.taken) == 1
    assert taken == 3
    assert take(dispatcher, *map(call, range(5, 9))) == 1


async def test_only_a_call_that_was_begun_here_under_that_name_can_be_reclaimed() -> None:
    dispatcher = open_dispatcher(FakeGate())
    take(dispatcher, call())
    await dispatcher.make(call())

    reclaimed = [
        dispatcher.reclaim(call(), dispatcher.name),
        dispatcher.reclaim(call(), "another"),
        dispatcher.reclaim(call(1), dispatcher.name),
    ]
    dispatcher.commit(0, [call()], 0)

    assert reclaimed == [True, False, False]
    assert not dispatcher.reclaim(call(), dispatcher.name)


async def test_an_error_in_the_provider_is_the_outcome_of_that_message_only() -> None:
    result = await made(open_dispatcher(FakeGate(raises=True)), 0)

    assert result == Result("unknown", "RuntimeError: a bug", trouble=True)


class TestSlots:
    async def test_a_slot_is_free_and_lanes_are_woken_only_when_the_result_is_committed(self) -> None:
        woken: list[str] = []
        gate = FakeGate()
        dispatcher = open_dispatcher(gate, max_concurrency=3)
        gate.open.clear()
        wanted = [call(number) for number in range(5)]

        first = dispatcher.assign(5, lambda slots: wanted[:slots], lambda: woken.append("a")).calls
        ends = [asyncio.ensure_future(dispatcher.make(one)) for one in first]
        none = dispatcher.assign(2, lambda slots: wanted[:slots], lambda: woken.append("b")).calls
        await gate.begun.wait()
        gate.open.set()
        await asyncio.wait(ends)
        woken_before_the_commit = list(woken)
        dispatcher.commit(0, first, 0)

        assert woken_before_the_commit == []
        assert (len(first), len(none), gate.most_concurrent) == (3, 0, 3)
        assert sorted(set(woken)) == ["a", "b"]

    async def test_slots_of_calls_that_were_never_begun_are_free_again(self) -> None:
        dispatcher = open_dispatcher(FakeGate(), max_concurrency=2)
        taken = take(dispatcher, call(0), call(1))

        dispatcher.leave(0, [call(0), call(1)])

        assert taken == take(dispatcher, call(2), call(3)) == 2

    async def test_slots_that_no_call_needs_are_free_again(self) -> None:
        dispatcher = open_dispatcher(FakeGate(), max_concurrency=2)

        assigned = dispatcher.assign(2, lambda _: [], ignore_wake)

        assert assigned.calls == []
        assert take(dispatcher, call(0), call(1)) == 2

    async def test_a_call_that_is_begun_again_after_a_failed_commit_keeps_its_slot_until_its_commit(self) -> None:
        dispatcher = open_dispatcher(FakeGate(), max_concurrency=1)
        take(dispatcher, call())
        dispatcher.leave(0, [call()])  # the commit of the attempt failed, so the lane begins again

        take(dispatcher, call())
        await dispatcher.make(call())
        before_the_commit = take(dispatcher, call(1))
        dispatcher.commit(0, [call()], 0)

        assert before_the_commit == 0
        assert take(dispatcher, call(1)) == 1


class TestBreaker:
    async def test_a_provider_that_keeps_failing_is_not_called_and_then_probed_by_one_call(self) -> None:
        clock, gate = SteppedClock(), FakeGate(answer=AWAY)
        dispatcher = open_dispatcher(gate, clock)
        wanted = [call(number) for number in range(9, 13)]

        for number in range(3):
            await made(dispatcher, number)
        while_open = dispatcher.assign(4, lambda slots: wanted[:slots], ignore_wake), shown("provider_breaker")
        described = dispatcher.describe()
        clock.now += 1_000
        probe = take(dispatcher, *wanted), take(dispatcher, *wanted)
        gate.answer = DELIVERED
        await dispatcher.make(call(9))
        dispatcher.commit(0, [call(9)], 0)
        after = take(dispatcher, *wanted), dispatcher.describe()["waits_until"], shown("provider_breaker")

        assert while_open == (([], NOW + 1_000), 2.0)
        assert described == {"held": {}, "breaker": "open", "waits_until": NOW + 1_000, "waiting": 0, "calls": 0}
        assert probe == (1, 0)
        assert after == (4, None, 0.0)

    async def test_lanes_are_woken_when_the_provider_works_again_and_not_before(self) -> None:
        woken: list[int] = []
        clock, gate = SteppedClock(), FakeGate(answer=AWAY)
        dispatcher = open_dispatcher(gate, clock)
        for number in range(3):
            await made(dispatcher, number)
        for number in range(2):
            dispatcher.assign(1, lambda _: [], lambda number=number: woken.append(number))  # type: ignore[misc]
        while_open = list(woken)

        clock.now += 1_000
        gate.answer = DELIVERED
        await made(dispatcher, 9)

        assert while_open == []
        assert sorted(woken) == [0, 1]

    async def test_each_failure_of_a_probe_doubles_the_pause_up_to_a_maximum(self) -> None:
        clock = SteppedClock()
        dispatcher = open_dispatcher(FakeGate(answer=AWAY), clock)
        waits = []
        for number in range(7):
            await made(dispatcher, number)
            if (until := dispatcher.describe()["waits_until"]) is not None:
                waits.append(until - clock.now)
                clock.now = until

        assert waits == [1_000, 2_000, 4_000, 4_000, 4_000]

    async def test_refused_recipients_do_not_count_against_the_provider(self) -> None:
        dispatcher = open_dispatcher(FakeGate(answer=REFUSED))

        for number in range(20):
            await made(dispatcher, number)

        assert take(dispatcher, *map(call, range(4))) == 4

    async def test_a_message_for_the_outbox_says_nothing_about_the_provider(self) -> None:
        gate = FakeGate(answer=AWAY)
        dispatcher = open_dispatcher(gate)
        for number in range(2):
            await made(dispatcher, number)
        gate.stays, gate.answer = True, Result("delivered", "outbox")
        await made(dispatcher, 2)
        gate.stays, gate.answer = False, AWAY
        await made(dispatcher, 3)

        assert take(dispatcher, call(4)) == 0

    async def test_openings_are_counted(self) -> None:
        dispatcher = open_dispatcher(FakeGate(answer=AWAY))
        with capture_metrics() as captured:
            for number in range(3):
                await made(dispatcher, number)

        assert captured["breaker_openings", "email"] == 1


async def test_the_number_of_waiting_messages_is_shown_and_forgotten_with_the_partition() -> None:
    dispatcher = open_dispatcher(FakeGate())

    dispatcher.commit(0, [], 7)
    dispatcher.commit(1, [], 3)
    both = shown("deliveries_waiting")
    dispatcher.leave(0, [])

    assert (both, shown("deliveries_waiting")) == (10.0, 3.0)


async def test_unclaimed_results_are_bounded_and_their_calls_still_count_as_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover_module, "MAX_LEFT", 5)
    dispatcher = open_dispatcher(FakeGate())
    name = dispatcher.name
    for number in range(20):
        take(dispatcher, call(number))
        await dispatcher.make(call(number))
        dispatcher.leave(0, [call(number)])

    assert take(dispatcher, *map(call, range(20, 24))) == 4
    assert dispatcher.results <= 6
    assert dispatcher.name != name
    assert not dispatcher.reclaim(call(0), dispatcher.name)


async def test_calls_in_flight_are_interrupted_when_the_process_ends() -> None:
    gate = FakeGate()
    dispatcher = open_dispatcher(gate)
    gate.open.clear()
    take(dispatcher, call())
    end = asyncio.ensure_future(dispatcher.make(call()))
    await gate.begun.wait()

    await dispatcher.close()
    await asyncio.wait([end])

    assert gate.closed
    assert end.result() == (call(), Result("unknown", "it was interrupted", trouble=True))
    assert Counter(gate.taken) == Counter({letter().id: 1})


async def test_no_call_keeps_its_slot_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "MAX_CALL_S", 0.01)
    gate = FakeGate()
    dispatcher = open_dispatcher(gate, max_concurrency=1)
    gate.open.clear()

    result = await made(dispatcher, 0)

    assert (result.status, result.trouble) == ("unknown", True)
    assert take(dispatcher, call(1)) == 1
