import pytest

from models.conditions.clauses import AbsentClause, EventClause, GapLength
from models.conditions.gaps import DEFAULT_SCALE, GapScale, gap_length, resolved, scale_of, written_gaps
from models.conditions.parsing import parse_condition
from models.conditions.program import ConditionProgram
from models.conditions.writing import hash_of, plain
from models.errors import InvalidConfiguration
from models.units import DAY, HOUR
from tests.support.condition_steps import Scenario, at

NOON = at("2026-03-01T12:00")
ABSENT = {"absent": "purchase", "for": "1.5 p90 gaps"}
OFTEN = {"event": "purchase", "times": {"at_least": 4}, "within": "6 gaps"}


@pytest.mark.parametrize("written", [ABSENT, OFTEN])
def test_a_duration_in_gaps_is_written_as_it_was_read(written: dict[str, object]) -> None:
    assert plain(parse_condition(written, "when")) == written


@pytest.mark.parametrize("written", ["1 gap", "0.5 gaps", "2 p75 gaps", "12.5 p90 gaps"])
def test_gaps_are_read_and_written(written: str) -> None:
    gaps = gap_length(written)
    assert gaps is not None
    assert written_gaps(gaps) == written


@pytest.mark.parametrize(
    "written", ["0 gaps", "0.0 gaps", "-1 gap", "1.25 gaps", "2 p95 gaps", "2gaps", "gaps", "1000 gaps"]
)
def test_what_is_no_number_of_gaps_is_refused(written: str) -> None:
    assert gap_length(written) is None
    with pytest.raises(InvalidConfiguration, match=r"when\.for.*2 gaps"):
        parse_condition({"absent": "purchase", "for": written}, "when")


def test_only_clauses_whose_memory_does_not_depend_on_the_duration_may_have_gaps() -> None:
    clause = {"event": "purchase", "sum": "quantity", "at_least": 3, "within": "6 gaps"}
    with pytest.raises(InvalidConfiguration, match=r"when\.within: .*gaps are not for sum"):
        parse_condition(clause, "when")


def test_other_gaps_change_no_number_of_a_clause() -> None:
    conditions = [parse_condition(written, "when") for written in (ABSENT, OFTEN)]
    programs = [ConditionProgram(watched=conditions, scale=scale) for scale in (DEFAULT_SCALE, GapScale(1, 2, 3))]

    assert [*programs[0].leaves] == [*programs[1].leaves]
    for condition in conditions:
        assert isinstance(condition, AbsentClause | EventClause)
        assert hash_of(resolved(condition, DEFAULT_SCALE)) == hash_of(condition)


def test_a_clause_without_gaps_is_another_clause() -> None:
    assert hash_of(parse_condition(ABSENT, "when")) != hash_of(parse_condition({**ABSENT, "for": "135d"}, "when"))


def test_a_segment_may_ask_for_gaps() -> None:
    run = Scenario({"silent": {"absent": "Bought", "for": "2 gaps"}}).event("Viewed", NOON)
    assert run.due == NOON + 60 * DAY


def test_a_window_in_gaps_keeps_events_that_have_left_it() -> None:
    run = Scenario({"often": {"event": "Bought", "times": {"at_least": 2}, "within": "1 gap"}})
    run.event("Bought", NOON).event("Bought", NOON + DAY).pass_to(NOON + 40 * DAY)
    assert run.moves == [(NOON + DAY, "often", True), (NOON + 30 * DAY, "often", False)]
    leaf = run.evaluator.program.leaves[run.key("often")]
    entry = run.user.entry(leaf)

    assert entry is not None
    assert entry.times == [NOON, NOON + DAY]  # type: ignore[union-attr]  # a count keeps a series


def test_small_changes_of_the_population_give_the_same_scale() -> None:
    assert scale_of(29.6, 60, 90) == scale_of(30.1, 60.5, 89)
    assert scale_of(30, 60, 90) != scale_of(34, 60, 90)


@pytest.mark.parametrize("days", [0.001, 0.5, 3, 27.4, 100, 5000])
def test_a_rounded_gap_is_whole_hours_and_near_the_published_one(days: float) -> None:
    length = scale_of(days, days, days).median
    within = min(max(days * DAY, HOUR), 3650 * DAY)

    assert length % HOUR == 0
    assert abs(length - within) <= max(0.06 * within, HOUR)


def test_a_length_in_gaps_is_exact() -> None:
    assert DEFAULT_SCALE.length(GapLength(15)) == 45 * DAY
