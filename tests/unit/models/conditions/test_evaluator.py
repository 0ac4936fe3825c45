from typing import Any

import msgspec
import pytest

from models.conditions.budget import MAX_STATE_BYTES
from models.conditions.clauses import NoneOf, SegmentClause, SegmentRule
from models.conditions.evaluator import Evaluator, View
from models.conditions.leaf import NoValues, Person
from models.conditions.ordering import MAX_CHAIN
from models.conditions.parsing import parse_condition, parse_segments
from models.conditions.program import ConditionProgram
from models.conditions.schema import MAX_DEPTH
from models.conditions.truth import Truth
from models.conditions.user_state import UserConditions
from models.conditions.varieties import MAX_VALUES
from models.errors import InvalidConfiguration
from models.events import Event, OrderLine
from models.places.zones import zone
from models.units import DAY, HOUR, MINUTE
from tests.support.condition_steps import Scenario, at

NOON = at("2026-03-01T12:00")


def test_an_event_stops_counting_exactly_when_the_window_has_passed() -> None:
    run = Scenario({"s": {"event": "A", "within": "7d"}}).event("A", NOON)
    assert run.due == NOON + 7 * DAY
    assert run.pass_to(NOON + 7 * DAY - 1).is_in("s")
    assert not run.pass_to(NOON + 7 * DAY).is_in("s")
    assert run.moves == [(NOON, "s", True), (NOON + 7 * DAY, "s", False)]


def test_an_event_that_leaves_as_another_enters_gives_no_false_membership() -> None:
    run = Scenario({"s": {"event": "A", "times": {"at_least": 2}, "within": "1d"}})
    run.event("A", NOON).event("A", NOON + DAY)
    assert run.moves == []


def test_absence_counts_from_the_first_event_of_any_kind_and_then_from_the_newest_such_event() -> None:
    run = Scenario({"s": {"absent": "Bought", "for": "3d"}}).event("Viewed", NOON)
    assert run.due == NOON + 3 * DAY
    run.event("Bought", NOON + DAY).pass_to(NOON + 9 * DAY)
    assert run.moves == [(NOON + 4 * DAY, "s", True)]
    run.event("Bought", NOON + 9 * DAY)
    assert run.moves[1:] == [(NOON + 9 * DAY, "s", False)]


def test_a_new_absence_is_unknown_until_its_window_is_covered() -> None:
    run = Scenario({"s": {"absent": "Bought", "for": "90d"}}, covered_from=NOON)
    run.user.state.known_since = NOON - 400 * DAY
    run.event("Viewed", NOON + DAY)
    why = run.why("s")
    assert why.tree.truth is None
    assert why.tree.unknown_until == NOON + 90 * DAY
    assert not run.is_in("s")
    run.pass_to(NOON + 90 * DAY)
    assert run.moves == [(NOON + 90 * DAY, "s", True)]


def test_a_clause_that_has_seen_enough_is_true_although_its_window_is_not_covered() -> None:
    run = Scenario({"enough": {"event": "A", "times": {"at_least": 2}, "within": "ever"}}, covered_from=NOON)
    run.user.state.known_since = NOON - DAY
    run.event("A", NOON + 1)
    assert run.why("enough").tree.truth is None
    run.event("A", NOON + 2)
    assert run.is_in("enough")


def test_a_late_event_counts_at_its_own_time_and_changes_membership_from_now_on() -> None:
    run = Scenario({"s": {"event": "A", "times": {"at_least": 2}, "within": "1d"}})
    run.event("A", NOON).event("A", NOON + 2 * HOUR, at=NOON - HOUR)
    assert run.moves == [(NOON + 2 * HOUR, "s", True)]
    run.pass_to(NOON + 2 * DAY)
    assert run.moves[1:] == [(NOON - HOUR + DAY, "s", False)]


def test_a_calendar_day_has_23_hours_when_clocks_go_forward() -> None:
    berlin, midnight = zone("Europe/Berlin"), at("2026-03-28T23:00")
    run = Scenario({"s": {"event": "A", "within": {"calendar": "day"}}}, berlin)
    run.event("A", midnight).pass_to(midnight + 2 * DAY)
    assert run.moves == [(midnight, "s", True), (midnight + 23 * HOUR, "s", False)]


def test_a_changed_zone_evaluates_calendar_clauses_at_once() -> None:
    run = Scenario({"s": {"event": "A", "within": {"calendar": "day"}}})
    run.event("A", NOON)
    run.move_to_zone(zone("Pacific/Kiritimati"), NOON + HOUR)  # 14 hours ahead: still the same day there
    assert run.is_in("s")
    run.pass_to(NOON + 11 * HOUR).event("A", NOON + 11 * HOUR)
    run.move_to_zone(zone("America/Santiago"), NOON + 21 * HOUR)
    assert run.moves[-1] == (NOON + 21 * HOUR, "s", False)


def test_a_changed_zone_can_bring_back_the_week_before() -> None:
    run = Scenario({"s": {"event": "A", "times": {"exactly": 3}, "within": {"calendar": "week"}}})
    friday, monday = at("2026-04-24T12:00"), at("2026-04-27T01:00")
    run.event("A", friday).event("A", friday + 1).event("A", monday)
    assert run.moves == []
    run.move_to_zone(zone("America/Havana"), monday + HOUR)  # there it is still Sunday
    assert run.is_in("s")


def test_money_is_compared_within_one_currency_and_lines_of_an_order_add_up() -> None:
    spent = {"event": "purchase", "sum": "line.amount", "currency": "EUR", "at_least": 25, "within": "90d"}
    run = Scenario({"lamps": {**spent, "where": {"line.category": "lamps"}}})
    lines = (OrderLine("a", 2, 10_000_000, "lamps"), OrderLine("b", 1, 90_000_000, "desks"))
    run.event("", NOON, event_type="purchase", lines=lines, amount=110_000_000, currency="EUR")
    run.event("", NOON + 1, event_type="purchase", lines=lines, amount=110_000_000, currency="USD")
    assert run.why("lamps").tree.value == "20"
    run.event("", NOON + 2, event_type="purchase", lines=lines, amount=110_000_000, currency="EUR")
    assert run.is_in("lamps")


def test_values_with_many_events_are_kept_when_there_are_too_many_values() -> None:
    clause = {"event": "Viewed", "distinct": "item", "each": {"at_least": 3}, "at_least": 2, "within": "ever"}
    run = Scenario({"s": clause})
    for number in range(6):
        run.event("Viewed", NOON + number, item=f"often {number % 2}")
    for number in range(2 * MAX_VALUES):
        run.event("Viewed", NOON + HOUR + number, item=f"once {number}")

    assert run.is_in("s")
    assert run.why("s").tree.value.startswith("2: often 0")


def test_two_products_bought_at_least_three_times_each() -> None:
    clause = {"event": "purchase", "distinct": "line.item", "each": {"at_least": 3}, "at_least": 2, "within": "90d"}
    run = Scenario({"s": clause})
    for i in range(3):
        lines = (OrderLine("a"), OrderLine("b")) if i else (OrderLine("a"), OrderLine("a"))
        run.event("", NOON + i, event_type="purchase", lines=lines)
    assert not run.is_in("s")
    run.event("", NOON + 3, event_type="purchase", lines=(OrderLine("b"),))
    assert run.is_in("s")


def test_a_sequence_matches_the_properties_of_an_earlier_step_and_ends_by_what_must_not_follow() -> None:
    clause = {
        "sequence": [
            {"event": "Checkout Started", "as": "c"},
            {"event": "Payment Failed", "where": {"checkout": {"same_as": "c.checkout"}}, "at_most_after": "30m"},
        ],
        "without": "purchase",
        "within": "1d",
    }
    run = Scenario({"gave_up": clause})
    run.event("Checkout Started", NOON, checkout="c1").event("Checkout Started", NOON + 1, checkout="c2")
    run.event("Payment Failed", NOON + 2, checkout="c3")
    run.event("Payment Failed", NOON + 31 * MINUTE, checkout="c1")
    assert run.moves == []
    run.event("Payment Failed", NOON + 29 * MINUTE + 2 * MINUTE, at=NOON + 29 * MINUTE, checkout="c1")
    assert run.is_in("gave_up")
    run.event("", NOON + HOUR, event_type="purchase")
    assert not run.is_in("gave_up")


def test_a_score_with_hysteresis_holds_until_it_is_below_the_lower_bound() -> None:
    run = Scenario({"s": {"score": "churn", "horizon": "30d", "at_least": 0.6, "until_below": 0.5}}).event("A", NOON)
    for i, value in enumerate((0.55, 0.6, 0.5, 0.49, 0.55, None)):
        run.set("score", "churn@30d", value, NOON + i + 1)
    assert run.moves == [(NOON + 2, "s", True), (NOON + 4, "s", False)]


def test_a_time_comes_and_passes_by_timers_alone() -> None:
    run = Scenario(
        {
            "soon": {"trait": "ends", "comes_within": "3d"},
            "over": {"trait": "ends", "passed_since": "1d"},
            "birthday": {"trait": "born", "anniversary": "day"},
        }
    )
    run.event("A", NOON).set("trait", "ends", "2026-03-10T12:00:00Z", NOON).set("trait", "born", "1990-03-20", NOON)
    run.pass_to(NOON + 30 * DAY)
    assert run.moves == [
        (at("2026-03-07T12:00"), "soon", True),
        (at("2026-03-10T12:00"), "soon", False),
        (at("2026-03-11T12:00"), "over", True),
        (at("2026-03-20T00:00"), "birthday", True),
        (at("2026-03-21T00:00"), "birthday", False),
    ]


def test_a_missing_value_is_false_and_only_not_makes_it_true() -> None:
    run = Scenario({"s": {"not": {"trait": "plan", "is": "free"}}, "t": {"trait": "plan", "is": "free"}})
    run.event("A", NOON)
    assert run.moves == [(NOON, "s", True)]


def test_membership_for_a_duration_is_decided_by_a_timer_and_segments_come_in_order() -> None:
    run = Scenario(
        {
            "loyal": {"segment": "active", "for": "2d"},
            "active": {"event": "A", "within": "3d"},
            "both": {"all": [{"segment": "active"}, {"segment": "loyal"}]},
        }
    )
    run.event("A", NOON).pass_to(NOON + 9 * DAY)
    assert run.moves == [
        (NOON, "active", True),
        (NOON + 2 * DAY, "loyal", True),
        (NOON + 2 * DAY, "both", True),
        (NOON + 3 * DAY, "active", False),
        (NOON + 3 * DAY, "loyal", False),
        (NOON + 3 * DAY, "both", False),
    ]


def test_segments_in_a_circle_are_refused() -> None:
    rules = [SegmentRule("a", NoneOf((SegmentClause("b"),))), SegmentRule("b", SegmentClause("a"))]
    with pytest.raises(InvalidConfiguration, match=r"segments\[0\]\.when: found 'a -> b -> a'"):
        ConditionProgram(rules)


def test_a_long_chain_of_segments_is_compiled_without_recursion_and_each_is_judged_once() -> None:
    chain: list[dict[str, Any]] = [{"name": "s 0", "when": {"bucket": "x", "below": "50%"}}]
    for i in range(1, 1500):
        before = {"segment": f"s {i - 1}"}
        chain.append({"name": f"s {i}", "when": {"any": [before, {"not": before}]}})
    rules = [SegmentRule(one["name"], parse_condition(one["when"], "when")) for one in chain]
    program = ConditionProgram(rules[::-1])
    assert [segment.name for segment in program.segments] == [one["name"] for one in chain]
    assert program.fresh == tuple(range(1500))


def longest_chain() -> dict[str, Any]:
    """Return the longest chain of segments, each as deep as conditions may be; the last has a clause of its own."""
    chain: dict[str, Any] = {"s 0": {"trait": "a", "is": 1}}
    for i in range(1, MAX_CHAIN):
        when: dict[str, Any] = {"segment": f"s {i - 1}"}
        for depth in range(MAX_DEPTH - 2):
            when = {("all", "any")[depth % 2]: [when]}
        if i == MAX_CHAIN - 1:
            when = {"any": [when, {"all": [{"segment": f"s {i - 1}"}, {"trait": "b", "is": 1}]}]}
        chain[f"s {i}"] = when
    return chain


def test_the_longest_chain_of_the_deepest_conditions_is_evaluated_without_recursion() -> None:
    run = Scenario(longest_chain()).event("A", NOON)
    last = f"s {MAX_CHAIN - 1}"

    run.set("trait", "b", 1, NOON + 1)  # only the last segment is decided, and it needs all others
    assert run.moves == []
    assert run.why(last).tree.truth is False
    run.set("trait", "a", 1, NOON + 2)
    assert [(at, has_entered) for at, _, has_entered in run.moves] == [(NOON + 2, True)] * MAX_CHAIN
    assert run.why(last).tree.truth is True
    run.set("trait", "a", 0, NOON + 3)
    assert [(at, has_entered) for at, _, has_entered in run.moves[MAX_CHAIN:]] == [(NOON + 3, False)] * MAX_CHAIN


def test_each_segment_of_a_chain_is_decided_once_although_it_is_needed_twice() -> None:
    chain: dict[str, Any] = {"s 0": {"trait": "a", "is": 1}}
    for i in range(1, MAX_CHAIN):
        before = {"segment": f"s {i - 1}"}
        chain[f"s {i}"] = {"all": [{"any": [before, {"trait": f"t{i}", "is": 1}]}, {"not": {"not": before}}]}
    run, decided = Scenario(chain).event("A", NOON), list[int]()

    class CountingView(View):
        def decide(self, index: int) -> Truth:
            decided.append(index)
            return super().decide(index)

    view = CountingView(run.evaluator.program, run.user, run.person, NOON + 1)

    assert view.segment(MAX_CHAIN - 1, 0) is False
    assert decided == list(range(MAX_CHAIN))


def test_a_chain_that_is_too_long_is_refused_by_the_name_at_its_end() -> None:
    chain = [{"name": name, "when": when} for name, when in longest_chain().items()]
    more = {"name": "more", "when": {"segment": f"s {MAX_CHAIN - 1}"}}

    with pytest.raises(InvalidConfiguration, match=f"'more' at the end of {MAX_CHAIN + 1} segments.*at most 100"):
        parse_segments([more, *chain])


def test_an_event_that_no_clause_names_touches_nothing() -> None:
    evaluator = Evaluator(ConditionProgram(parse_segments([{"name": "s", "when": {"event": "A", "within": "1d"}}])))
    user, person = UserConditions(), Person("u", NoValues())
    event = Event(id="m1", user="u", type="page_view", at=NOON)
    assert evaluator.observe(user, event, NOON, person) is None
    assert (user.state.entries, user.state.dues) == ({}, {})


def test_a_segment_of_five_clauses_adds_at_most_40_bytes_to_a_user_who_does_nothing_that_it_asks_for() -> None:
    clauses = [
        {"event": "A", "times": {"at_least": 3}, "within": "7d"},
        {"absent": "A", "for": "3d"},
        {"trait": "plan", "is": "x"},
        {"sequence": [{"event": "A"}, {"event": "B"}], "within": "1d"},
        {"event": "A", "sum": "worth", "at_least": 5, "within": "90d"},
    ]
    sizes = []
    for segments in ({}, {"all": {"all": clauses}}, {"any": {"any": clauses}}):
        run = Scenario(segments)
        for i in range(30):
            run.event("Other", NOON + i * DAY)
        run.user.settle()
        sizes.append(len(msgspec.msgpack.encode((run.user.state, run.user.memberships))))
    assert max(sizes) - sizes[0] <= 40


def test_a_user_with_very_many_events_has_a_bounded_state_that_says_that_it_is_approximate() -> None:
    segments = {f"s{i}": {"event": "A", "sum": "worth", "at_least": 10**6 + i, "within": "365d"} for i in range(30)}
    run = Scenario(segments)
    for i in range(300):
        run.event("A", NOON + i * MINUTE, worth=1)
    run.user.settle()
    size = sum(map(len, run.user.state.entries.values()))
    assert 20_000 < size < MAX_STATE_BYTES
    trees = [run.why(name).tree for name in segments]
    assert any(tree.is_approximate for tree in trees)
    assert {tree.value for tree in trees} == {"300"}


def test_why_shows_value_deciding_event_next_change_and_the_smallest_set_of_failing_clauses() -> None:
    viewed = {"event": "Viewed", "times": {"at_least": 3}, "within": "7d"}
    free = {"trait": "plan", "is": "free"}
    run = Scenario(
        {"s": {"all": [viewed, {"absent": "Bought", "for": "30d"}, {"any": [free, {"all": [free, viewed]}]}]}}
    )
    run.event("Viewed", NOON).event("Viewed", NOON + HOUR).set("trait", "plan", "free", NOON + HOUR)
    why = run.why("s")
    assert why.since is None
    assert why.failing == (viewed, {"absent": "Bought", "for": "30d"})
    count = why.tree.of[0]
    assert (count.value, count.truth, count.changes_at) == ("2", False, None)
    assert (count.decided_at, count.decided_by is not None) == (NOON, True)
    assert why.tree.of[1].changes_at == NOON + 30 * DAY


def test_new_conditions_keep_the_entries_of_unchanged_clauses() -> None:
    viewed = {"event": "Viewed", "times": {"at_least": 2}, "within": "7d"}
    run = Scenario({"old": viewed, "gone": {"event": "Gone", "within": "7d"}}).event("Viewed", NOON).event("Gone", NOON)
    other = Scenario({"new": {"all": [viewed]}, "old": viewed})
    step = other.evaluator.adopt(run.user, NOON + 1, run.person)
    assert other.evaluator.decide(run.user, step, NOON + 1, run.person) == []
    event = Event(id="m9", user="user", type="custom", name="Viewed", at=NOON + 2)
    observed = other.evaluator.observe(run.user, event, NOON + 2, run.person)
    assert observed is not None
    moves = other.evaluator.decide(run.user, observed, NOON + 2, run.person)
    assert [(move.segment, move.clauses) for move in moves] == [("new", (run.key("old"),)), ("old", (run.key("old"),))]
    run.user.settle()
    assert list(run.user.state.entries) == [run.key("old")]
