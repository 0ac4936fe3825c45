"""A reading must continue until its process ends. So it begins again after every failure, and logs the reason."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.cluster.repeating import repeat

FAILURES: list[BaseException] = [
    KafkaConnectionError(), TimeoutError(), OSError("away"), RuntimeError("a bug"), asyncio.CancelledError(),
]  # fmt: skip


async def test_the_next_attempt_begins_after_every_kind_of_failure() -> None:
    remaining, went_on = list(FAILURES), asyncio.Event()
    seen: list[BaseException] = []

    async def attempt() -> None:
        if remaining:
            raise remaining.pop(0)
        went_on.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(repeat(attempt, "it cannot be read", retry_s=0.0, failed=seen.append))
    async with asyncio.timeout(5):
        await went_on.wait()
    assert seen == FAILURES

    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_failure_that_continues_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    attempts, went_on = 0, asyncio.Event()

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 50:
            went_on.set()
        raise OSError("away")

    with caplog.at_level(logging.WARNING, "stream.cluster.repeating"):
        task = asyncio.create_task(repeat(attempt, "it cannot be read", retry_s=0.0))
        async with asyncio.timeout(5):
            await went_on.wait()
        task.cancel()
        await asyncio.wait([task])

    assert caplog.messages == ["it cannot be read, trying again: OSError('away')"]
