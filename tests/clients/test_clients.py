"""The real SDKs, unchanged, against the real door: each event is folded once, despite faults on the way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from models.events import ANONYMOUS, MICROS, Event, Forwarding
from models.fold.moments import moment
from models.fold.step import FORGET
from models.profile.lateness import SESSION_GAP_MS
from models.profile.reducers import VISITS
from tests.clients.proxy import Proxy, ProxyFault, proxied
from tests.clients.sdks import SDKS, DriverReport, Sdk, playing
from tests.clients.shop import BROWSER_KEY, OUTCOMES, RULE, SERVER_KEY, ClientShop, Taken
from tests.clients.story import Known, Visitor, as_person, sent_by_visitor, story

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

    taken = await run.verify()
    assert taken.records == SENT, "an SDK has sent an event twice, although it got an answer"
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
        """Compare the log, and the profiles of every visitor before and after the sign-up, with the visitor's calls."""
        report, _ = self._played()
        assert len(report.called) == SENT
        assert report.errors == []
        await self._shop.settle()
        self._taken = taken = await self._read()
        assert taken.refused == []
        assert len(taken.ids()) == SENT
        for number, visitor in enumerate(self._visitors):
            anonymous = report.anonymous[visitor.user]
            self._verify_log(visitor, ANONYMOUS + anonymous, as_person(visitor.user, number))
            user = await self._shop.profile(visitor.user)
            stranger = await self._shop.profile(ANONYMOUS + anonymous)
            assert user is not None
            assert stranger is not None
            _compare(user["profile"], as_person(visitor.user, number))
            _compare_visits(user["profile"], self._first(visitor, taken))
            _verify_has_nothing(stranger)
            self._verify_links(visitor.user, ANONYMOUS + anonymous, user["identity"], stranger["identity"])
            self._verify_message(user, taken.events[visitor.user])
            assert await self._shop.profile(anonymous) is None, "an alias has made a user of the anonymous id"
        return taken

    def _verify_log(self, visitor: Visitor, stranger: str, person: Known) -> None:
        """Expect each event as it was sent, under the id with which it was sent; repeats are the same events."""
        _, taken = self._played()
        sent = {name: _distinct(taken.events[name]) for name in (stranger, visitor.user)}
        before = sent_by_visitor(browser=self._sdk.browser)
        assert Counter(event.type for event in sent[stranger]) == before
        assert Counter(event.type for event in sent[visitor.user]) == person.events - before
        assert {event.anonymous for event in sent[stranger]} == {None}
        assert {event.anonymous for event in sent[visitor.user]} == {stranger}

    def _verify_links(self, user: str, stranger: str, known: dict[str, Any], own: dict[str, Any]) -> None:
        """Expect that each event of the visitor was merged or forwarded, exactly once."""
        _, taken = self._played()
        sent = {event.id: event for event in _distinct(taken.events[stranger])}
        copies = _distinct(taken.forwarded[user])
        for copy in copies:
            original = sent[copy.id]
            assert _content(copy) == _content(replace(original, user=user, anonymous=stranger))
        numbers = [copy.identity.number for copy in copies if isinstance(copy.identity, Forwarding)]
        assert numbers == list(range(1, len(copies) + 1))
        assert taken.forwarded[stranger] == []
        [link] = known["links"]
        merged = len(sent) - len(copies)
        assert (link["id"], link["outcome"]) == (stranger, "merged" if merged else "empty")
        assert (link["events"], link["forwarded"]) == (merged, len(copies))
        assert (own["owner"]["user"], own["owner"]["forwarded"]) == (user, len(copies))
        assert (own["links"], known["owner"]) == ([], None)
        assert own["conflicts"] == known["conflicts"] == []

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
        return _distinct(taken.events[visitor.user] + taken.events[ANONYMOUS + report.anonymous[visitor.user]])

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
    assert profile["orders"] == len(known.orders)
    assert {one["order"]: round(one["amount"] * MICROS) for one in profile["known_orders"]} == known.orders
    assert profile["ratings"]["count"] == known.ratings
    if known.ratings:
        assert profile["ratings"]["mean"] == 5.0


def _compare_visits(profile: dict[str, Any], events: list[Event]) -> None:
    """Compare what follows from the times and the items of all events of a person."""
    visits = [event for event in events if event.type in VISITS]
    times = sorted(event.at for event in visits)
    assert (profile["first_seen"], profile["last_seen"]) == (moment(times[0]), moment(times[-1]))
    assert profile["sessions"] == 1 + sum(later - at > SESSION_GAP_MS for at, later in pairwise(times))
    items = [event.item for event in visits if event.item is not None]
    assert Counter(profile["recent"]) == Counter([*items, *(line.item for event in visits for line in event.lines)])


def _verify_has_nothing(stranger: dict[str, Any]) -> None:
    """Expect that the profile of an anonymous id has handed over all its facts and messages."""
    profile = stranger["profile"]
    _compare(profile, Known())
    assert (profile["events"], profile["cart"], profile["consent"], profile["our_messages"]) == ({}, {}, {}, {})
    assert (profile["first_seen"], profile["last_seen"], stranger["features"]) == (None, None, None)
    assert (stranger["messages"], stranger["not_sent"], stranger["waiting"]) == ([], [], [])
    assert {timer["name"] for timer in stranger["timers"]} <= {FORGET}, "only its message ids are kept for a while"


def _distinct(records: list[Event]) -> list[Event]:
    """Return each event as it was first accepted; expect that its repeats have the same content."""
    first: dict[str, Event] = {}
    for event in records:
        assert _content(first.setdefault(event.id, event)) == _content(event)
    return list(first.values())


def _content(event: Event) -> Event:
    """Return an event without its place and its time, which depends on when it was accepted."""
    return replace(event, at=0, identity=None)


async def _until(condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait until a condition holds, or until the time limit has passed; later assertions name the missing part."""
    deadline = time.monotonic() + within_s
    while not await condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - a log can only be polled
        await asyncio.sleep(0.2)
