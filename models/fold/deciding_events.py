"""The event that decided about each clause of an answer to ``--why``, found in the log of the user's partition.

A profile keeps what a trait or a feature is, and not the event that made it so. An id for each of them would cost every
user more memory than the values themselves. So the user's own records are folded again for each answer. The event
after which a value became what it is, is the deciding one. The answer is exact, because the fold is that of production.

A clause on events knows the mark of its deciding event. Only the id is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from models.batch import Record
from models.conditions.clauses import BucketClause, Condition, SegmentClause, ValueClause
from models.conditions.entries import mark_of
from models.conditions.leaf import LeafEvaluator
from models.conditions.leaves import evaluator_of
from models.conditions.parsing import parse_condition
from models.conditions.program import segment_key
from models.conditions.properties import is_named
from models.conditions.values import shown
from models.events import Event, decode_event
from models.fold.clause_watches import Watch, watch_of
from models.fold.moments import moment
from models.fold.own_fold import OwnFold, OwnMove, OwnStep, StepKind
from models.fold.user_values import DecisionValues

MAX_REMEMBERED = 200_000
"""Maximum number of the user's events whose ids are remembered during a search; the oldest are forgotten first."""

NOT_READ = "not_read"
WITHOUT_EVENT: Mapping[str, str] = MappingProxyType(
    {
        NOT_READ: "the log was not read for its event",
        "fixed": "no event decides it: the share follows from the user's id",
        "none": "no event has decided it yet",
        "time": "time alone decided it, without an event",
        "configuration": "a change of the configuration or of a model decided it, without an event",
        "other_id": "its event came under another id of the same person",
        "not_in_log": "its event is not in the retained log",
        "other_value": "the log gives another value, such as after a correction of the profile",
    }
)
"""Reasons for which a clause has no deciding event, for people, by their names in the answer."""
_KINDS: Mapping[StepKind, str] = MappingProxyType({"clock": "time", "control": "configuration"})


class _Sighting(NamedTuple):
    """An event of the user: its identity, and the time at which it counts, milliseconds."""

    event: Event
    at: int

    def described(self) -> dict[str, Any]:
        event = self.event
        return {"id": event.id, "type": event.type, "name": event.name, "at": moment(self.at)}


class _Change(NamedTuple):
    """The last change of a watched value: its event, or why there is none, and its time in milliseconds."""

    sighting: _Sighting | None
    reason: str | None
    at: int


class _Watched:
    """One clause of the answer.

    Parameters
    ----------
    shown_clause
        The clause in the answer.
    """

    def __init__(self, shown_clause: dict[str, Any]) -> None:
        self.shown = shown_clause
        self.clause: Condition = parse_condition(shown_clause["clause"], "when")
        self.watch: Watch | None = watch_of(self.clause)
        self.change: _Change | None = None

    def see(self, step: OwnStep) -> None:
        """Compare what the clause reads before and after a step, and keep the step if it has changed this."""
        assert self.watch is not None
        before = None if step.before is None else self.watch(step.before, step.at)
        after = None if step.after is None else self.watch(step.after, step.at)
        if type(before) is type(after) and before == after:
            return
        if step.event is not None:
            self.change = _Change(_Sighting(step.event, step.event.at), None, step.event.at)
            return
        # The clock may have passed the due time of the timer that fired, so only a signal knows when.
        times = [move.at for move in step.moves if self._is_about(move)]
        self.change = _Change(None, _KINDS[step.kind], times[-1] if times else 0)

    def _is_about(self, move: OwnMove) -> bool:
        if isinstance(self.clause, SegmentClause):
            return move.kind in ("segment_entered", "segment_left") and move.name == self.clause.name
        return isinstance(self.clause, ValueClause) and (self.clause.subject, move.kind) == (
            "lifecycle",
            "lifecycle_moved",
        )


class DecidingEvents:
    """A search for the deciding events of one answer.

    Parameters
    ----------
    answer
        The answer (:func:`models.fold.membership_view.why`).
    partition
        Number of the user's partition.
    begin
        Offset of the first record that the log still has. After 0, values cannot be folded again.
    """

    def __init__(self, answer: Mapping[str, Any], partition: int, begin: int = 0) -> None:
        self._answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))  # a copy, to be changed
        self._user = str(answer["user"])
        self._key = self._user.encode()
        self._clauses = [_Watched(one) for one in _leaves(self._answer["tree"])]
        self._is_whole = begin == 0
        self._fold = OwnFold(partition, self._user)
        self._seen: dict[str, _Sighting] = {}
        self._folds = self._is_whole and any(one.watch is not None for one in self._clauses)

    def __repr__(self) -> str:
        """Show the user and the progress."""
        return f"DecidingEvents({self._user!r}, {len(self._seen)} events)"

    @property
    def is_needed(self) -> bool:
        """Whether any clause can have a deciding event."""
        return any(not isinstance(one.clause, BucketClause) for one in self._clauses)

    def take(self, records: Sequence[Record]) -> None:
        """Read the next records of the partition."""
        for record in records:
            if record.key == self._key:
                self._remember(record)
        if self._folds:
            self._see(self._fold.take(records))

    def finish(self) -> dict[str, Any]:
        """Return the answer with the events."""
        if self._folds:
            self._see(self._fold.finish(_milliseconds(self._answer["as_of"])))
        for one in self._clauses:
            found = self._found(one)
            clause = one.shown
            clause["event"] = None if found.sighting is None else found.sighting.described()
            clause["no_event"] = found.reason if found.sighting is None else None
            if found.sighting is not None and clause["decided_by"] is None:
                clause["decided_by"] = f"{mark_of(found.sighting.event.id):08x}"
            if clause["decided_at"] is None and found.at and found.reason in (None, "time", "configuration"):
                clause["decided_at"] = moment(found.at)
        return self._answer

    def _remember(self, record: Record) -> None:
        try:
            event = decode_event(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        # A live event counts at the time of its record at the latest. Records of a feeder are written at any time.
        at = min(event.at, record.timestamp) if event.origin == "live" else event.at
        self._seen.setdefault(event.id, _Sighting(event, at))
        if len(self._seen) > MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _see(self, steps: Iterator[OwnStep]) -> None:
        for step in steps:
            for one in self._clauses:
                if one.watch is not None:
                    one.see(step)

    # --- the result ------------------------------------------------------------------------------------------------

    def _found(self, one: _Watched) -> _Change:
        clause = one.clause
        if isinstance(clause, BucketClause):
            return _without("fixed")
        if one.watch is None:
            return self._of_events(one.shown, evaluator_of(0, clause))
        if self._is_whole:
            if not self._is_same(one):
                return _without("other_value")
            return _without("none") if one.change is None else one.change
        marked = None if one.shown["decided_by"] is None else self._marked(one.shown["decided_by"])
        return _without("not_in_log") if marked is None else _Change(marked, None, marked.at)

    def _of_events(self, clause: dict[str, Any], leaf: LeafEvaluator) -> _Change:
        """Return the event of a clause on events."""
        if clause["decided_at"] is None:
            return _without("none")
        if clause["decided_by"] is not None:
            found = self._marked(clause["decided_by"])
        else:
            found = self._at(_milliseconds(clause["decided_at"]), leaf)
        if found is None:
            return _without("other_id" if self._is_whole else "not_in_log")
        return _Change(found, None, found.at)

    def _marked(self, mark: str) -> _Sighting | None:
        wanted = int(mark, 16)
        return next((one for one in reversed(self._seen.values()) if mark_of(one.event.id) == wanted), None)

    def _at(self, at: int, leaf: LeafEvaluator) -> _Sighting | None:
        """Return the newest event of that time; one that the clause names comes first."""
        found = [one for one in self._seen.values() if at in (one.at, one.event.at)]
        named = [one for one in found if any(is_named(one.event, name) for name in leaf.events)]
        return next(iter((named or found)[-1:]), None)

    def _is_same(self, one: _Watched) -> bool:
        """Return whether the log gives the value that the answer has."""
        customer, versions, clause = self._fold.customer, self._fold.versions, one.clause
        if customer is None:
            return False
        if isinstance(clause, SegmentClause):
            memberships = customer.ledger.memberships
            is_in = customer.ledger.segment == clause.name or (
                memberships is not None and segment_key(clause.name) in memberships.since
            )
            return is_in is bool(one.shown["value"] == "in it")
        assert isinstance(clause, ValueClause)
        values = DecisionValues(customer.facts, customer.ledger, versions.configuration)
        return shown(values.value(clause.subject, clause.name)) == str(one.shown["value"])


def _without(reason: str) -> _Change:
    return _Change(None, reason, 0)


def _leaves(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "of" in tree:
        for inner in tree["of"]:
            yield from _leaves(inner)
    else:
        yield tree


def _milliseconds(written: str) -> int:
    return round(datetime.fromisoformat(written).timestamp() * 1_000)
