"""What decides about a value that a clause reads, and when the clause changes next without an event.

Clauses on events know this themselves. The values of decisions change by timers of their own. The recency score of a
buyer falls at the next cut point. The lifecycle moves when the clauses of a move change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from models.conditions.clauses import ValueClause
from models.conditions.entries import mark_of
from models.conditions.evaluator import View
from models.conditions.leaf import Person
from models.conditions.matching import predicate
from models.conditions.truth import Truth
from models.conditions.user_state import UserConditions
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.rfm import buyer_of, issued_score, next_change, rfm_scores
from models.fold.versions import Versions
from models.profile import consents, purposes
from models.profile.ledger import NEVER
from models.profile.state import Customer

MAX_INSTANTS = 1_000
"""Maximum number of instants at which moves of the lifecycle are tried."""


class ValueReason(NamedTuple):
    """The reason for a value.

    Attributes
    ----------
    decided_at, decided_by
        Time of what decided it, milliseconds, and the mark of the event's id; ``None`` if they are not known.
    changes_at
        The next time at which the clause changes without an event; ``None`` if it does not.
    """

    decided_at: int | None = None
    decided_by: int | None = None
    changes_at: int | None = None


class ValueReasons:
    """The reasons for the values of one user at one instant.

    Parameters
    ----------
    customer, versions
        The user, and the versions in use.
    held, person
        What the user's clauses remember, and what else they read.
    at
        The instant, milliseconds.
    """

    def __init__(self, customer: Customer, versions: Versions, held: UserConditions, person: Person, at: int) -> None:
        self._customer = customer
        self._versions = versions
        self._held = held
        self._person = person
        self._at = at

    def __repr__(self) -> str:
        """Name the user."""
        return f"ValueReasons({self._person!r}, {self._at})"

    def of(self, clause: ValueClause) -> ValueReason:
        """Return the reason for the value of a clause."""
        match clause.subject, clause.name.partition("@")[0]:
            case "consent", _:
                purpose, _, channel = clause.name.partition("@")
                return self._of_consent(purpose, channel)
            case "lifecycle", _:
                return self._of_stage(clause)
            case "score", "recency":
                return self._of_recency(clause)
            case "score", "churn":
                ledger = self._customer.ledger
                return ValueReason(None if ledger.risk is None else ledger.risk_at)
            case "score", "frequency":
                buyer = buyer_of(self._customer.facts)
                return ValueReason(None if buyer is None else buyer.bought_at)
        return ValueReason()

    def _of_consent(self, purpose: str, channel: str) -> ValueReason:
        state = purposes.state_of(self._customer.facts.consent, purpose, channel)
        if state is None:
            return ValueReason()
        event = consents.proof_of(state).event
        return ValueReason(consents.event_time(state), mark_of(event) if event else None)

    def _of_recency(self, clause: ValueClause) -> ValueReason:
        buyer, population = buyer_of(self._customer.facts), self._versions.population
        score = issued_score(self._customer.ledger, "recency")
        if buyer is None:
            return ValueReason()
        if population is None or score is None or clause.comparison is None:
            return ValueReason(buyer.bought_at)
        test, at = predicate(clause.comparison), self._at
        holds = self._holds(clause, test(score))
        while (at := next_change(buyer, population, at)) != NEVER:
            later = rfm_scores(buyer, population, at).recency
            is_true = later >= clause.until_below if holds and clause.until_below is not None else test(later)
            if is_true is not holds:
                return ValueReason(buyer.bought_at, None, at)
        return ValueReason(buyer.bought_at)

    def _holds(self, clause: ValueClause, is_met: bool) -> bool:
        """Return the present truth; a clause with hysteresis has a mark."""
        conditions = self._versions.conditions
        if clause.until_below is None or conditions is None:
            return is_met
        leaf = next(one for one in conditions.program.leaves.values() if one.clause == clause)
        return self._held.entry(leaf) is not None

    # --- the lifecycle ---------------------------------------------------------------------------------------------

    def _of_stage(self, clause: ValueClause) -> ValueReason:
        stage, conditions = self._customer.ledger.stage, self._versions.conditions
        since = None if stage is None else stage.since
        if conditions is None or conditions.machine is None or clause.comparison is None:
            return ValueReason(since)
        present = conditions.machine.stage(conditions.machine.initial if stage is None else stage.name)
        return ValueReason(since, None, self._stage_changes_at(conditions, present, predicate(clause.comparison)))

    def _stage_changes_at(self, conditions: ConditionsInUse, stage: str, is_in: Callable[[object], bool]) -> int | None:
        """Return when the user comes to a stage that answers otherwise, if no event comes before."""
        program, machine, at, begins_in = conditions.program, conditions.machine, self._at, is_in(stage)
        assert machine is not None
        for _ in range(MAX_INSTANTS):
            leaves = [program.leaves[key] for index in machine.reads(stage) for key in program.watched[index].leaves]
            instants = (leaf.instants(self._held.entry(leaf), at, self._person) for leaf in leaves)
            at = min((one for found in instants if (one := next(found, NEVER)) < NEVER), default=NEVER)
            if at == NEVER:
                return None
            for move in machine.moves(stage, partial(_truth, View(program, self._held, self._person, at))):
                stage = move.target
            if is_in(stage) is not begins_in:
                return at
        return None


def _truth(view: View, index: int) -> Truth:
    return view.program.watched[index].test(view)
