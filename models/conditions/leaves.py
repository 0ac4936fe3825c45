"""Choose the evaluation of each kind of clause."""

from __future__ import annotations

from models.conditions.ages import AbsentEvaluator, AgeEvaluator
from models.conditions.clauses import AbsentClause, BucketClause, Condition, EventClause, SequenceClause, ValueClause
from models.conditions.counts import TimesEvaluator
from models.conditions.leaf import LeafEvaluator
from models.conditions.periods import ALWAYS
from models.conditions.sequences import SequenceEvaluator
from models.conditions.sums import ExtremeEvaluator, SumEvaluator
from models.conditions.values import BucketEvaluator, HeldEvaluator, TimeEvaluator, ValueEvaluator
from models.conditions.varieties import DistinctEvaluator
from models.errors import InvalidConfiguration


def evaluator_of(key: int, clause: Condition, covered_from: int = ALWAYS) -> LeafEvaluator:
    """Return the evaluation of a clause."""
    match clause:
        case EventClause():
            return _event_evaluator(key, clause, covered_from)
        case AbsentClause():
            return AbsentEvaluator(key, clause, covered_from)
        case SequenceClause():
            return SequenceEvaluator(key, clause, covered_from)
        case BucketClause():
            return BucketEvaluator(key, clause)
        case ValueClause():
            if clause.is_timed:
                return TimeEvaluator(key, clause)
            return HeldEvaluator(key, clause) if clause.until_below is not None else ValueEvaluator(key, clause)
    raise AssertionError(clause)


def _event_evaluator(key: int, clause: EventClause, covered_from: int) -> LeafEvaluator:
    if clause.window.kind == "entry":
        raise InvalidConfiguration("since", "entry", "another window: only a journey has an entry")
    match clause.measure.kind:
        case "times":
            return TimesEvaluator(key, clause, covered_from)
        case "sum" | "average":
            return SumEvaluator(key, clause, covered_from)
        case "largest" | "smallest":
            return ExtremeEvaluator(key, clause, covered_from)
        case "distinct":
            return DistinctEvaluator(key, clause, covered_from)
        case "last" | "first":
            return AgeEvaluator(key, clause, covered_from)
