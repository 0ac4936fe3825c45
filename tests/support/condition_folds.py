"""Random conditions over a random stream by the whole fold, in batches of several sizes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from models.batch import Restored
from models.conditions import clauses as c
from models.conditions.parsing import parse_segments
from models.conditions.program import segment_key
from models.conditions.writing import hash_of
from models.events import Event
from models.log import Control, Tick, decode_control, opening
from models.profile.codec import unpack
from tests.support.condition_runs import Case, Moves, evaluate_naively, leaves
from tests.support.event_logs import PartitionRecord, written
from tests.support.random_conditions import StreamArrival, random_arrivals, random_segments
from tests.support.segment_folds import fold_batches, moves_of, segments_version

BATCHES = (7, 500, 5_000)
"""Sizes of the batches whose results are compared with those of single records."""
USER = b"u"


class FoldedCase(NamedTuple):
    """Results of a fold.

    Attributes
    ----------
    moves
        All moves, each at the time of its decision.
    members
        Time of entry by the number of the segment, at the end.
    content
        State, memo and outputs.
    """

    moves: Moves
    members: dict[int, int]
    content: object


def random_fold_case(seed: int, number_of_segments: int, number_of_arrivals: int) -> Case:
    """Return the case of a seed.

    Scores are missing, because the fold computes them itself. Traits are not late, because a fact of the profile has
    the time of its event, while the naive evaluation takes them as they arrive. In half of the cases, the user was
    known before the conditions were applied.
    """
    rng = random.Random(seed)
    written_rules = random_segments(rng, number_of_segments)
    rules = parse_segments(written_rules)
    arrivals = list(_on_time(random_arrivals(rng, number_of_arrivals)))
    if not arrivals or rng.random() < 0.5:
        return Case(written_rules, rules, {}, arrivals)
    since = arrivals[0].now - 2
    covered = {
        hash_of(leaf): since
        for rule in rules
        for leaf in leaves(rule.when)
        if isinstance(leaf, c.EventClause | c.AbsentClause | c.SequenceClause)
    }
    return Case(written_rules, rules, covered, arrivals, since - rng.choice((0, 1, 3_600_000, 7_200_001, 172_800_000)))


def _on_time(arrivals: list[StreamArrival]) -> Iterator[StreamArrival]:
    """Yield the events; those with traits have the time of their first arrival."""
    first: dict[str, Event] = {}
    for now, event, *_ in arrivals:
        if event is not None:
            on_time = event if event.traits is None else msgspec.structs.replace(event, at=now)
            yield StreamArrival(now, first.setdefault(event.id, on_time))


def log_of(case: Case) -> list[PartitionRecord]:
    """Return the log of a case: a user who is known, the conditions, and the stream."""
    return written(_contents(case))


def _contents(case: Case) -> Iterator[Event | Control]:
    yield opening("feeder")
    now = 0
    if case.known_since:
        now = case.begins - 1
        yield Tick(at=case.known_since)
        yield Event(id="before", user="u", type="page_view", at=case.known_since)
        yield Tick(at=now)
    yield segments_version(case.rules)
    if case.known_since:
        now = case.begins  # the user comes to the conditions now
        yield Tick(at=now)
    for arrival in case.arrivals:
        if arrival.now > now:
            now = arrival.now
            yield Tick(at=now)
        if arrival.event is not None:
            yield arrival.event
    yield Tick(at=now + case.after)


def fold_case(records: list[PartitionRecord], batch: int) -> FoldedCase:
    """Fold the log of a case in batches of a size."""
    state, moves, given, now = Restored(), Moves(), [], 0
    for number, outputs in enumerate(fold_batches(records, batch, state)):
        given += [(record.topic, record.key, record.value) for record in outputs.commit.records]
        if batch == 1:
            record = records[number]
            control = decode_control(record.value or b"") if record.key != USER else None
            now = control.at if isinstance(control, Tick) else now
            # The signal of an event has the time of the event, which may be late.
            moves += [(one.at if control else now, one.segment, one.has_entered) for one in moves_of(outputs)]
    memberships = unpack(state.records[USER]).ledger.memberships if USER in state.records else None
    members = {} if memberships is None else memberships.since
    return FoldedCase(moves, members, (dict(state.records), state.memo, given))


def compare_folds(case: Case) -> tuple[int, str]:
    """Return the number of moves, and a description of the first difference; empty without one.

    The moves of the fold are compared with those of the naive evaluation, and the bytes of all batches with each other.
    """
    records, expected = log_of(case), evaluate_naively(case)
    found = fold_case(records, 1)
    # Users who match when conditions are applied become members silently.
    silent = case.begins if case.known_since else -1
    spoken = sorted(move for move in expected if move[0] != silent)
    if sorted(found.moves) != spoken:
        only = sorted(set(found.moves) ^ set(spoken))
        who = "the fold" if only and only[0] in found.moves else "the naive evaluation"
        return len(spoken), f"only {who} has the moves {only[:1] or spoken}: {case.written}"
    members: dict[int, int] = {}
    for at, name, has_entered in sorted(expected, key=lambda move: move[0]):
        if has_entered:
            members[segment_key(name)] = at
        else:
            del members[segment_key(name)]
    if found.members != members:
        return len(spoken), f"other members: {found.members} instead of {members}"
    for batch in BATCHES:
        if fold_case(records, batch).content != found.content:
            return len(spoken), f"other bytes in batches of {batch}"
    return len(spoken), ""
