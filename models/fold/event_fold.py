"""Fold event records: admit each event, let the step fold it, and remember that it was seen."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.batch import Record
from models.errors import EventWarning, InvalidEvent
from models.events import MICROS, REPORTED, Event, Forwarding, decode_event
from models.fold import step
from models.fold.failures import EVENT, RECORD, STATEMENT, Cause, StepFailed
from models.fold.identity_fold import IdentityFold
from models.fold.known_failures import KnownFailures
from models.fold.live_user import LiveUser
from models.fold.partition_state import PartitionState
from models.fold.piece import Piece
from models.identity import linking
from models.profile import imports, orders, seen_ids, statements, trait_limits
from models.profile.reducers import Cutoffs, check
from models.profile.state import KnownOrder
from models.profile.statements import Statement, statement_of


class _Arrival(NamedTuple):
    """An event, the record in which it came, and its user."""

    record: Record
    user: LiveUser
    event: Event


class EventFold:
    """The fold of the event records of one piece.

    Parameters
    ----------
    state
        The partition's state; its users are changed in place.
    piece
        The piece; it gets the outputs, and everything that the other passes need.
    failures
        The failures of the piece's last step, if it is known to fail.
    """

    def __init__(self, state: PartitionState, piece: Piece, failures: KnownFailures) -> None:
        self._state = state
        self._piece = piece
        self._outputs = piece.outputs
        self._failures = failures
        self._identities = IdentityFold(state, piece, failures)
        self._memo = state.memo
        self._versions = state.versions

    def fold(self, record: Record) -> None:
        """Fold the event of a record.

        An event without statement, order and traits takes a short path, because nearly all events are of this kind.
        """
        try:
            event = decode_event(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._outputs.reject_undecodable(error, "an event as the router writes it")
            return
        user = self._state.user(event.user.encode())
        if record.offset <= user.customer.seen:
            # An ordered commit was interrupted, so the stored user is ahead of the stored position.
            return
        try:
            if event.anonymous is not None or user.customer.identity is not None:
                found = self._identities.take(record, user, event)
                if found is None:
                    return
                event = found
            if event.imported is not None:
                event = imports.opened(user.facts, event)
            if event.type in statements.SIMPLE and not event.traits:
                self._fold_simple(record, user, event)
            else:
                self._fold_any(_Arrival(record, user, event))
        except StepFailed:
            raise
        except Exception as error:
            raise StepFailed(self._piece.number, error, Cause(record.offset, RECORD)) from error

    def _fold_any(self, arrival: _Arrival) -> None:
        _, user, event = arrival
        statement = statement_of(user.facts, event, self._versions.configuration.consent)
        if statement is not None:
            self._fold_stating(arrival, statement)
            return
        digest = seen_ids.digest_of(event.id)
        if seen_ids.knows(user.facts.seen_ids, digest):
            self._pass_over_repeat(event)
            return
        try:
            self._admit(arrival)
        except InvalidEvent as error:
            self._outputs.reject(error)
            return
        self._fold(arrival, self._without_room(arrival), digest)

    def _fold_simple(self, record: Record, user: LiveUser, event: Event) -> None:
        digest, cutoffs, ids = seen_ids.digest_of(event.id), self._state.cutoffs(), user.facts.seen_ids
        if seen_ids.knows(ids, digest):
            self._pass_over_repeat(event)
            return
        if event.at < cutoffs.refused_before or event.at < ids.floor:
            try:
                _refuse_too_late(user, event, cutoffs, self._memo.clock)
            except InvalidEvent as error:
                self._outputs.reject(error)
                return
        if self._step(user, event, cutoffs):
            forgotten = seen_ids.remember(ids, digest, self._memo.now, event.at, cutoffs.refused_before)
            if forgotten:
                self._outputs.count("ids_forgotten", by=float(forgotten))
            user.customer.seen = record.offset
            user.has_changed = True

    def _admit(self, arrival: _Arrival) -> None:
        """Refuse an event that is too late, or for which the state has no room.

        Raises
        ------
        InvalidEvent
            The event is refused.
        """
        cutoffs = self._state.cutoffs()
        _refuse_too_late(arrival.user, arrival.event, cutoffs, self._memo.clock)
        check(arrival.user.facts, arrival.event, cutoffs)

    def _fold_stating(self, arrival: _Arrival, statement: Statement) -> None:
        """Fold an event with a statement. The statement counts even if the event is refused."""
        facts, event, is_whole = arrival.user.facts, arrival.event, statement.is_whole
        digest, stated = seen_ids.digest_of(event.id), statements.digest_of(event)
        is_repeat = seen_ids.knows(facts.seen_ids, digest)
        is_stated = statements.knows(facts, stated) or seen_ids.knows(facts.seen_ids, stated)
        if is_repeat or (is_stated and is_whole):
            self._pass_over_repeat(event)
            if not is_stated:
                self._salvage(arrival, statement, stated, "duplicate")
            return
        try:
            self._admit(arrival)
        except InvalidEvent as error:
            if not is_stated:
                self._salvage(arrival, statement, stated, error.reason)
            if is_whole:
                self._outputs.pass_over(event, "statement")
            else:
                error.withdrawal = event if statement.is_new else None
                self._outputs.reject(error)
            return
        no_room = self._without_room(arrival)
        rest = statements.rest_of(facts, event, statement, no_room, self._versions.configuration.consent)
        # A withdrawal is remembered by the digest of its statement, and not by its id. A corrected record may have the
        # same id as an earlier record, of which only the withdrawal could be read.
        digests = [one for one, is_kept in ((digest, not is_whole), (stated, rest is None)) if is_kept]
        if not self._fold(arrival, no_room, *digests):
            if not is_stated:  # the event repeats an order, or it failed and changed nothing of its user
                self._salvage(arrival, statement, stated, "not_folded")
        elif rest is not None:
            self._salvage(arrival, rest, stated, "no_room")
        elif statement.is_new:
            statements.remember(facts, stated)

    def _salvage(self, arrival: _Arrival, statement: Statement, stated: bytes, why: str) -> None:
        """Fold the statement of an event, or a part of it, that is not folded with the event."""
        if not statement.is_new:
            return
        cause = Cause(arrival.record.offset, STATEMENT)
        if (error := self._failures.meet(cause)) is not None:
            self._outputs.reject(error)
            return
        user, event = arrival.user, self._state.memo.adjusted(arrival.event)
        try:
            step.step_statement(self._piece, user, event, statement)
        except Exception as failure:
            raise StepFailed(self._piece.number, failure, cause) from failure
        self._finish(arrival)
        if user.has_new_timers:
            user.has_new_timers = False
            self._state.schedule(user)
        statements.remember(user.facts, stated)
        self._outputs.count("withdrawals_salvaged", why)

    def _without_room(self, arrival: _Arrival) -> list[str]:
        """Return the names of the event's traits for which there is no room."""
        traits, consent = arrival.event.traits, self._versions.configuration.consent
        return trait_limits.beyond(arrival.user.facts.traits, traits, consent) if traits else []

    def _fold(self, arrival: _Arrival, no_room: list[str], *digests: bytes) -> bool:
        """Fold an event without the traits for which there is no room, and return whether it was folded.

        It is not folded if folding failed, or if the event repeats an order.
        """
        user, event = arrival.user, statements.without(arrival.event, no_room)
        cutoffs, excess = self._state.cutoffs(), None
        if event.type == "purchase":
            if repeat := orders.repeat_of(user.facts, event, cutoffs.orders_before):
                self._outputs.count("orders_repeated", repeat)
                self._outputs.pass_over(event, "order")
                self._finish(arrival, *digests)
                return False
        elif event.type == "refund":
            excess = orders.excess_of(user.facts, event, cutoffs.orders_before)
        if not self._step(user, event, cutoffs):
            return False
        self._finish(arrival, *digests)
        if excess is not None:
            self._outputs.reject_detail(_excess_warning(*excess))
        if no_room:
            self._outputs.reject_detail(trait_limits.warning(no_room))
        return True

    def _step(self, user: LiveUser, event: Event, cutoffs: Cutoffs) -> bool:
        """Fold an event, and return whether it was folded; otherwise it is a dead letter and the user is unchanged."""
        piece, outputs = self._piece, self._outputs
        if self._failures.errors and (error := self._failures.meet(Cause(outputs.record.offset, EVENT))) is not None:
            outputs.reject(error)
            return False
        adjusted = self._state.memo.adjusted(event)
        is_late = adjusted.at < cutoffs.late_before and adjusted.at < user.facts.last_seen
        try:
            step.step_event(piece, user, adjusted, cutoffs)
        except Exception as failure:
            raise StepFailed(piece.number, failure, Cause(outputs.record.offset, EVENT)) from failure
        if is_late:
            outputs.count("events_late")
        piece.has_success = True
        if user.has_new_timers:
            user.has_new_timers = False
            self._state.schedule(user)
        outputs.folded[event.type] = outputs.folded.get(event.type, 0) + 1
        if event.anonymous is not None and isinstance(event.identity, Forwarding):
            linking.note_forwarded(user.open_identity(), event)
        return True

    def _finish(self, arrival: _Arrival, *digests: bytes) -> None:
        """Remember the digests of what was folded, and the offset of the record."""
        user = arrival.user
        ids, floor = user.facts.seen_ids, self._state.cutoffs().refused_before
        for digest in digests:
            forgotten = seen_ids.remember(ids, digest, self._memo.now, arrival.event.at, floor)
            if forgotten:
                self._outputs.count("ids_forgotten", by=float(forgotten))
        user.customer.seen = arrival.record.offset
        user.has_changed = True

    def _pass_over_repeat(self, event: Event) -> None:
        self._outputs.count("events_duplicate")
        self._outputs.pass_over(event, "repeat")


def _refuse_too_late(user: LiveUser, event: Event, cutoffs: Cutoffs, clock: str) -> None:
    """Refuse an event that is so late that a repeat of it could not be recognized, unless a person has forced it.

    Reports about our messages are never refused in a feeder's log, because the feeder's clock may run ahead of the
    delivery.

    Raises
    ------
    InvalidEvent
        ``too_late``.
    """
    floor = max(cutoffs.refused_before, user.facts.seen_ids.floor)
    if event.at >= floor or event.forced or (clock == "feeder" and event.type in REPORTED):
        return
    allowed = f"{floor} or later, because a repeat of an older event could not be recognized; a person may force it"
    raise InvalidEvent("too_late", "at", event.at, allowed)


def _excess_warning(excess: int, order: KnownOrder) -> EventWarning:
    """Make the warning that only a part of a refund has counted."""
    left = order.amount - orders.refunded(order)
    currency = orders.currency_of(order)
    found = f"{excess / MICROS:.2f} {currency} more than is left of the order"
    allowed = f"{left / MICROS:.2f} {currency}, which has counted"
    return EventWarning(orders.EXCESS, "amount", found, allowed, rejected=True)
