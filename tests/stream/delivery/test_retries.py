from __future__ import annotations

from collections.abc import Iterator

from models.engage.deliveries import Result
from models.engage.messages import Message
from stream.delivery.retries import Retries
from tests.stream.delivery.letters import NOW, letter


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += int(seconds * 1000) + 1


def _retries(time: Time, *results: Result, budget_s: float = 60.0) -> Retries:
    answers: Iterator[Result] = iter(results)

    async def deliver(_: Message) -> Result:
        return next(answers, Result("failed", "451 later"))

    return Retries(deliver, now=lambda: time.now, budget_s=budget_s, sleep=time.sleep)


async def test_what_was_refused_for_now_is_tried_again_until_it_is_taken() -> None:
    time = Time()

    result = await _retries(time, Result("failed"), Result("failed"), Result("delivered")).deliver(letter())

    assert result.status == "delivered"
    assert len(time.slept) == 2
    assert time.slept[1] > time.slept[0] * 0.9


async def test_what_may_have_been_accepted_is_never_tried_again() -> None:
    for status in ("unknown", "rejected"):
        time = Time()

        result = await _retries(time, Result(status), Result("delivered")).deliver(letter())

        assert (result.status, time.slept) == (status, [])


async def test_the_provider_says_how_long_to_wait() -> None:
    time = Time()

    await _retries(time, Result("failed", retry_after=20.0), Result("delivered")).deliver(letter())

    assert time.slept == [20.0]


async def test_tries_end_with_the_budget_and_the_failure_is_told() -> None:
    time = Time()

    result = await _retries(time).deliver(letter())

    assert result.status == "failed"
    assert "tries: " in result.detail
    assert sum(time.slept) <= 60


async def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    time = Time()

    result = await _retries(time, Result("failed", "429", retry_after=600.0)).deliver(letter())

    assert (result.status, time.slept) == ("failed", [])


async def test_a_message_is_not_sent_after_its_time_however_often_it_was_tried() -> None:
    time = Time()

    result = await _retries(time, Result("failed"), Result("delivered")).deliver(letter(expires=NOW + 100))

    assert result.status == "expired"
