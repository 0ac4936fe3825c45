"""Calls of a provider: so many side by side, none while it is away, and none that is made twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aiokafka.errors import KafkaError

from models.delivery.breaker import Policy
from models.delivery.deliveries import Result
from models.delivery.messages import Message
from models.delivery.notices import Answer, InFlight, Notice, decode_notice
from models.delivery.queue import Call
from models.delivery.suppressor import Suppressor
from monitoring.testing import capture_metrics, value
from stream.delivery import desk as desk_module
from stream.delivery.desk import Desk, Tell
from tests.support.letters import NOW, letter

DELIVERED = Result("delivered")
AWAY = Result("failed", "no connection", trouble=True)
REFUSED = Result("rejected", "550 no such user")
POLICY = Policy(failures=3, pause=1_000, longest=4_000)


@dataclass
class Gate:
    """Answers what it is told to, when it is told to."""

    answer: Result = DELIVERED
    taken: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0
    stays: bool = False
    raises: bool = False
    look_ups: tuple[int, ...] = ()
    suppressor: Suppressor | None = None
    closed: bool = False

    def leaves(self, message: Message) -> bool:
        return not self.stays

    async def deliver(self, message: Message) -> Result:
        self.taken.append(message.id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
        finally:
            self.at_once -= 1
        if self.raises:
            raise RuntimeError("a bug")
        return self.answer

    async def look_up(self, message: Message) -> Result:
        return self.answer

    async def close(self) -> None:
        self.closed = True


@dataclass
class Time:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


def _open(gate: Gate, time: Time | None = None, side_by_side: int = 4) -> Desk:
    gate.open.set()
    return Desk("email", gate, now=time or Time(), side_by_side=side_by_side, policy=POLICY)


def _call(number: int = 0, attempt: int = 1) -> Call:
    return Call(letter(number), attempt)


def _nobody() -> None:
    pass


async def _made(desk: Desk, number: int) -> Result | None:
    assert desk.take(1, _nobody) == 1
    _, result = await desk.make(_call(number))
    desk.forget(_call(number))
    return result


async def _left(desk: Desk, call: Call, partition: int = 0) -> None:
    """Begin a call, as a lane that is then gone."""
    assert desk.take(1, _nobody) == 1
    waiting = asyncio.ensure_future(desk.make(call))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    desk.leave(partition, [call])


def _shown(metric: str) -> float | None:
    return value(metric, channel="email")


async def test_a_call_is_made_once_however_often_it_is_asked_for() -> None:
    gate = Gate()
    desk = _open(gate)
    desk.take(1, _nobody)

    await asyncio.gather(*(desk.make(_call()) for _ in range(3)))
    _, result = await desk.make(_call())

    assert gate.taken == [letter().id]
    assert result == DELIVERED


async def test_a_call_goes_on_when_whoever_waits_for_it_is_cancelled() -> None:
    gate = Gate()
    desk = _open(gate)
    gate.open.clear()
    await _left(desk, _call())

    gate.open.set()
    knows = desk.knows(_call(), desk.name)
    _, result = await desk.make(_call())
    taken = desk.take(4, _nobody)

    desk.forget(_call())

    assert knows
    assert result == Result("delivered")
    assert len(gate.taken) == 1
    assert taken == 3
    assert desk.take(4, _nobody) == 1


async def test_it_knows_what_it_has_begun_and_nothing_else() -> None:
    desk = _open(Gate())
    desk.take(1, _nobody)
    await desk.make(_call())

    known = [desk.knows(_call(), desk.name), desk.knows(_call(), "another"), desk.knows(_call(1), desk.name)]
    desk.forget(_call())

    assert known == [True, False, False]
    assert not desk.knows(_call(), desk.name)


async def test_an_error_in_the_provider_is_the_outcome_of_that_one_message() -> None:
    gate = Gate(raises=True)

    result = await _made(_open(gate), 0)

    assert result == Result("unknown", "RuntimeError: a bug", trouble=True)


class TestPlaces:
    async def test_no_more_calls_than_places_and_who_waits_is_woken(self) -> None:
        woken: list[str] = []
        gate = Gate()
        desk = _open(gate, side_by_side=3)
        gate.open.clear()

        first = desk.take(5, lambda: woken.append("a"))
        calls = [asyncio.ensure_future(desk.make(_call(i))) for i in range(first)]
        none = desk.take(2, lambda: woken.append("b"))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.wait(calls)
        woken_before_it_was_committed = list(woken)
        for number in range(first):
            desk.forget(_call(number))

        assert woken_before_it_was_committed == []
        assert (first, none, gate.most_at_once) == (3, 0, 3)
        assert sorted(set(woken)) == ["a", "b"]

    async def test_places_are_shared_with_those_who_wait_already(self) -> None:
        desk = _open(Gate(), side_by_side=4)
        taken = desk.take(4, _nobody)
        hungry: list[Callable[[], None]] = [lambda: None for _ in range(3)]

        waiting = [desk.take(4, wake) for wake in hungry]
        desk._free = taken  # as if all four got free at once, before anybody was woken
        share = desk.take(4, hungry[0])

        assert waiting == [0, 0, 0]
        assert share == 1

    async def test_who_wants_nothing_stands_in_nobodys_way(self) -> None:
        woken: list[str] = []
        desk = _open(Gate(), side_by_side=1)
        desk.take(1, _nobody)

        def wake() -> None:
            woken.append("changed its mind")

        desk.take(1, wake)
        desk.take(0, wake)
        desk.give_back(1)

        assert woken == []
        assert desk.take(1, _nobody) == 1

    async def test_places_of_ended_calls_are_taken_over_where_nobody_else_waits(self) -> None:
        desk = _open(Gate(), side_by_side=2)
        desk.take(2, _nobody)
        await asyncio.gather(desk.make(_call(0)), desk.make(_call(1)))

        both = desk.take(1, _nobody, [_call(0)])
        desk.take(1, lambda: None)  # somebody else waits now
        none = desk.take(1, _nobody, [_call(1)])
        desk.forget(_call(0))
        after_the_first = desk.take(1, _nobody)
        desk.forget(_call(1))
        after_the_second = desk.take(1, _nobody)

        assert (both, none, after_the_first, after_the_second) == (1, 0, 0, 1)

    async def test_places_of_calls_that_were_never_begun_are_free_again(self) -> None:
        desk = _open(Gate(), side_by_side=2)
        taken = desk.take(2, _nobody)

        desk.leave(0, [_call(0), _call(1)])

        assert taken == desk.take(2, _nobody) == 2


class TestBreaker:
    async def test_a_provider_that_fails_again_and_again_is_left_alone_then_tried_by_one(self) -> None:
        time, gate = Time(), Gate(answer=AWAY)
        desk = _open(gate, time)

        for number in range(3):
            await _made(desk, number)
        while_open = desk.take(4, _nobody), desk.waits_until(), _shown("provider_breaker")
        told = desk.describe()
        time.now += 1_000
        probe = desk.take(4, _nobody), desk.take(4, _nobody)
        gate.answer = Result("delivered")
        await desk.make(_call(9))
        desk.forget(_call(9))
        after = desk.take(4, _nobody), desk.waits_until(), _shown("provider_breaker")

        assert while_open == (0, NOW + 1_000, 2.0)
        assert told == {"held": {}, "breaker": "open", "waits_until": NOW + 1_000, "waiting": 0, "calls": 0}
        assert probe == (1, 0)
        assert after == (4, None, 0.0)

    async def test_nobody_is_woken_before_its_time_is_over_and_everybody_when_the_provider_works_again(self) -> None:
        woken: list[int] = []
        time, gate = Time(), Gate(answer=AWAY)
        desk = _open(gate, time)
        for number in range(3):
            await _made(desk, number)
        for number in range(2):
            desk.take(1, lambda number=number: woken.append(number))  # type: ignore[misc]
            desk.give_back(0)
        while_open = list(woken)

        time.now += 1_000
        gate.answer = DELIVERED
        await _made(desk, 9)

        assert while_open == []
        assert sorted(woken) == [0, 1]

    async def test_each_failure_of_a_probe_doubles_the_time_up_to_a_longest(self) -> None:
        time = Time()
        desk = _open(Gate(answer=AWAY), time)
        waits = []
        for number in range(7):
            await _made(desk, number)
            if (until := desk.waits_until()) is not None:
                waits.append(until - time.now)
                time.now = until

        assert waits == [1_000, 2_000, 4_000, 4_000, 4_000]

    async def test_recipients_who_are_refused_do_not_count_against_the_provider(self) -> None:
        desk = _open(Gate(answer=REFUSED))

        for number in range(20):
            await _made(desk, number)

        assert desk.take(4, _nobody) == 4

    async def test_what_stays_in_the_house_says_nothing_about_the_provider(self) -> None:
        gate = Gate(answer=AWAY)
        desk = _open(gate)
        for number in range(2):
            await _made(desk, number)
        gate.stays, gate.answer = True, Result("delivered", "outbox")
        await _made(desk, 2)
        gate.stays, gate.answer = False, AWAY
        await _made(desk, 3)

        assert desk.take(1, _nobody) == 0

    async def test_openings_are_counted(self) -> None:
        desk = _open(Gate(answer=AWAY))
        with capture_metrics() as captured:
            for number in range(3):
                await _made(desk, number)

        assert captured["breaker_openings", "email"] == 1


async def test_how_many_wait_is_shown_and_forgotten_with_the_partition() -> None:
    desk = _open(Gate())

    desk.note_waiting(0, 7)
    desk.note_waiting(1, 3)
    both = _shown("deliveries_waiting")
    desk.leave(0, [])

    assert (both, _shown("deliveries_waiting")) == (10.0, 3.0)


async def test_results_that_nobody_asks_for_are_bounded_and_never_taken_for_a_call_that_was_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk_module, "REMEMBERED", 5)
    desk = _open(Gate())
    name = desk.name
    for number in range(20):
        desk.take(1, _nobody)
        await desk.make(_call(number))
        desk.leave(0, [_call(number)])

    assert desk.take(4, _nobody) == 4
    assert len(desk._calls) <= 6
    assert desk.name != name
    assert not desk.knows(_call(0), desk.name)


async def test_what_is_under_way_is_broken_off_when_the_process_ends() -> None:
    gate = Gate()
    desk = _open(gate)
    gate.open.clear()
    desk.take(1, _nobody)
    ending = asyncio.ensure_future(desk.make(_call()))
    await asyncio.sleep(0)

    await desk.close()
    await asyncio.wait([ending])

    assert gate.closed
    assert ending.result() == (_call(), Result("unknown", "it was broken off", trouble=True))
    assert Counter(gate.taken) == Counter({letter().id: 1})


async def test_no_call_keeps_its_place_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "CALL_WITHIN_S", 0.01)
    gate = Gate()
    desk = _open(gate, side_by_side=1)
    gate.open.clear()

    result = await _made(desk, 0)

    assert result is not None
    assert (result.status, result.trouble) == ("unknown", True)
    assert desk.take(1, _nobody) == 1


class TestHeirs:
    """Partitions that have become somebody else's while calls of theirs were under way."""

    @pytest.fixture
    def told(self) -> list[tuple[bytes, Notice | None]]:
        return []

    @pytest.fixture
    def tell(self, told: list[tuple[bytes, Notice | None]]) -> Tell:
        async def write(pairs: list[tuple[bytes, bytes | None]]) -> None:
            told.extend((key, decode_notice(value or b"")) for key, value in pairs)

        return write

    async def test_who_has_the_partition_now_is_told_what_its_calls_give(
        self, told: list[tuple[bytes, Notice | None]], tell: Tell
    ) -> None:
        gate = Gate(answer=Result("failed", "451 later", retry_after=3.0))
        desk = _open(gate)
        gate.open.clear()
        for number in range(2):
            await _left(desk, _call(number, attempt=2), partition=number)

        desk.gone(1, tell)
        await asyncio.sleep(0)
        too_early = list(told)
        gate.open.set()
        await asyncio.wait(desk._telling)

        said = Answer(
            message=letter(1).id,
            channel="email",
            attempt=2,
            by=desk.name,
            status="failed",
            detail="451 later",
            retry_after=3.0,
        )
        assert too_early == [(letter(1).user.encode(), InFlight(letter(1).id, 2, desk.name))]
        assert told[1:] == [(letter(1).user.encode(), said)]

    async def test_who_has_the_partition_now_is_told_of_attempts_that_were_never_begun(
        self, told: list[tuple[bytes, Notice | None]], tell: Tell
    ) -> None:
        gate = Gate()
        desk = _open(gate, side_by_side=1)
        desk.take(1, _nobody)

        desk.leave(0, [_call()])
        desk.gone(0, tell)
        await asyncio.wait(desk._telling)

        ((_, said),) = told
        assert isinstance(said, Answer)
        assert (said.message, said.attempt, said.by, said.status) == (letter(0).id, 1, desk.name, "failed")
        assert gate.taken == []
        assert desk.take(1, _nobody) == 1  # its place is free

    async def test_nobody_is_told_of_a_partition_that_has_come_back(
        self, told: list[tuple[bytes, Notice | None]], tell: Tell
    ) -> None:
        gate = Gate()
        desk = _open(gate)
        gate.open.clear()
        await _left(desk, _call())
        desk.gone(0, tell)
        await asyncio.sleep(0)

        back = desk.knows(_call(), desk.name)
        gate.open.set()
        await asyncio.wait(desk._telling)

        assert (back, [type(notice) for _, notice in told]) == (True, [InFlight])

    async def test_a_process_that_ends_tells_of_nothing_that_it_does_not_know(
        self, told: list[tuple[bytes, Notice | None]], tell: Tell
    ) -> None:
        gate = Gate()
        desk = _open(gate)
        gate.open.clear()
        await _left(desk, _call())
        desk.gone(0, tell)
        await asyncio.sleep(0)

        await desk.close()

        assert [type(notice) for _, notice in told] == [InFlight]

    async def test_a_broker_that_is_away_leaves_the_message_unknown_and_harms_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def refused(_: object) -> None:
            raise KafkaError("away")

        desk = _open(Gate())
        desk.take(1, _nobody)
        await desk.make(_call())
        desk.leave(0, [_call()])

        desk.gone(0, refused)
        await asyncio.wait(desk._telling)

        assert f"nobody was told what became of message {letter(0).id}" in caplog.text
