"""Checks that the adapter of every channel must pass, each against a real recipient."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from models.delivery.deliveries import Result
from models.events import CHANNELS
from stream.delivery.channels import PROVIDERS
from tests.support.channel_harness import ChannelHarness, Recorded
from tests.support.channel_harnesses import HARNESSES, PROVIDERS_TESTED

UNICODE = "Grüße, Ada! 你好 🎉 עברית"


@pytest.fixture(params=HARNESSES)
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[ChannelHarness]:
    """The harness of each adapter in turn."""
    async with HARNESSES[request.param](tmp_path, unused_tcp_port) as opened:
        yield opened


over_a_network = pytest.mark.parametrize("harness", PROVIDERS_TESTED, indirect=True)
"""Mark that selects the providers, because their answers can be lost. The result of the outbox is always known."""


def test_every_channel_has_a_harness_for_its_provider_and_for_the_outbox() -> None:
    assert {f"outbox of {channel}" for channel in CHANNELS} == HARNESSES.keys() - set(PROVIDERS_TESTED)
    assert {name.partition(" over ")[0] for name in PROVIDERS_TESTED} >= PROVIDERS.keys()


async def test_a_delivered_message_is_recorded_once_with_its_address(harness: ChannelHarness) -> None:
    message = harness.message()

    result = await harness.deliver(message)

    assert (result.status, result.trouble) == ("delivered", False)
    assert result.provider_id
    assert harness.recorded() == [Recorded(message.to, message.text.strip())]


async def test_text_in_any_script_arrives_unchanged(harness: ChannelHarness) -> None:
    message = harness.message(text=UNICODE + "\n")

    await harness.deliver(message)

    assert harness.recorded() == [Recorded(message.to, UNICODE)]


async def test_a_permanent_refusal_is_the_fault_of_the_message_and_not_of_the_provider(
    harness: ChannelHarness,
) -> None:
    result = await harness.deliver(harness.refused())

    assert (result.status, result.trouble) == ("rejected", False)
    assert result.detail
    assert harness.recorded() == []


async def test_a_temporary_refusal_may_be_tried_again_and_then_arrives_once(harness: ChannelHarness) -> None:
    message = harness.message()

    async with harness.refusing(message):
        refused = await harness.deliver(message)
        recorded = harness.recorded()
    result = await harness.deliver(message)

    assert (refused.status, recorded) == ("failed", [])
    assert result.status == "delivered"
    assert len(harness.recorded()) == 1


async def test_a_message_that_the_last_check_stops_is_not_recorded(harness: ChannelHarness) -> None:
    stopped = Result("suppressed", "unsubscribe (marketing)", called=False)

    result = await harness.deliver(harness.message(), lambda: stopped)

    assert result == stopped
    assert harness.recorded() == []


@over_a_network
async def test_without_an_answer_a_message_is_sent_again_only_if_the_recipient_drops_repeats(
    harness: ChannelHarness,
) -> None:
    message = harness.message()
    harness.dropping(message)

    result = await harness.deliver(message)

    assert len(harness.recorded()) == 1
    if harness.drops_repeats:
        assert (result.status, (await harness.deliver(message)).status) == ("failed", "failed")
        assert len(harness.recorded()) == 1
    else:  # another attempt would send a second message
        assert (result.status, result.trouble, result.answered) == ("unknown", True, False)


@over_a_network
async def test_the_outcome_is_unknown_if_no_answer_comes_in_time_and_repeats_are_not_dropped(
    harness: ChannelHarness,
) -> None:
    message = harness.message()

    async with harness.hanging(message):
        result = await harness.deliver(message)

    assert (result.status, result.trouble) == (("failed", False) if harness.drops_repeats else ("unknown", True))


async def test_a_cancelled_call_does_not_affect_the_next_one(harness: ChannelHarness) -> None:
    first, second = harness.message(0), harness.message(1)

    async with harness.hanging(first):
        cancelled = asyncio.ensure_future(harness.deliver(first))
        await harness.reached(first)
        cancelled.cancel()
        await asyncio.wait([cancelled])
    result = await harness.deliver(second)

    assert cancelled.cancelled()
    assert result.status == "delivered"
    assert [one.to for one in harness.recorded()].count(second.to) == 1


async def test_concurrent_messages_all_arrive_once(harness: ChannelHarness) -> None:
    messages = [harness.message(number) for number in range(12)]

    results = await asyncio.gather(*map(harness.deliver, messages))

    assert {result.status for result in results} == {"delivered"}
    assert sorted(one.to for one in harness.recorded()) == sorted(message.to for message in messages)
