"""Fold event records: admit each event, let the step fold it, and remember that it was seen."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from models.batch import Record
from models.errors import EventWarning, InvalidEvent
from models.events import MICROS, Event, decode_event
from models.fold import step
from models.fold.partition_state import PartitionState
from models.fold.slice import Slice
from models.profile import orders, seen_ids, statements, trait_limits
from models.profile.reducers import Cutoffs, check
from models.profile.seen_ids import SeenIds
from models.profile.state import Customer, KnownOrder
from models.profile.statements import Statement, statement_of


class _Arrival(NamedTuple):
    """An event, the record in which it came, and the key and state of its user."""

    record: Record
    key: bytes
    customer: Customer
    event: Event


class EventFold:
    """The fold of the event records of one slice.

    Parameters
    ----------
    state
        The partition's state; its users are changed in place.
    into
        The slice; it gets the outputs.
    """

    def __init__(self, state: PartitionState, into: Slice) -> None:
        self._state = state
        self._slice = into
        self._memo = state.memo
        self._versions = state.versions

    def fold(self, record: Record) -> None:
        """Fold the event of a record.

        An event without statement, order and traits takes a short path, because nearly all events are of this kind.
        """
        try:
            event = decode_event(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._slice.reject_undecodable(error, "an event as the router writes it")
            return
        key = event.user.encode()
        customer = self._state.customer(key)
        if record.offset <= customer.seen:
            # An ordered commit was interrupted, so the stored user is ahead of the stored position.
            return
        if event.type in statements.SIMPLE and not event.traits:
            self._fold_simple(record, key, customer, event)
            return
        arrival = _Arrival(record, key, customer, event)
        statement = statement_of(customer.facts, event, self._versions.configuration.consent)
        if statement is not None:
            self._fold_stating(arrival, statement)
            return
        digest = seen_ids.digest_of(event.id)
        if seen_ids.knows(customer.facts.seen_ids, digest):
            self._pass_over_repeat(event)
            return
        try:
            self._admit(arrival)
        except InvalidEvent as error:
            self._slice.reject(error)
            return
        self._fold(arrival, digest)

    def _fold_simple(self, record: Record, key: bytes, customer: Customer, event: Event) -> None:
        digest, cutoffs, ids = seen_ids.digest_of(event.id), self._state.cutoffs(), customer.facts.seen_ids
        if seen_ids.knows(ids, digest):
            self._pass_over_repeat(event)
            return
        if event.at < cutoffs.refused_before or event.at < ids.floor:
            try:
                self._state.refuse_too_late(customer, event, cutoffs)
            except InvalidEvent as error:
                self._slice.reject(error)
                return
        if self._step(key, customer, event, cutoffs):
            self._remember(ids, digest, event, cutoffs)
            customer.seen = record.offset
            self._slice.touched[key] = None

    def _admit(self, arrival: _Arrival) -> None:
        """Refuse an event that is too late, or for which the state has no room.

        Raises
        ------
        InvalidEvent
            The event is refused.
        """
        cutoffs = self._state.cutoffs()
        self._state.refuse_too_late(arrival.customer, arrival.event, cutoffs)
        check(arrival.customer.facts, arrival.event, cutoffs)

    def _fold_stating(self, arrival: _Arrival, statement: Statement) -> None:
        """Fold an event with a statement. The statement counts even if the event is refused."""
        facts, event, is_whole = arrival.customer.facts, arrival.event, statement.is_whole
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
                self._slice.pass_over(event, "statement")
            else:
                error.withdrawal = event if statement.is_new else None
                self._slice.reject(error)
            return
        # A withdrawal is remembered by the digest of its statement, and not by its id. A corrected record may have the
        # same id as an earlier record, of which only the withdrawal could be read.
        folded = self._fold(arrival, *((stated,) if is_whole else (digest, stated)))
        if folded is event:
            if statement.is_new:
                statements.remember(facts, stated)
        elif folded is not None:  # the traits that make the statement may be among those without room
            self._salvage(arrival, statement, stated, "no_room")
        elif not is_stated:  # the event repeats an order, or it failed and changed nothing of its user
            current = arrival._replace(customer=self._state.customer(arrival.key))
            self._salvage(current, statement, stated, "not_folded")

    def _salvage(self, arrival: _Arrival, statement: Statement, stated: bytes, why: str) -> None:
        """Fold the statement of an event that is not folded, and nothing else of the event."""
        if not statement.is_new:
            return
        customer, event, into = arrival.customer, self._state.adjusted(arrival.event), self._slice
        before = into.begin(event.user, customer)
        try:
            step.step_statement(into.step, event, statement)
            into.emit(arrival.key)
        except Exception as error:  # noqa: BLE001 - whatever it raises, this event alone is the cause
            into.undo(arrival.key, before, error)
            into.reject(error)
            return
        self._finish(arrival)
        statements.remember(customer.facts, stated)
        into.count("withdrawals_salvaged", why)

    def _fold(self, arrival: _Arrival, *digests: bytes) -> Event | None:
        """Fold an event without the traits for which there is no room, and return the event.

        Return ``None`` if the event was not folded, because folding failed or because the event repeats an order.
        """
        _, key, customer, event = arrival
        cutoffs, excess, no_room = self._state.cutoffs(), None, []
        if event.traits:
            no_room = trait_limits.beyond(customer.facts.traits, event.traits, self._versions.configuration.consent)
            event = trait_limits.without(event, no_room)
        if event.type == "purchase":
            if repeat := orders.repeat_of(customer.facts, event, cutoffs.orders_before):
                self._slice.count("orders_repeated", repeat)
                self._slice.pass_over(event, "order")
                self._finish(arrival, *digests)
                return None
        elif event.type == "refund":
            excess = orders.excess_of(customer.facts, event, cutoffs.orders_before)
        if not self._step(key, customer, event, cutoffs):
            return None
        self._finish(arrival, *digests)
        if excess is not None:
            self._slice.reject_detail(_excess_warning(*excess))
        if no_room:
            self._slice.reject_detail(trait_limits.warning(no_room))
        return event

    def _step(self, key: bytes, customer: Customer, event: Event, cutoffs: Cutoffs) -> bool:
        """Fold an event, and return whether that succeeded; after a failure, the user is unchanged."""
        into = self._slice
        before, next_due = into.begin(event.user, customer), customer.next_due
        try:
            adjusted = self._state.adjusted(event)
            is_late = adjusted.at < cutoffs.late_before and adjusted.at < customer.facts.last_seen
            step.step_event(into.step, adjusted, cutoffs)
            into.emit(key)
            if is_late:
                into.count("events_late")
        except Exception as error:  # noqa: BLE001 - whatever it raises, this event alone is the cause
            into.undo(key, before, error)
            into.reject(error)
            return False
        self._memo.failing = 0
        if customer.next_due != next_due:
            self._state.schedule(key, customer)
        into.folded[event.type] += 1
        return True

    def _finish(self, arrival: _Arrival, *digests: bytes) -> None:
        """Remember the digests of what was folded, and the offset of the record."""
        customer = arrival.customer
        for digest in digests:
            self._remember(customer.facts.seen_ids, digest, arrival.event, self._state.cutoffs())
        customer.seen = arrival.record.offset
        self._slice.touched[arrival.key] = None

    def _remember(self, ids: SeenIds, digest: bytes, event: Event, cutoffs: Cutoffs) -> None:
        if ids.marks and ids.marks[1] < cutoffs.refused_before:
            seen_ids.forget(ids, cutoffs.refused_before)
        forgotten = seen_ids.remember(ids, digest, self._memo.now, event.at)
        if forgotten:
            self._slice.count("ids_forgotten", by=float(forgotten))

    def _pass_over_repeat(self, event: Event) -> None:
        self._slice.count("events_duplicate")
        self._slice.pass_over(event, "repeat")


def _excess_warning(excess: int, order: KnownOrder) -> EventWarning:
    """Make the warning that only a part of a refund has counted."""
    left = order.amount - orders.refunded(order)
    currency = orders.currency_of(order)
    found = f"{excess / MICROS:.2f} {currency} more than is left of the order"
    allowed = f"{left / MICROS:.2f} {currency}, which has counted"
    return EventWarning(orders.EXCESS, "amount", found, allowed, rejected=True)
