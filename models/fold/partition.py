"""The fold over one partition: its users, its clock, its timers, and the versions in use.

Batches are never observable: the state and the outputs of a log are the same bytes however it is cut, because every
record is applied by itself, in log order, to the clock, then to the timers that have come due, then to its user. Where
a record moves the clock past many timers, they fire in slices that commit one by one, before the record: a slice ends
with the clock moved and the record not yet folded, so whoever goes on from there fires the rest and then folds it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import msgspec

from models.batch import Batch, Output, Outputs, Record, Restored
from models.delivery.notices import HOLD_KEY, ChannelPaused, encode_notice
from models.errors import EventWarning, InvalidConfiguration, InvalidEvent, PerennialError, StateMismatch
from models.events import CHANNELS, MICROS, REPORTED, Event, decode_event
from models.fold import step
from models.fold.due_times import DueTimes
from models.fold.effects import Effects
from models.fold.memo import content_key, encode_memo, read_memo, versions_in_use
from models.fold.outputs import encode_effects
from models.fold.versions import Versions
from models.log import CONTROL, Clock, Order, Tick, Use, decode_control, is_control
from models.profile import lateness, orders, statements, trait_limits
from models.profile import seen_ids as repeats
from models.profile.reducers import Lines, check
from models.profile.seen_ids import SeenIds
from models.profile.state import NEVER, Customer, Facts, KnownOrder, header, pack, unpack
from models.profile.statements import Statement, statement_of
from models.rejected import reason_of, reject, reject_details, reject_value
from models.source import Source

TIMERS = 2_000
"""At most so many timers fire in one slice: a sixth of a second, of what one commit holds."""

KEPT_BETWEEN = 4_096
"""Users who stay unpacked between two slices of a batch: the next ones often need the same. Behind a batch nobody does:
to unpack the busiest anew costs no more than to find them somewhere in memory, and takes none."""

FAILURES = 100
"""So many records in a row that cannot be folded are a bad deploy, not bad data."""


class FoldBroken(PerennialError):
    """A hundred records in a row could not be folded: stop this lane, nothing has been lost."""


class _SliceFull(Exception):
    """Timers are due, and no more may fire before a commit."""


class _Unfoldable(Exception):
    """Something could not be folded; the batch is tried again with care."""


class PartitionFold:
    """One partition's users and clock.

    Parameters
    ----------
    state
        What was committed. It is only read; whoever drives the fold applies ``Outputs.state`` to it before the next
        batch.

    Raises
    ------
    StateMismatch
        Another schema wrote the state.
    """

    def __init__(self, state: Restored) -> None:
        self._state = state
        self._live: dict[bytes, Customer] = {}
        self._due = DueTimes(self._dues)
        self._failures = 0
        self._load_memo()
        for key, packed in state.records.items():
            if key[:1] == CONTROL:
                continue
            due = header(packed)[1]
            if due != NEVER:
                self._due.note(due, key)

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._memo.now

    @property
    def clock(self) -> str:
        """``wall`` or ``feeder``; empty before the first record."""
        return self._memo.clock

    @property
    def versions(self) -> Versions:
        """What is in use."""
        return self._versions

    def fold(self, batch: Batch) -> Outputs:
        """Fold consecutive records at once, however many timers they make due; see :meth:`slices`."""
        return next(self.slices(batch, most_timers=sys.maxsize))

    def slices(self, batch: Batch, most_timers: int = TIMERS) -> Iterator[Outputs]:
        """Fold consecutive records, in one slice or, where many timers have come due, in several.

        Each slice but the last says with ``Outputs.position`` which record is to be read next. Before the next one is
        asked for, it has to be applied to the state.

        An event or timer that cannot be folded becomes a dead letter, and what it changed half is gone: the batch is
        then folded once more with a copy of the user's state taken before each step.

        Raises
        ------
        FoldBroken
            After a hundred failures in a row.
        """
        begin = 0
        while begin < len(batch.records):
            attempt = _Attempt(self, batch, most_timers, careful=False)
            try:
                begin = attempt.run(begin)
            except _Unfoldable:
                attempt.undo()
                self._live.clear()
                self._load_memo()
                attempt = _Attempt(self, batch, most_timers, careful=True)
                begin = attempt.run(begin)
            is_whole = begin == len(batch.records)
            outputs = attempt.finish(0 if is_whole else KEPT_BETWEEN)
            if not is_whole:
                outputs.commit.position = batch.records[begin].offset
            yield outputs

    def _dues(self, key: bytes) -> list[int]:
        live, packed = self._live.get(key), self._state.records.get(key)
        dues = [] if packed is None else [header(packed)[1]]
        return dues if live is None else [*dues, live.next_due]

    def _load_memo(self) -> None:
        self._memo = read_memo(self._state)
        self._versions = versions_in_use(self._state, self._memo)


class _Arrived(NamedTuple):
    """An event, the record that it came in, and its user."""

    record: Record
    key: bytes
    customer: Customer
    event: Event


class _Attempt:
    """One try at a slice of a batch."""

    def __init__(self, fold: PartitionFold, batch: Batch, most_timers: int, *, careful: bool) -> None:
        self.batch = batch
        self.timers_left = most_timers
        self.careful = careful
        self.live = fold._live
        self.due = fold._due
        self.memo = fold._memo
        self.versions = fold._versions
        self.stored = fold._state.records
        self.touched: dict[bytes, None] = {}
        self.popped: list[tuple[int, bytes]] = []
        self.outputs = Outputs()
        self.counts = self.outputs.counts
        self.folded: Counter[str] = Counter()
        self.effects = Effects()
        self.used: dict[bytes, bytes] = {}
        self.lines: Lines | None = None
        self.lines_now = 0

    def run(self, begin: int) -> int:
        """Fold the batch's records from the one at ``begin``; returns where it stopped: no more timers may fire."""
        records = self.batch.records
        memo, due = self.memo, self.due
        index = begin
        try:
            for index in range(begin, len(records)):
                record = self.record = records[index]
                if is_control(record.key):
                    self._control(record)
                    continue
                if not memo.clock:
                    memo.clock = "wall"
                if memo.clock == "wall" and record.timestamp > memo.now:
                    memo.now = record.timestamp
                if due.before(memo.now):
                    self._fire()
                self._event(record)
        except _SliceFull:
            return index
        return len(records)

    def undo(self) -> None:
        """Forget the try: give back the timers that it took."""
        for entry in self.popped:
            self.due.note(*entry)

    def finish(self, kept_live: int) -> Outputs:
        """Outputs of the slice; so many users stay unpacked."""
        outputs, live = self.outputs, self.live
        for key in self.touched:
            outputs.commit.state[key] = pack(live[key])
        for kind, count in self.folded.items():
            self._count("events_folded", kind, by=float(count))
        for key, content in self.used.items():
            outputs.commit.state[key] = content
        self.memo.numbers = self.versions.numbers
        self.memo.paused = sorted(self.versions.paused)
        outputs.commit.memo = encode_memo(self.memo)
        outputs.next_due = self._next_due()
        if not kept_live:
            live.clear()
        elif len(live) > kept_live:
            for key in self.touched:  # least recently touched first, so that the busiest stay unpacked
                live[key] = live.pop(key)
            # all at once: looking for a dict's first key anew walks over those that were deleted before it
            for key in list(islice(live, len(live) - kept_live)):
                del live[key]
        return outputs

    # --- time ------------------------------------------------------------------------------------------------------

    def _move(self, now: int) -> None:
        if now > self.memo.now:
            self.memo.now = now
        self._fire()

    def _fire(self) -> None:
        """Fire what is due, in the order (due, user, name)."""
        now = self.memo.now
        while self.due.before(now) and (entry := self.due.first()) is not None and entry[0] <= now:
            self.popped.append(self.due.take())
            due, key = entry
            customer = self._customer(key)
            if customer.next_due != due:  # moved or cancelled since it was noted here
                continue
            if not self.timers_left:
                self.due.note(*self.popped.pop())
                raise _SliceFull
            self.timers_left -= 1
            timer = customer.ledger.timers.pop(0)
            self.touched[key] = None
            before = pack(customer) if self.careful else b""
            try:
                lines = self._lines()
                lateness.settle(customer.facts, lines.edge, lines.floor)
                repeats.forget(customer.facts.seen_ids, lines.floor)
                step.step_timer(customer, key.decode(), timer, now, self.versions, self.effects)
                self._emit(key)
            except Exception as error:  # noqa: BLE001 - whatever a timer raises, it alone is to blame
                customer = self._failed(key, before, error)
                self._reject(reject_value(timer.name.encode(), self._source(), error, at=now, key=key), error)
            else:
                self.memo.failing = 0
                self._count("timers_fired", timer.name.partition(":")[0])
            self._note(key, customer)

    def _next_due(self) -> int | None:
        while (entry := self.due.first()) is not None:
            due, key = entry
            live = self.live.get(key)
            packed = self.stored.get(key) if live is None else None
            actual = live.next_due if live is not None else header(packed)[1] if packed is not None else NEVER
            if actual == due:
                return due
            self.due.take()
        return None

    def _note(self, key: bytes, customer: Customer) -> None:
        due = customer.next_due
        if due != NEVER:
            self.due.note(due, key)

    # --- records ---------------------------------------------------------------------------------------------------

    def _control(self, record: Record) -> None:
        try:
            control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._undecodable(record, error, "a control record")
            return
        if isinstance(control, Clock):
            if not self.memo.clock:
                self.memo.clock = control.clock
            return
        if not self.memo.clock:
            self.memo.clock = "wall"
        if self.memo.clock == "wall":
            self._move(record.timestamp)
        elif isinstance(control, Tick):
            self._move(control.at)
        else:
            self._fire()
        if isinstance(control, Use):
            self._use(record, control)
        elif isinstance(control, Order):
            self._order(control)

    def _use(self, record: Record, control: Use) -> None:
        content = bytes(control.content)
        try:
            acts = self.versions.use(control.name, control.version, content)
        except (InvalidConfiguration, StateMismatch, msgspec.DecodeError) as error:
            self._reject(reject(record, self._source(), error), error)
            return
        if acts:
            self.lines = None
            self.used[content_key(control.name)] = content

    def _order(self, order: Order) -> None:
        if order.order == "pause":
            self.versions.paused.add(order.argument)
        elif order.order == "resume":
            self.versions.paused.discard(order.argument)
        else:
            return
        if order.argument in CHANNELS:  # what was decided before waits where it is
            hold = encode_notice(ChannelPaused(paused=order.order == "pause"))
            self.outputs.commit.records.append(Output(f"messages.{order.argument}", HOLD_KEY, hold))

    def _event(self, record: Record) -> None:
        try:
            event = decode_event(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._undecodable(record, error, "an event as the router writes it")
            return
        key = event.user.encode()
        customer = self._customer(key)
        if record.offset <= customer.seen:  # an ordered commit was cut short: this user is ahead of the position
            return
        if event.type in statements.SIMPLE and not event.traits:
            self._simple(record, key, customer, event)
            return
        arrived = _Arrived(record, key, customer, event)
        statement = statement_of(customer.facts, event, self.versions.configuration.consent)
        if statement is not None:
            self._stating(arrived, statement)
            return
        digest = repeats.digest_of(event.id)
        if repeats.knows(customer.facts.seen_ids, digest):
            self._count("events_duplicate")
            self._pass_over(event, "repeat")
            return
        try:
            self._admit(arrived)
        except InvalidEvent as error:
            self._reject(reject(record, self._source(), error), error)
            return
        self._fold(arrived, digest)

    def _simple(self, record: Record, key: bytes, customer: Customer, event: Event) -> None:
        """Fold an event without statement, order and traits, as nearly all are: what the others need is left out."""
        digest, lines = repeats.digest_of(event.id), self._lines()
        if repeats.knows(customer.facts.seen_ids, digest):
            self._count("events_duplicate")
            self._pass_over(event, "repeat")
            return
        try:
            self._in_time(customer.facts, event, lines)
        except InvalidEvent as error:
            self._reject(reject(record, self._source(), error), error)
            return
        if self._stepped(record, key, customer, event, lines):
            self._remember(customer.facts.seen_ids, digest, event, lines)
            customer.seen = record.offset
            self.touched[key] = None

    def _admit(self, arrived: _Arrived) -> None:
        """Refuse what is too late, and what the state has no room for; raises :class:`InvalidEvent`."""
        _, _, customer, event = arrived
        lines = self._lines()
        self._in_time(customer.facts, event, lines)
        check(customer.facts, event, lines)

    def _stating(self, arrived: _Arrived, statement: Statement) -> None:
        """Fold an event with a statement that counts in any case: if the event is refused, the statement is not."""
        record, _, customer, event = arrived
        facts, is_whole = customer.facts, statement.is_whole
        digest, said = repeats.digest_of(event.id), statements.digest_of(event)
        is_repeat = repeats.knows(facts.seen_ids, digest)
        is_said = statements.knows(facts, said) or repeats.knows(facts.seen_ids, said)
        if is_repeat or (is_said and is_whole):
            self._count("events_duplicate")
            self._pass_over(event, "repeat")
            if not is_said:
                self._salvage(arrived, statement, said, "duplicate")
            return
        try:
            self._admit(arrived)
        except InvalidEvent as error:
            if not is_said:
                self._salvage(arrived, statement, said, error.reason)
            if is_whole:
                self._pass_over(event, "statement")
            else:
                error.withdrawal = event if statement.is_new else None
                self._reject(reject(record, self._source(), error), error)
            return
        # A corrected record may come with the id of one whose withdrawal was all that could be read, so a withdrawal
        # is known by its digest alone.
        folded = self._fold(arrived, *((said,) if is_whole else (digest, said)))
        if folded is event:
            if statement.is_new:
                statements.remember(facts, said)
        elif folded is not None:  # the traits that state it may be among those without room
            self._salvage(arrived, statement, said, "no_room")
        elif not is_said:  # a repeat of an order, or it could not be folded, which has changed nothing of its user
            self._salvage(arrived._replace(customer=self._customer(arrived.key)), statement, said, "not_folded")

    def _salvage(self, arrived: _Arrived, statement: Statement, said: bytes, why: str) -> None:
        """Let the statement of a refused event count, and nothing else of it."""
        if not statement.is_new:
            return
        customer, event = arrived.customer, self._in_this_log(arrived.event)
        before = pack(customer) if self.careful else b""
        try:
            step.step_statement(customer, event, statement, self.effects)
            self._emit(arrived.key)
        except Exception as error:  # noqa: BLE001 - whatever it raises, it alone is to blame
            self._failed(arrived.key, before, error)
            self._reject(reject(arrived.record, self._source(), error), error)
            return
        self._folded(arrived)
        statements.remember(customer.facts, said)
        self._count("withdrawals_salvaged", why)

    def _fold(self, arrived: _Arrived, *digests: bytes) -> Event | None:
        """Fold an event without the traits that have no room; return it, or ``None`` if it was not folded.

        It is not folded if that fails, or if it repeats an order.
        """
        record, key, customer, event = arrived
        lines, excess, no_room = self._lines(), None, []
        if event.traits:
            no_room = trait_limits.beyond(customer.facts.traits, event.traits, self.versions.configuration.consent)
            event = trait_limits.without(event, no_room)
        if event.type == "purchase":
            if repeat := orders.repeat_of(customer.facts, event, lines.orders):
                self._count("orders_repeated", repeat)
                self._pass_over(event, "order")
                self._folded(arrived, *digests)
                return None
        elif event.type == "refund":
            excess = orders.excess_of(customer.facts, event, lines.orders)
        if not self._stepped(record, key, customer, event, lines):
            return None
        self._folded(arrived, *digests)
        if excess is not None:
            self._reject_excess(record, *excess)
        if no_room:
            self._reject_detail(record, trait_limits.warning(no_room))
        return event

    def _stepped(self, record: Record, key: bytes, customer: Customer, event: Event, lines: Lines) -> bool:
        """Let the step fold an event; return whether it could, otherwise the user is as before."""
        before = pack(customer) if self.careful else b""
        next_due = customer.next_due
        try:
            self._step(key, customer, event, lines)
        except Exception as error:  # noqa: BLE001 - whatever an event raises, it alone is to blame
            self._failed(key, before, error)
            self._reject(reject(record, self._source(), error), error)
            return False
        self.memo.failing = 0
        if customer.next_due != next_due:
            self._note(key, customer)
        self.folded[event.type] += 1
        return True

    def _folded(self, arrived: _Arrived, *digests: bytes) -> None:
        """Remember what was folded, and that the user has seen the record."""
        customer = arrived.customer
        for digest in digests:
            self._remember(customer.facts.seen_ids, digest, arrived.event, self._lines())
        customer.seen = arrived.record.offset
        self.touched[arrived.key] = None

    def _reject_excess(self, record: Record, excess: int, order: KnownOrder) -> None:
        """Say that only a part of a refund has counted."""
        left = order.amount - orders.refunded(order)
        currency = orders.currency_of(order)
        found = f"{excess / MICROS:.2f} {currency} more than is left of the order"
        allowed = f"{left / MICROS:.2f} {currency}, which has counted"
        self._reject_detail(record, EventWarning(orders.EXCESS, "amount", found, allowed, rejected=True))

    def _reject_detail(self, record: Record, detail: EventWarning) -> None:
        """Write a dead letter for a part of an event that does not count although the event does."""
        letters = reject_details(record.value, self._source(), [detail], at=record.timestamp, key=record.key)
        self.outputs.commit.records.extend(letters)
        self._count("event_warnings", detail.reason)

    def _step(self, key: bytes, customer: Customer, event: Event, lines: Lines) -> None:
        """Fold an event, and append what follows to the outputs."""
        event = self._in_this_log(event)
        is_late = event.at < lines.edge and event.at < customer.facts.last_seen
        step.step_event(customer, event, self.memo.now, self.versions, self.effects, lines)
        self._emit(key)
        if is_late:
            self._count("events_late")

    def _in_this_log(self, event: Event) -> Event:
        if self.memo.clock == "wall":
            if event.at > self.memo.now:  # it cannot have happened after it was read
                return msgspec.structs.replace(event, at=self.memo.now)
        elif event.origin == "live":  # nothing is live in a log of another time
            return msgspec.structs.replace(event, origin="replay")
        return event

    def _emit(self, key: bytes) -> None:
        """Turn what a step gave into outputs, and leave nothing of it for the next one."""
        if not self.effects.is_empty:
            encode_effects(key, self.effects, self.outputs)
            self.effects.clear()

    def _failed(self, key: bytes, before: bytes, error: Exception) -> Customer:
        """Bring the user back to where the step began."""
        self.effects.clear()
        if not self.careful:
            raise _Unfoldable from error
        self.memo.failing += 1
        if self.memo.failing >= FAILURES:
            raise FoldBroken(f"{FAILURES} events and timers in a row could not be folded") from error
        customer = self.live[key] = unpack(before)
        return customer

    def _pass_over(self, event: Event, why: str) -> None:
        """Note that an event counts nowhere and is no dead letter, so that a replay can account for each line."""
        if event.type not in REPORTED:
            self.memo.passed_over[why] = self.memo.passed_over.get(why, 0) + 1

    # --- repeats and lateness --------------------------------------------------------------------------------------

    def _lines(self) -> Lines:
        """Say what is late now, and what is refused: only ids that such events carry may be forgotten."""
        now = self.memo.now
        if self.lines is None or self.lines_now != now:
            settings = self.versions.configuration.events
            self.memo.floor = max(self.memo.floor, now - settings.horizon)
            remembered = now - settings.remember_orders
            self.lines = Lines(now - settings.order_within, self.memo.floor, remembered)
            self.lines_now = now
        return self.lines

    def _in_time(self, facts: Facts, event: Event, lines: Lines) -> None:
        """Refuse what is too late, whose repeat could not be known any more; only a person can decide otherwise."""
        floor = max(lines.floor, facts.seen_ids.floor)
        if event.at >= floor or event.forced or (self.memo.clock == "feeder" and event.type in REPORTED):
            return  # a feeder's clock may run ahead of what delivery does and says
        allowed = f"{floor} or later, which is as far back as repeats can be known; a person may force it"
        raise InvalidEvent("too_late", "at", event.at, allowed)

    def _remember(self, ids: SeenIds, digest: bytes, event: Event, lines: Lines) -> None:
        if ids.marks and ids.marks[1] < lines.floor:
            repeats.forget(ids, lines.floor)
        forgotten = repeats.remember(ids, digest, self.memo.now, event.at)
        if forgotten:
            self._count("ids_forgotten", by=float(forgotten))

    # --- state and outputs -----------------------------------------------------------------------------------------

    def _customer(self, key: bytes) -> Customer:
        customer = self.live.get(key)
        if customer is None:
            packed = self.stored.get(key)
            customer = Customer() if packed is None else unpack(packed)
            self.live[key] = customer
        return customer

    def _undecodable(self, record: Record, error: Exception, allowed: str) -> None:
        invalid = InvalidEvent("undecodable", "", str(error), allowed)
        self._reject(reject(record, self._source(), invalid), invalid)

    def _source(self) -> Source:
        return Source(self.batch.topic, self.batch.partition, self.record.offset)

    def _reject(self, output: Output, error: Exception) -> None:
        self.outputs.commit.records.append(output)
        self._count("events_rejected", reason_of(error))

    def _count(self, *name: str, by: float = 1.0) -> None:
        self.counts[name] = self.counts.get(name, 0.0) + by
