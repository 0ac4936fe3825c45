"""``python -m tests.benchmarks.conditions``: what conditions cost an event and a user, as their number grows.

The events touch the same five segments, while the number of all segments grows. Each event decodes the user's state,
evaluates, decides, computes the next timer, and encodes the state. Both sizes take turns in one process, because the
machine is noisy.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from typing import Any

import msgspec

from models.conditions.clauses import SegmentRule
from models.conditions.evaluator import Evaluator
from models.conditions.leaf import NoValues, Person
from models.conditions.parsing import parse_segments
from models.conditions.periods import NEVER
from models.conditions.program import ConditionProgram
from models.conditions.steps import ValueChange
from models.conditions.user_state import ClauseState, Memberships, UserConditions
from models.events import Event
from models.units import DAY, HOUR

START = 1_700_000_000_000
FEW, MANY = 5, 500
ROUNDS, EVENTS = 15, 2_000

_TOUCHED: tuple[dict[str, Any], ...] = (
    {"all": [{"event": "Viewed", "times": {"at_least": 3}, "within": "7d"}, {"absent": "Bought", "for": "30d"}]},
    {"event": "Viewed", "sum": "worth", "at_least": 500, "within": "30d"},
    {"event": "Viewed", "distinct": "category", "at_least": 5, "within": {"calendar": "month"}},
    {"sequence": [{"event": "Viewed"}, {"event": "Viewed"}], "within": "1d", "without": "Bought"},
    {"all": [{"event": "Viewed", "last": {"at_most": "7d"}}, {"score": "churn", "at_least": 0.6, "until_below": 0.5}]},
)


def segments(number: int) -> tuple[SegmentRule, ...]:
    """Return segments of mixed kinds, of which the first five are touched by the events."""
    found = [{"name": f"touched {i}", "when": when} for i, when in enumerate(_TOUCHED)]
    for i in range(number - FEW):
        mixed: tuple[dict[str, Any], ...] = (
            {"event": f"Other {i}", "times": {"at_least": 1 + i % 5}, "within": f"{1 + i % 60}d"},
            {"all": [{"event": f"Other {i}", "within": "ever"}, {"absent": f"Other {i + 1}", "for": f"{1 + i % 90}d"}]},
            {"score": "churn", "at_least": 0.9 + i / 10_000, "until_below": 0.8},
            {"all": [{"trait": "plan", "is": f"plan {i}"}, {"not": {"segment": "touched 1", "for": "14d"}}]},
            {"sequence": [{"event": f"Other {i}"}, {"event": f"Other {i + 2}"}], "within": "1d"},
            {
                "all": [
                    {"bucket": f"pilot {i}", "below": "10%"},
                    {"event": f"Other {i}", "sum": "worth", "at_least": 9, "within": "9d"},
                ]
            },
            {"trait": "ends", "comes_within": f"{1 + i % 9}d"},
        )
        found.append({"name": f"other {i}", "when": mixed[i % len(mixed)]})
    return parse_segments(found)


class ChurnValues(NoValues):
    """Values with a churn score."""

    churn = 0.0

    def value(self, subject: str, name: str) -> Any:
        return self.churn if subject == "score" else None


class Load:
    """Users, and the events that they get."""

    def __init__(self, number: int) -> None:
        self.evaluator = Evaluator(ConditionProgram(segments(number)))
        self.states: dict[int, bytes] = {}
        self.rng = random.Random(1)
        self.now = START
        self.moves = 0
        self.timers = 0
        self.dues: dict[int, int] = {}

    def run(self, number: int) -> float:
        """Fold events, and return the microseconds of CPU an event."""
        rng, evaluator, states, dues, values = self.rng, self.evaluator, self.states, self.dues, ChurnValues()
        decode = msgspec.msgpack.Decoder(tuple[ClauseState, Memberships]).decode
        encode = msgspec.msgpack.Encoder().encode
        events = [
            Event(
                id=f"m{self.now + i}",
                user="u",
                type="custom",
                name="Viewed",
                at=self.now + i * HOUR // 30,
                properties={"worth": rng.randint(1, 50), "category": f"c{rng.randint(0, 9)}"},
            )
            for i in range(number)
        ]
        begin = time.process_time()
        for i, event in enumerate(events):
            name, now = i % 300, event.at
            person = Person(f"user {name}", values, late_before=now - HOUR)
            content = states.get(name)
            user = UserConditions() if content is None else UserConditions(*decode(content))
            while (due := dues.get(name, NEVER)) <= now:
                step = evaluator.expire(user, due, person)
                if step is not None:
                    self.moves += len(evaluator.decide(user, step, due, person))
                dues[name] = evaluator.next_due(user, due, person)
                self.timers += 1
            values.churn, previous = 0.3 + i % 5 / 10, values.churn
            step = evaluator.observe(user, event, now, person)
            other = evaluator.revalue(user, [ValueChange("score", "churn", previous)], now, person)
            if step is not None and other is not None:
                step.dirty |= other.dirty
            step = step or other
            if step is not None:
                self.moves += len(evaluator.decide(user, step, now, person))
            dues[name] = evaluator.next_due(user, now, person)
            user.settle()
            states[name] = encode((user.state, user.memberships))
        spent = time.process_time() - begin
        self.now = events[-1].at + 1
        return spent / number * 1e6


def bytes_of_idle_user() -> float:
    """Return the bytes that a segment of five clauses adds to a user who does nothing that it asks for."""
    rules = []
    for i in range(100):
        clauses: list[dict[str, Any]] = [
            {"event": f"Other {i}", "times": {"at_least": 3}, "within": "7d"},
            {"absent": f"Other {i}", "for": f"{30 + i}d"},
            {"trait": f"trait {i}", "is": "x"},
            {"event": f"Other {i}", "sum": "worth", "at_least": 5, "within": "90d"},
            {"not": {"event": f"Other {i}", "distinct": "category", "at_least": 5, "within": {"calendar": "month"}}},
        ]
        rules.append({"name": f"segment {i}", "when": {("all", "any")[i % 2]: clauses}})
    sizes = []
    for parsed in ((), parse_segments(rules)):
        evaluator, user = Evaluator(ConditionProgram(parsed)), UserConditions()
        person = Person("user", NoValues())
        for day in range(60):
            now = START + day * DAY
            event = Event(id=f"m{day}", user="user", type="page_view", at=now)
            step = evaluator.observe(user, event, now, person)
            if step is not None:
                evaluator.decide(user, step, now, person)
        user.settle()
        sizes.append(len(msgspec.msgpack.encode((user.state, user.memberships))))
    return (sizes[1] - sizes[0]) / len(rules)


def main() -> None:
    """Print both figures."""
    few, many = Load(FEW), Load(MANY)
    pairs = []
    for _ in range(ROUNDS + 2):
        gc.collect()
        pairs.append((few.run(EVENTS), many.run(EVENTS)))
    pairs = pairs[2:]
    ratio = statistics.median(second / first for first, second in pairs)
    print(f"{FEW} segments: {statistics.median(first for first, _ in pairs):.1f} us an event")
    print(f"{MANY} segments: {statistics.median(second for _, second in pairs):.1f} us an event")
    print(f"ratio: {ratio:.3f}; moves: {few.moves} and {many.moves}; timers: {few.timers} and {many.timers}")
    print(
        f"a segment of five clauses adds {bytes_of_idle_user():.1f} bytes to a user who does nothing that it asks for"
    )


if __name__ == "__main__":
    main()
