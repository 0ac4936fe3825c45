"""The rate of a provider: calls wait for it in their order, and the processes divide it."""

from __future__ import annotations

from models.delivery.token_bucket import CallRate
from monitoring.testing import capture_metrics, value
from stream.delivery.rate_limit import RateLimit
from tests.support.dispatching import FakeGate, SteppedClock, call, ignore_wake, open_dispatcher
from tests.support.letters import NOW


async def test_calls_above_the_rate_begin_later_in_their_order_and_none_is_lost() -> None:
    clock = SteppedClock(NOW)
    dispatcher = open_dispatcher(FakeGate(), clock, max_concurrency=100)
    dispatcher.limit_rate(CallRate(per_second=10, burst=3), 1)
    waiting, begun, times = [call(number) for number in range(12)], list[str](), list[int]()

    with capture_metrics():
        while waiting:
            assigned = dispatcher.assign(len(waiting), lambda slots: waiting[:slots], ignore_wake)
            begun += [one.message.id for one in assigned.calls]
            times += [clock.now - NOW] * len(assigned.calls)
            del waiting[: len(assigned.calls)]
            if waiting:
                assert assigned.waits_until is not None
                clock.now = assigned.waits_until
        waits = value("rate_waits", channel="email")

    assert begun == [call(number).message.id for number in range(12)]
    assert times == [100 * number for number in range(1, 13)]
    assert waits == 12.0


def test_a_process_has_the_part_of_the_rate_that_its_partitions_are() -> None:
    clock = SteppedClock(0)
    limit = RateLimit("email", clock, CallRate(per_second=8, burst=80), partitions=8)

    begun = []
    for partitions in (1, 4, 8, 0):
        limit.hold(partitions)
        clock.now += 2_000
        begun.append(limit.limit)
        limit.take(limit.limit or 0, 0)

    assert begun == [2, 8, 16, 2]  # without a partition, a process has the part of one that it is about to get


def test_without_a_rate_nothing_waits() -> None:
    limit = RateLimit("email", SteppedClock(0))

    limit.take(1_000, 2_000)

    assert (limit.limit, limit.waits_until) == (None, None)
