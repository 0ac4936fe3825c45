"""The real SDKs, unchanged, against the real door: each event is folded once, despite faults on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from models.events import ANONYMOUS, MICROS, Event
from tests.clients.proxy import Proxy, ProxyFault, proxied
from tests.clients.sdks import SDKS, DriverReport, Sdk, playing
from tests.clients.shop import BROWSER_KEY, OUTCOMES, RULE, SERVER_KEY, ClientShop, Taken
from tests.clients.story import Known, Visitor, as_stranger, as_user, story

pytestmark = [pytest.mark.clients, pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)]

SENT = 300
ARRIVE_WITHIN_S = 60.0
"""How long the SDKs may take to deliver their queues once the fault is over, seconds."""
CLOCK_MS = 30_000
"""Allowed difference between the time of an event and the caller's time, milliseconds.

The correction of clocks adds the time since ``sentAt``, which some SDKs do not renew when they retry. The test still
sees whether a time that the caller stated is used, because such a time is 20 or 40 minutes ago.
"""


async def test_every_event_is_folded_once(sdk: Sdk, shop: ClientShop, tmp_path: Path) -> None:
    run = StoryRun(sdk, shop, "calm", tmp_path)

    await run.play(shop.door)

    await run.verify()
    run.verify_times()


async def test_nothing_is_lost_or_doubled_when_the_door_is_killed(sdk: Sdk, shop: ClientShop, tmp_path: Path) -> None:
    run, before = StoryRun(sdk, shop, "killed", tmp_path), shop.collector

    # a server's SDK sends batches, and a browser's SDK single events: both kills are in the middle of a story
    proxy = await run.play_through(ProxyFault(kill_at=100 if sdk.browser else 2))

    assert None in proxy.answers, "the kill came too late to be noticed"
    assert shop.collector != before
    await run.verify()
    run.verify_times()


async def test_nothing_is_lost_or_doubled_when_the_door_is_unavailable(
    sdk: Sdk, shop: ClientShop, tmp_path: Path
) -> None:
    run = StoryRun(sdk, shop, "unavailable", tmp_path)

    proxy = await run.play_through(ProxyFault(unavailable_from=2, unavailable_s=3.0))

    assert 503 in proxy.answers
    await run.verify()
    run.verify_times()


async def test_nothing_is_lost_or_doubled_when_answers_are_lost(sdk: Sdk, shop: ClientShop, tmp_path: Path) -> None:
    run = StoryRun(sdk, shop, "lost", tmp_path)

    proxy = await run.play_through(ProxyFault(lose_every=2, lose_at_most=8))

    assert None in proxy.answers
    taken = await run.verify()
    assert taken.records > SENT, "no event is in the log twice, so this run has tested nothing"
    run.verify_times()


class StoryRun:
    """One story, played by one SDK against one door."""

    def __init__(self, sdk: Sdk, shop: ClientShop, name: str, folder: Path) -> None:
        self._sdk, self._shop, self._folder = sdk, shop, folder
        self._visitors = story(f"{sdk.slug}-{name}", time.time_ns() // 1_000_000)
        self._report: DriverReport | None = None
        self._taken: Taken | None = None

    async def play_through(self, fault: ProxyFault) -> Proxy:
        """Play the story against the shop's door, through a proxy with a fault."""
        self._shop.await_door()
        async with proxied(self._shop.door, fault, self._shop.kill_door) as proxy:
            await self.play(proxy.address)
        return proxy

    async def play(self, endpoint: str) -> None:
        """Play the story, and wait until the SDK has delivered everything, or the time limit has passed."""
        key = BROWSER_KEY if self._sdk.browser else SERVER_KEY
        async with playing(self._sdk, self._visitors, endpoint, key, self._folder) as report:
            self._report = report
            await _until(self._all_taken, ARRIVE_WITHIN_S)
        self._taken = await self._read()

    async def verify(self) -> Taken:
        """Compare the profile of every visitor with the visitor's calls."""
        report, taken = self._played()
        assert len(report.called) == SENT
        assert report.errors == []
        assert taken.refused == []
        assert len(taken.ids()) == SENT
        await self._shop.await_fold()
        for number, visitor in enumerate(self._visitors):
            stranger = await self._shop.profile(ANONYMOUS + report.anonymous[visitor.user])
            user = await self._shop.profile(visitor.user)
            assert stranger is not None
            assert user is not None
            _compare(stranger["profile"], as_stranger())
            _compare(user["profile"], as_user(visitor.user, number))
            self._verify_message(user, taken.events[visitor.user])
        return taken

    def _verify_message(self, user: dict[str, Any], records: list[Event]) -> None:
        """Expect the message about the first order, or the reason for its absence.

        A purchase from a page triggers no message, because anyone can send a purchase with the key in the page. SDKs
        that retry may send a later batch first. If the purchase was read before the sign-up, no address was known in
        time.
        """
        read = [event.type for event in records]
        if self._sdk.browser:
            reasons = ["public_key"]
        elif read.index("purchase") < read.index("identify"):
            reasons = ["no_address"]
        else:
            reasons = []
        assert [one["reason"] for one in user["not_sent"]] == reasons
        assert [message["rule"] for message in user["messages"]] == ([] if reasons else [RULE])

    def verify_times(self) -> None:
        """Compare the time of each event with the time that the caller stated, otherwise with the caller's clock."""
        report, taken = self._played()
        for visitor in self._visitors:
            expected = sorted(at for (user, _), at in report.called.items() if user == visitor.user)
            found = sorted(event.at for event in self._first(visitor, taken))
            assert found == pytest.approx(expected, abs=CLOCK_MS), visitor.user

    def _first(self, visitor: Visitor, taken: Taken) -> list[Event]:
        """Return the events of a visitor in the order in which they were first accepted."""
        report, _ = self._played()
        records = taken.events[visitor.user] + taken.events[ANONYMOUS + report.anonymous[visitor.user]]
        return list({event.id: event for event in reversed(records)}.values())

    def _played(self) -> tuple[DriverReport, Taken]:
        assert self._report is not None
        assert self._taken is not None
        return self._report, self._taken

    async def _read(self) -> Taken:
        assert self._report is not None
        users = {visitor.user for visitor in self._visitors}
        strangers = set(self._report.anonymous.values())
        return await self._shop.taken(users | {ANONYMOUS + stranger for stranger in strangers}, users | strangers)

    async def _all_taken(self) -> bool:
        taken = await self._read()
        return bool(taken.refused) or len(taken.ids()) >= SENT


def _compare(profile: dict[str, Any], known: Known) -> None:
    assert {kind: number for kind, number in profile["events"].items() if kind not in OUTCOMES} == known.events
    assert profile["traits"] == known.traits
    assert {currency: round(amount * MICROS) for currency, amount in profile["spent"].items()} == known.spent
    assert profile["orders"] == known.orders
    assert profile["ratings"]["count"] == known.ratings
    if known.ratings:
        assert profile["ratings"]["mean"] == 5.0


async def _until(condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait until a condition holds, or until the time limit has passed; later assertions name the missing part."""
    deadline = time.monotonic() + within_s
    while not await condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - a log can only be polled
        await asyncio.sleep(0.2)
