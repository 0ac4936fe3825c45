"""The stated memory of a clause is an upper limit of what its entry takes."""

from __future__ import annotations

from models.conditions.costs import cost_of, cost_of_all, leaves_of
from models.conditions.evaluator import Evaluator
from models.conditions.leaf import NoValues, Person
from models.conditions.parsing import parse_condition, parse_segments
from models.conditions.program import ConditionProgram
from models.conditions.user_state import UserConditions
from models.events import Event
from tests.support.condition_runs import random_case

START = 1_770_000_000_000


def test_what_a_user_takes_is_within_the_stated_cost() -> None:
    for seed in range(150):
        case = random_case(seed, 4, 120)
        program = ConditionProgram(case.rules)
        evaluator, user, person = Evaluator(program), UserConditions(), Person("u", NoValues())
        seen: set[str] = set()
        now = 0
        for arrival in case.arrivals:
            now = max(now, arrival.now)
            if arrival.event is not None and arrival.event.id not in seen:
                seen.add(arrival.event.id)
                evaluator.observe(user, arrival.event, now, person)
        user.settle()
        costs = {key: cost_of(leaf.clause) for key, leaf in program.leaves.items()}
        for key, content in user.state.entries.items():
            assert len(content) <= costs[key].most
        total = cost_of_all(rule.when for rule in case.rules)
        assert total.clauses == len(program.leaves)
        assert total.bounded <= sum(cost.most for cost in costs.values())


def test_a_clause_in_two_segments_is_remembered_once_and_a_sum_grows_with_its_events() -> None:
    one, other = ({"event": name, "times": {"at_least": 3}, "within": "7d"} for name in "AB")
    added = {"event": "A", "sum": "x", "at_least": 3, "within": "7d"}
    segments = parse_segments([{"name": f"s {i}", "when": {"any": [one, other, added]}} for i in range(9)])

    cost = cost_of_all(segment.when for segment in segments)

    assert (cost.clauses, cost.growing, cost.each) == (3, 1, 28)
    (leaf,) = leaves_of(parse_condition(one, ""))
    assert cost.bounded == 2 * cost_of(leaf).most


def test_a_full_clause_takes_nearly_its_stated_cost() -> None:
    rules = parse_segments([{"name": "s", "when": {"event": "A", "times": {"at_least": 100}, "within": "900d"}}])
    program = ConditionProgram(rules)
    evaluator, user, person = Evaluator(program), UserConditions(), Person("u", NoValues())
    for i in range(200):
        at = START + i * 86_400_000
        evaluator.observe(user, Event(id=f"m{i}", user="u", type="custom", name="A", at=at), at, person)
    user.settle()

    ((key, content),) = user.state.entries.items()
    most = cost_of(program.leaves[key].clause).most
    assert most / 2 < len(content) <= most
