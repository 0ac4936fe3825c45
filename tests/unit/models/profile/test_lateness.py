from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InvalidConfiguration
from models.events import Event, OrderLine, encode_event
from models.log import Control, Tick, opening
from models.profile.codec import unpack
from models.profile.lateness import MAX_CHANGES, MAX_NAMES, MAX_SESSIONS, SESSION_GAP_MS
from models.profile.orders import MAX_ORDERS
from models.profile.reducers import Cutoffs
from models.profile.state import CartLine
from models.units import DAY, HOUR, MINUTE
from tests.support.configured_versions import settings_version
from tests.support.event_logs import START, PartitionRecord, fold_log, shoppers, written
from tests.support.facts import assert_same, event, facts_after, facts_of

WITHIN = HOUR
"""The default of ``events.order_within``."""

ITEMS = ("lamp", "mug", "rug")
KINDS = ("page_view", "click", "cart_add", "cart_remove", "purchase", "line", "refund", "identify", "forget", "rating")


class Happening(NamedTuple):
    """An action of a user.

    Attributes
    ----------
    minutes
        Minutes since the previous action.
    kind
        Type of its event, ``line`` for a further line of an order, or ``forget`` for the removal of a trait.
    item
        Number of the item.
    delay
        Minutes from its time to its arrival.
    """

    minutes: int
    kind: str
    item: int
    delay: int


happenings = st.lists(
    st.builds(Happening, st.integers(1, 90), st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 60)),
    min_size=8,
    max_size=40,
)


def events_of(what: list[Happening]) -> list[tuple[Event, int]]:
    """Return the events in the order of time, each with its time of arrival."""
    events, at, order = [], START, START
    for number, (minutes, kind, item, delay) in enumerate(what):
        at += minutes * MINUTE
        if kind == "purchase":
            order = at
        event = _event(number, kind, ITEMS[item], order if kind == "line" else at)
        events.append((event, event.at + delay * MINUTE))
    return sorted(events, key=lambda pair: pair[0].at)


def _event(number: int, kind: str, item: str, at: int) -> Event:
    common: dict[str, Any] = {"id": f"m{number}", "user": "u", "at": at}
    if kind in ("purchase", "line"):  # a further line of an order has the order's time
        lines = (OrderLine(item, 1, 5, item),)
        return Event(**common, type="purchase", order=f"o{at}", amount=5, lines=lines)
    if kind in ("identify", "forget"):
        return Event(**common, type="identify", traits={item: None if kind == "forget" else f"{item}{number}"})
    if kind == "rating":
        return Event(**common, type="rating", item=item, rating=4.0, category=item)
    more = {"item": item, "category": item, "quantity": 1 + number % 3} if kind not in ("page_view", "refund") else {}
    return Event(**common, type=kind, amount=number, **more)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(happenings)
def test_events_that_arrive_in_any_order_within_the_bound_give_the_same_facts(what: list[Happening]) -> None:
    events = events_of(what)
    end = events[-1][0].at + 3 * DAY

    in_order = facts_after([(event, event.at) for event, _ in events], end)
    shuffled = facts_after(sorted(events, key=lambda pair: pair[1]), end)

    assert_same(shuffled, in_order)
    assert shuffled.window is None or not shuffled.sessions, "a timer empties the window when all sessions are over"


@settings(max_examples=100, deadline=None)
@given(happenings, st.integers(1, 20))
def test_the_events_read_so_far_are_always_in_order(what: list[Happening], read: int) -> None:
    arrivals = sorted(events_of(what), key=lambda pair: pair[1])[:read]
    end = arrivals[-1][1]

    shuffled = facts_after(arrivals, end)
    in_order = facts_after(sorted(((event, event.at) for event, _ in arrivals), key=lambda pair: pair[1]), end)

    assert_same(shuffled, in_order)


@pytest.mark.parametrize("seed", range(3))
def test_a_log_out_of_order_cut_into_any_batches_gives_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    moments = [
        (content.at + rng.randrange(12 * HOUR) if isinstance(content, Event) else content.at, number, content)
        for number, content in enumerate(shoppers(seed, users=6, days=6))
        if isinstance(content, Event | Tick)
    ]
    log = written([opening("feeder"), *(content for _, _, content in sorted(moments, key=lambda m: m[:2]))])

    state, outputs = fold_log(log, itertools.repeat(1))
    other, _ = fold_log(log, iter(lambda: rng.randrange(1, 90), None), restart_every=3)

    assert (other.records, other.memo) == (state.records, state.memo)
    assert sum(output.counts.get(("events_late",), 0) for output in outputs) > 0


LATE = Cutoffs(late_before=START, refused_before=START - 2 * DAY)


def test_late_events_are_counted_and_replace_nothing_that_is_newer() -> None:
    filled = event("cart_add", START + 9, item="mug", quantity=2)
    late = [
        event("purchase", START - DAY, amount=7, order="o1", lines=(OrderLine("rug"),)),
        event("cart_add", START - DAY, item="lamp"),
        event("rating", START - DAY, item="lamp", rating=5.0),
    ]

    facts = facts_of(event("purchase", START + 8, amount=5, order="o2"), filled, *late, cutoffs=LATE)

    assert (facts.orders, facts.spent, facts.ratings) == (2, {"USD": 12}, 1)
    assert facts.hours == [5, *([0] * 23)]
    assert (facts.first_seen, facts.last_seen, facts.sessions) == (START - DAY, START + 9, 1)
    assert facts.cart == {"mug": CartLine(2, 0)}
    assert [touch.item for touch in facts.recent] == ["rug", "lamp", "lamp", "mug"]


def test_old_events_that_are_the_newest_of_their_kind_are_put_in_order() -> None:
    phone = [event("cart_add", START - DAY + n * MINUTE, item=f"i{n}") for n in range(5)]

    facts = facts_of(*phone, event("purchase", START - DAY + 9 * MINUTE, order="o1"), cutoffs=LATE)

    assert (facts.sessions, facts.session_at, facts.last_seen) == (1, START - DAY, START - DAY + 9 * MINUTE)
    assert (facts.cart, facts.orders) == ({}, 1)
    assert facts.window is None, "no event that is in time can precede them"


def test_a_removed_trait_is_not_set_again_by_an_older_event() -> None:
    said = event("identify", START - DAY, traits={"phone": "+49151", "city": "Bonn"})
    taken = event("identify", START + 1, traits={"phone": None})

    for order in ([said, taken], [taken, said]):
        assert facts_of(*order, cutoffs=LATE).traits == {"city": "Bonn"}


def test_a_forced_event_sets_only_traits_that_have_no_newer_value() -> None:
    newer = event("identify", START - DAY, traits={"email": "new@example.org"})
    forced = event("identify", START - 9 * DAY, traits={"email": "old@example.org", "city": "Bonn"}, forced=True)

    facts = facts_of(newer, forced, cutoffs=LATE)

    assert facts.traits == {"email": "new@example.org", "city": "Bonn"}


def test_mixed_lines_of_two_orders_are_two_orders() -> None:
    lines = [event("purchase", START + n, order=f"o{n % 2}", amount=1) for n in range(10)]

    facts = facts_of(*lines, cutoffs=LATE)

    assert (facts.orders, facts.spent) == (2, {"USD": 10})


def test_the_recent_history_for_reordering_is_bounded() -> None:
    nothing_passes = Cutoffs(late_before=0, refused_before=0)
    many = [event("page_view", START + n * 2 * SESSION_GAP_MS) for n in range(3 * MAX_SESSIONS)]
    many += [event("cart_add", START + n, item="mug") for n in range(3 * MAX_CHANGES)]
    many += [event("purchase", START + n, order=f"o{n}") for n in range(200)]
    many += [event("identify", START + n, traits={f"{n:03}" + "x" * 90: None}) for n in range(200)]

    facts = facts_of(*many, cutoffs=nothing_passes)

    window = facts.window
    assert window is not None
    assert len(window.visits) <= 2 * MAX_SESSIONS
    assert len(window.changes) <= MAX_CHANGES
    assert len(facts.known_orders) == MAX_ORDERS
    assert sum(map(len, window.traits)) <= MAX_NAMES
    assert facts.sessions == 3 * MAX_SESSIONS
    assert facts.orders == 200


def test_a_trait_whose_time_was_forgotten_is_not_replaced_by_an_older_value() -> None:
    said = event("identify", START, traits={"plan": "pro"})
    many = [event("identify", START + n, traits={f"{n:03}" + "x" * 90: None}) for n in range(1, 201)]
    older = event("identify", START - 1, traits={"plan": "free", "city": "Bonn"})
    newer = event("identify", START + 300, traits={"plan": "team"})

    facts = facts_of(said, *many, older, cutoffs=LATE)

    assert facts.window is not None
    assert "plan" not in facts.window.traits
    assert facts.traits == {"plan": "pro", "city": "Bonn"}
    assert facts_of(said, *many, older, newer, cutoffs=LATE).traits["plan"] == "team"


def test_an_event_cannot_have_happened_after_it_was_read() -> None:
    ahead = event("click", START + 20 * HOUR, item="mug")
    live, _ = fold_log([PartitionRecord(0, START, b"u", encode_event(ahead))], itertools.repeat(9))
    fed, _ = fold_log(written([opening("feeder"), Tick(at=START), ahead]), itertools.repeat(9))

    assert unpack(live.records[b"u"]).facts.last_seen == START
    assert unpack(fed.records[b"u"]).facts.last_seen == START + 20 * HOUR, "a feeder's clock goes in steps"


def test_the_bound_is_a_setting() -> None:
    jumbled = [event("page_view", START + 5 * HOUR), event("page_view", START + HOUR), event("page_view", START)]
    sessions = {}
    for bound in ("1h", "6h"):
        log: list[Event | Control] = [opening("feeder"), settings_version(1, order_within=bound)]
        state, outputs = fold_log(written([*log, Tick(at=START + 5 * HOUR), *jumbled]), itertools.repeat(9))
        late = sum(output.counts.get(("events_late",), 0) for output in outputs)
        sessions[bound] = unpack(state.records[b"u"]).facts.sessions, late

    assert sessions == {"1h": (1, 2), "6h": (3, 0)}


@pytest.mark.parametrize(
    ("events", "path"),
    [
        ({"horizon": "30m"}, "events.horizon"),
        ({"horizon": "31d"}, "events.horizon"),
        ({"order_within": "49h"}, "events.order_within"),
        ({"horizon": "2h", "order_within": "3h"}, "events.order_within"),
    ],
)
def test_settings_outside_their_bounds_are_refused(events: dict[str, str], path: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        settings_version(1, **events)

    assert caught.value.path == path


def test_the_kept_times_of_consent_traits_are_bounded_for_any_number_of_spellings() -> None:
    name = "unsubscribed_from_marketing"
    spelled = ["".join(letter + "." * (n >> i & 1) for i, letter in enumerate(name)) for n in range(1_000)]
    many = [
        event("identify", START + n, traits={one: None, "email": "ada@example.org"}) for n, one in enumerate(spelled)
    ]

    window = facts_of(*many, cutoffs=Cutoffs(late_before=0, refused_before=0)).window

    assert window is not None
    assert sum(map(len, window.traits)) <= MAX_NAMES
    assert window.traits["email"] == START + 999
