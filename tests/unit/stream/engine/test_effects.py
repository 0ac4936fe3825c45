"""Effects that run beside a lane: their results, their errors, and how long they are pending."""

from __future__ import annotations

import asyncio

import pytest

from stream.engine.effects import EffectRunner


async def answer() -> str:
    """Return a result."""
    return "answer"


async def test_an_effect_is_pending_until_the_consequences_of_its_end_are_committed() -> None:
    ended = asyncio.Event()
    runner = EffectRunner(ended.set)
    pending = [runner.pending]
    runner.begin([answer])
    pending.append(runner.pending)
    await ended.wait()
    pending.append(runner.pending)
    results = runner.hand_over()
    pending.append(runner.pending)
    runner.confirm()
    pending.append(runner.pending)

    assert results == ("answer",)
    assert pending == [0, 1, 1, 1, 0]
    assert runner.hand_over() == ()


async def test_the_error_of_an_effect_is_raised_when_results_are_handed_over() -> None:
    async def fail() -> None:
        raise ValueError("a mistake in the effect")

    ended = asyncio.Event()
    runner = EffectRunner(ended.set)
    runner.begin([fail])
    await ended.wait()

    with pytest.raises(ValueError, match="a mistake in the effect"):
        runner.hand_over()


async def test_closing_cancels_effects_and_forgets_their_results() -> None:
    ends: list[int] = []
    runner = EffectRunner(lambda: ends.append(1))
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    runner.begin([hang])
    await asyncio.sleep(0)
    await runner.close()

    assert cancelled.is_set()
    assert (runner.pending, ends, runner.has_ended) == (0, [], False)


async def test_an_effect_that_is_cancelled_by_itself_is_a_mistake() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    ended = asyncio.Event()
    runner = EffectRunner(ended.set)
    runner.begin([cancel])
    await ended.wait()

    with pytest.raises(RuntimeError, match="but not by its lane"):
        runner.hand_over()
