"""While there is a reason to hold messages, no call begins. When the reason has gone, delivery continues by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from models.delivery.deliveries import Result
from models.events import CHANNELS, Channel
from monitoring.testing import value
from stream.cluster.connection import Connection
from stream.delivery import self_check
from stream.delivery.dispatcher import Dispatcher
from stream.delivery.holds import Holds
from stream.settings.loading import load
from tests.support.dispatching import FakeGate, call, take
from tests.support.letters import NOW

URL = ("delivery.public_url", "http.public_url is not set")


def dispatcher_with(holds: Holds, channel: Channel = "email", gate: FakeGate | None = None) -> Dispatcher:
    gate = gate or FakeGate()
    gate.open.set()
    return Dispatcher(channel, gate, now=lambda: NOW, max_concurrency=4, holds=holds)


def _held(channel: str, reason: str) -> float | None:
    return value("delivery_held", channel=channel, reason=reason)


def test_no_slot_is_given_while_there_is_a_reason_and_a_waiting_lane_is_woken_when_the_last_reason_has_gone() -> None:
    holds, woken = Holds(), []
    dispatcher = dispatcher_with(holds)
    calls = [call(number) for number in range(3)]
    holds.set(*URL)
    holds.set("delivery.suppressions", "the list is being read")

    while_held = dispatcher.assign(3, lambda slots: calls[:slots], lambda: woken.append("lane")).calls
    holds.clear("delivery.suppressions")
    after_one = list(woken)
    holds.clear(URL[0])

    assert (while_held, after_one, woken) == ([], [], ["lane"])
    assert take(dispatcher, *calls) == 3


async def test_a_slot_that_is_released_while_messages_are_held_wakes_no_lane() -> None:
    holds, woken = Holds(), []
    dispatcher = dispatcher_with(holds)
    assert take(dispatcher, call()) == 1
    holds.set(*URL)
    dispatcher.assign(1, lambda _: [], lambda: woken.append("lane"))

    _, result = await dispatcher.make(call())
    dispatcher.commit(0, [call()], 0)

    assert result == Result("delivered")
    assert woken == []


def test_a_reason_of_one_channel_holds_no_other_channel() -> None:
    holds = Holds()
    email, sms = dispatcher_with(holds), dispatcher_with(holds, "sms")
    holds.set("delivery.provider.sms", "delivery.twilio is missing", channel="sms")

    assert (take(email, call(0), call(1)), take(sms, call(0), call(1))) == (2, 0)
    assert email.describe()["held"] == {}
    assert sms.describe()["held"] == {"delivery.provider.sms": "delivery.twilio is missing"}


def test_the_reasons_of_a_check_replace_those_of_the_previous_check_and_no_others() -> None:
    holds = Holds()
    holds.set("suppressions", "the list is being read")
    holds.replace("delivery.", {URL[0]: (URL[1], None), "delivery.provider.sms": ("twilio is missing", "sms")})
    holds.replace("delivery.", {URL[0]: ("another address", None)})

    assert holds.reasons() == {"suppressions": "the list is being read", URL[0]: "another address"}


def test_a_reason_is_logged_once_and_shown_as_a_metric(caplog: pytest.LogCaptureFixture) -> None:
    holds = Holds()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            holds.set(*URL)
    assert [record.message for record in caplog.records] == [
        "all channels: messages are held: http.public_url is not set (delivery.public_url)"
    ]
    shown: list[Any] = [_held(channel, URL[0]) for channel in CHANNELS]
    holds.clear(URL[0])
    shown += [_held(channel, URL[0]) for channel in CHANNELS]
    assert shown == [1.0] * len(CHANNELS) + [0.0] * len(CHANNELS)


def test_a_reason_that_comes_and_goes_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([1_000.0, 1_001.0, 1_059.0, 1_060.0])
    holds = Holds(clock=lambda: next(times))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            holds.set("suppressions.unread", "the list is not read")
            holds.clear("suppressions.unread")

    begin = "all channels: messages are held: the list is not read (suppressions.unread)"
    end = "all channels: messages are no longer held because of suppressions.unread"
    assert [record.message for record in caplog.records] == [begin, end, begin, end]


@pytest.mark.parametrize("failure", [RuntimeError("a bug"), asyncio.CancelledError("a task of aiokafka's own")])
async def test_a_check_that_fails_is_made_again_and_no_hold_is_left(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    failures = [failure]

    async def versions(connection: Connection) -> AsyncGenerator[bytes | None, None]:
        del connection
        if failures:
            raise failures.pop()
        yield None
        await asyncio.Event().wait()

    monkeypatch.setattr(self_check, "published_rules", versions)
    monkeypatch.setattr(self_check, "RETRY_S", 0.0)
    settings, holds = load(None), Holds()
    self_check.hold_until_checked(settings, holds)
    assert holds.reasons().keys() == {self_check.UNREAD}
    free = asyncio.Event()
    holds.on_change(lambda: None if holds.reasons() else free.set())

    async with self_check.checking(Connection("127.0.0.1:1"), settings, holds), asyncio.timeout(5):
        await free.wait()

    assert not failures


async def test_rules_of_another_release_hold_all_messages_until_newer_ones_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proceed, unread = asyncio.Event(), asyncio.Event()
    settings, holds = load(None), Holds()
    free = asyncio.Event()
    holds.on_change(lambda: unread.set() if holds.reasons() else free.set())

    async def versions(connection: Connection) -> AsyncGenerator[bytes | None, None]:
        del connection
        yield b"of another release"
        await proceed.wait()
        yield None
        await asyncio.Event().wait()

    monkeypatch.setattr(self_check, "published_rules", versions)
    async with self_check.checking(Connection("127.0.0.1:1"), settings, holds), asyncio.timeout(5):
        await unread.wait()
        assert "cannot be read by this release" in holds.reasons()[self_check.UNREAD]
        proceed.set()
        await free.wait()
