"""Tests of the load of a shop: it follows its laws, each event has a reason, and visitors overlap."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random
from typing import NamedTuple

import numpy as np
import pytest

from models.events import Event, decode_event
from models.log import Tick, decode_control, is_control
from models.units import DAY, HOUR
from tests.benchmarks import open_loop
from tests.benchmarks.load import START_MS, BenchLoad
from tests.benchmarks.load_choice import Workload, load_of, title_of
from tests.benchmarks.load_laws import MAX_PAUSE_S, Numbers, fitted
from tests.benchmarks.load_statistics import statistics
from tests.benchmarks.load_visitor import PAUSE_LIKE, Kind, ShopVisitors
from tests.benchmarks.load_visits import ACCOUNT_SHARE, VisitLoad

MIN_APART_MS = MAX_PAUSE_S * 1e3 + 1
"""Minimum pause that certainly separates two visits of a user, milliseconds."""
BESIDE = ("identify", "consent", "rating")


class LoggedVisit(NamedTuple):
    """Events of one visit of a user."""

    user: str
    events: list[Event]


def events_of(load: Iterable[tuple[bytes, bytes]]) -> list[Event]:
    return [decode_event(value) for key, value in load if not is_control(key)]


def visits_of(events: Iterable[Event]) -> list[LoggedVisit]:
    """Return the visits in the order of their beginnings."""
    found, latest = list[LoggedVisit](), dict[str, LoggedVisit]()
    for event in events:
        visit = latest.get(event.user)
        if visit is None or event.at - visit.events[-1].at >= MIN_APART_MS:
            visit = latest[event.user] = LoggedVisit(event.user, [])
            found.append(visit)
        visit.events.append(event)
    return found


def distance(values: Iterable[float], cdf: Callable[[Numbers], Numbers]) -> float:
    """Return the largest distance between the cumulative shares of the values and a law, at the values."""
    ordered = np.sort(np.array(list(values), dtype=float))
    places = np.unique(ordered)
    shares = np.searchsorted(ordered, places, side="right") / len(ordered)
    return float(np.abs(shares - cdf(places)).max())


@pytest.fixture(scope="module")
def shop() -> list[Event]:
    """Events of three days."""
    return events_of(VisitLoad(events=60_000))


@pytest.fixture(scope="module")
def months() -> list[LoggedVisit]:
    """Visits of two months, in which users return many times."""
    return visits_of(events_of(VisitLoad(events=100_000, days=60.0)))


def test_single_events_have_the_same_bytes_as_ever() -> None:
    several = BenchLoad(events=3_000, users=50_000, items=2_000, seed=7, days=9.0, origin="live")

    assert [digest(BenchLoad(events=3_000)), digest(several)] == [
        "d27e6c382af1190459bfefbec28ccc99168b3f257ffb01ff71a36e6ded8f6c12",
        "15de8f4f7c535929217e77793138a0c99269a964297453f152484ba64c34f20a",
    ]


def digest(load: Iterable[tuple[bytes, bytes]]) -> str:
    return hashlib.sha256(b"".join(key + b"\0" + value + b"\n" for key, value in load)).hexdigest()


@pytest.mark.parametrize("workload", Workload)
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(workload: Workload) -> None:
    first, again, other = (digest(load_of(workload, 2_000, seed=seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("workload", Workload)
def test_time_passes_with_ticks_that_are_never_ahead_of_the_next_event(workload: Workload) -> None:
    now, ticks = START_MS, 0
    for key, value in load_of(workload, 5_000):
        if is_control(key):
            tick = decode_control(value)
            assert isinstance(tick, Tick)
            ticks += 1
            assert tick.at >= now
            now = tick.at
        else:
            at = decode_event(value).at
            assert at >= now
            now = at
    assert ticks == 5


@pytest.mark.parametrize("workload", Workload)
def test_events_have_about_300_bytes_and_unique_ids_and_the_users_key(workload: Workload) -> None:
    load = [(key, value) for key, value in load_of(workload, 20_000) if not is_control(key)]
    events = [decode_event(value) for _, value in load]

    assert 270 < sum(len(value) for _, value in load) / len(load) < 330
    assert len({event.id for event in events}) == len(events) == 20_000
    assert all(event.user.encode() == key for event, (key, _) in zip(events, load, strict=True))


def test_visits_are_as_long_as_the_laws_say() -> None:
    visitors = ShopVisitors(fitted(), 20.0, Random(1), lambda: 1)
    laws = list(fitted().lengths.values())

    drawn = [visitors.begin(0).left for _ in range(40_000)]

    assert distance(drawn, lambda counts: (laws[0].cdf(counts) + laws[1].cdf(counts)) / 2) < 0.01
    assert np.mean(drawn) == pytest.approx(fitted().mean_length(), rel=0.05)
    assert max(drawn) > 200  # a heavy tail


def test_visits_in_the_log_are_as_long_as_the_laws_say(months: list[LoggedVisit]) -> None:
    laws = list(fitted().lengths.values())
    lengths = [sum(event.type not in BESIDE for event in visit.events) for visit in months]

    assert distance(lengths, lambda counts: (laws[0].cdf(counts) + laws[1].cdf(counts)) / 2) < 0.05


@pytest.mark.parametrize(("kind", "type_"), [("page", "page_view"), ("view", "product_view"), ("click", "click")])
def test_pauses_before_an_event_follow_the_law_of_its_kind(months: list[LoggedVisit], kind: str, type_: str) -> None:
    pauses = [
        round((after.at - before.at) / 1e3)
        for visit in months
        for before, after in pairwise(visit.events)
        if after.type == type_ and before.type not in BESIDE
    ]

    assert len(pauses) > 4_000
    assert distance(pauses, fitted().pauses[kind].cdf) < 0.03
    assert max(pauses) > 60 * np.median(pauses)  # a heavy tail


def test_every_kind_of_event_has_a_pause() -> None:
    visitors = ShopVisitors(fitted(), 20.0, Random(1), lambda: 1)

    assert all(visitors.pause(kind) >= 0 for kind in PAUSE_LIKE)


@pytest.mark.parametrize("visits_per_purchase", [10.0, 20.0, 40.0])
def test_the_days_between_visits_follow_the_law_of_purchases_and_are_fewer(visits_per_purchase: float) -> None:
    load = VisitLoad(events=100_000, days=60.0, visits_per_purchase=visits_per_purchase)
    begins = defaultdict[str, list[int]](list)
    visits = visits_of(events_of(load))
    for visit in visits:
        begins[visit.user].append(visit.events[0].at)
    days = [(after - before) / DAY for each in begins.values() for before, after in pairwise(each)]
    law = fitted().purchases.more_often(visits_per_purchase)

    assert len(days) > 5_000
    assert distance(days, lambda bounds: law.cdf(bounds, 60.0, least=MIN_APART_MS / DAY)) < 0.06
    assert len(visits) / load.known_users / 60 == pytest.approx(law.rate, rel=0.2)
    purchases = sum(event.type == "purchase" for visit in visits for event in visit.events)
    assert len(visits) / purchases == pytest.approx(visits_per_purchase, rel=0.2)


def test_few_users_cause_as_many_visits_as_the_law_says(months: list[LoggedVisit]) -> None:
    law = fitted().purchases.more_often(20.0)
    random = np.random.default_rng(1)
    expected = random.poisson(random.gamma(law.shape, size=200_000) / law.scale_days * 60.0)
    counts = np.array(list(Counter(visit.user for visit in months).values()))

    def by_tenth(several: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
        ordered = np.sort(several[several > 0])[::-1]
        return float(ordered[: len(ordered) // 10].sum() / ordered.sum())

    assert by_tenth(counts) == pytest.approx(by_tenth(expected), abs=0.06)
    assert by_tenth(counts) > 0.3


def test_no_event_is_without_a_reason(shop: list[Event]) -> None:
    addresses, bought, seen = set[str](), defaultdict[str, set[str]](set), Counter[str]()
    for visit in visits_of(shop):
        viewed, cart, at = set[str | None](), list[str | None](), None
        if visit.events[0].at < START_MS + MIN_APART_MS:  # it may have begun before the log
            bought[visit.user].update(line.item for event in visit.events for line in event.lines)
            addresses |= {visit.user for event in visit.events if event.type == "identify"}
            continue
        for event in visit.events:
            seen[event.type] += 1
            if event.type == "product_view":
                viewed.add(event.item)
                at = event.item
            elif event.type == "click":
                assert event.item == at
            elif event.type == "cart_add":
                assert event.item in viewed
                cart.append(event.item)
            elif event.type == "purchase":
                # Two visits of a user with less than four hours between them are one here. The last cart is bought.
                assert [line.item for line in event.lines] == cart[-len(event.lines) :]
                assert event.amount == sum(line.quantity * line.price for line in event.lines) > 0
                assert visit.user in addresses
                bought[visit.user].update(line.item for line in event.lines)
            elif event.type == "identify":
                addresses.add(visit.user)
            elif event.type == "consent":
                assert visit.user in addresses
            elif event.type == "rating":
                assert event.item in bought[visit.user]
    assert seen.keys() == {
        "page_view", "product_view", "click", "cart_add", "purchase", "identify", "consent", "rating"
    }  # fmt: skip


def test_views_clicks_and_pages_are_as_frequent_as_in_the_data(shop: list[Event]) -> None:
    found = statistics(VisitLoad(events=60_000))

    assert found.events == len(shop)
    # 49% of the events are clicks: 71% of those in visits as of trivago, which have three quarters of all events.
    assert 0.40 < found.types["click"] < 0.60
    assert 0.30 < found.types["product_view"] < 0.45
    assert 0.05 < found.types["page_view"] < 0.12
    assert found.types["cart_add"] > 2 * found.types["purchase"] > 0


def test_many_visitors_are_in_the_shop_at_the_same_time(shop: list[Event]) -> None:
    visits = visits_of(shop)
    begins = np.sort([visit.events[0].at for visit in visits])
    ends = np.sort([visit.events[-1].at for visit in visits])
    moments = np.linspace(shop[0].at, shop[-1].at, 102)[1:-1]
    here = np.searchsorted(begins, moments, side="right") - np.searchsorted(ends, moments, side="right")
    spent = sum(visit.events[-1].at - visit.events[0].at for visit in visits)

    assert here.min() > 0
    assert here.mean() == pytest.approx(spent / (shop[-1].at - shop[0].at), rel=0.25)  # Little's law
    assert statistics(VisitLoad(events=60_000)).at_a_time > 5
    # Between two events of a visit, others often act.
    assert sum(before.user != after.user for before, after in pairwise(shop)) > 0.4 * len(shop)


def test_a_busy_shop_is_busy_from_the_first_second() -> None:
    rate, several = 2_000, 20_000
    events = events_of(VisitLoad(events=several, days=several / rate * 1e3 / DAY))
    halves = events[: several // 2], events[several // 2 :]
    users = [len({event.user for event in half}) for half in halves]

    assert (events[-1].at - events[0].at) / 1e3 == pytest.approx(several / rate, rel=0.3)
    assert users[0] == pytest.approx(users[1], rel=0.15)
    assert users[0] > 4_000
    # Most visitors are in the midst of a visit, and do not begin one.
    assert sum(event.type == "identify" for event in halves[0]) < 0.05 * several / 2


def test_the_memory_of_the_generator_does_not_grow_with_the_number_of_events() -> None:
    def peak(events: int) -> int:
        tracemalloc.start()
        try:
            for _ in VisitLoad(events=events, users=2_000, days=events / 20_000):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(30_000) - peak(10_000) < 500_000  # 25 bytes for each of the additional events


def test_users_follow_from_events_and_days_unless_they_are_given() -> None:
    assert VisitLoad(events=60_000, days=3.0).known_users == pytest.approx(
        VisitLoad(events=120_000, days=6.0).known_users, rel=0.01
    )
    assert VisitLoad(events=60_000, users=7).known_users == 7
    assert VisitLoad(events=60_000, visits_per_purchase=10.0).known_users == pytest.approx(
        2 * VisitLoad(events=60_000).known_users, rel=0.01
    )


def test_a_fifth_of_the_visitors_signs_in(shop: list[Event]) -> None:
    visits = [visit for visit in visits_of(shop) if visit.events[0].at > START_MS + 4 * HOUR]
    first = [next((event.type for event in visit.events if event.type != "rating"), "") for visit in visits]

    assert first.count("identify") / len(first) == pytest.approx(ACCOUNT_SHARE, abs=0.06)


def test_a_load_has_a_title_and_figures_without_a_load_are_of_single_events() -> None:
    assert title_of({"load": "visits"}) == "visits"
    assert title_of({"load": "visits-10"}) == "visits, 10 for each purchase"
    assert title_of({}) == title_of({"load": Workload.SINGLE}) == "single events"


@pytest.mark.parametrize("workload", [Workload.VISITS, Workload.SINGLE])
def test_each_event_of_the_open_loop_says_where_its_time_is(workload: Workload) -> None:
    load = open_loop.OpenLoop(rate=200, seconds=1.0, partitions=8, seed=1, workload=workload)

    found = list(open_loop.others(load))

    assert len(found) == 1_200
    for _, value, at in found:
        assert value.count(at) == 1
        assert decode_event(value.replace(at, b'"at":5', 1)).at == 5
        assert decode_event(value).origin == "live"


def test_a_kind_follows_another_only_if_it_does_so_in_the_data() -> None:
    visitors = ShopVisitors(fitted(), float("inf"), Random(1), lambda: 1)
    pairs = set[tuple[Kind, Kind]]()
    for _ in range(2_000):
        visitor = visitors.begin(0)
        visitors.advance(visitor, begins=True)
        assert visitor.kind in ("page", "view")
        while visitor.left > 1:
            visitor.left -= 1
            before = visitor.kind
            visitors.advance(visitor)
            pairs.add((before, visitor.kind))
    assert pairs == {(before, after) for before in ("page", "view", "click") for after in ("page", "view", "click")}
