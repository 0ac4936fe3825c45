"""Fold what concerns two profiles of one person: logins, merges, and events that an anonymous id forwards.

Four steps lead from a login to one profile, each in the partition of its user:

1. The known user's profile reads an event that names an anonymous id. It notes the link and writes a notice.
2. The profile of the anonymous id reads the notice. It writes a merge record with everything that it knows, and keeps
   only its owner and the message ids within the horizon.
3. The known user's profile reads the merge record, and joins its facts and its ledger with it.
4. Later events of the anonymous id are forwarded, numbered, and folded by the known user's profile.

All these records go through ``outcomes``, from where the router writes them into the partition of their user. They are
outputs of the fold, so they exist once for each step that was committed. A repeat is recognized by the id of the merge,
and by the number of a forwarded event.
"""

from __future__ import annotations

from typing import cast

import msgspec

from models.batch import Output, Record
from models.conditions.user_state import ClauseState
from models.configuration.compiled import ConsentSettings
from models.engage.outcomes import notices_of_withdrawal, withdrawals_of_visitor
from models.events import ORIGINS, Channel, Event, Forwarding, LoginNotice, MergeOutcome, MergeRecord, encode_event
from models.fold import assessment, clause_steps, step
from models.fold.effects import StepEffects
from models.fold.failures import EVENT, Cause
from models.fold.known_failures import KnownFailures
from models.fold.live_user import LiveUser
from models.fold.members import SegmentMove
from models.fold.partition_state import PartitionState
from models.fold.piece import Piece
from models.fold.scores import PieceScores
from models.fold.stages import StageCount
from models.identity import joining, ledgers, linking
from models.identity.payload import pack_payload, unpack_payload
from models.profile import seen_ids, timers
from models.profile.ledger import Ledger
from models.profile.links import IdentityLink, IdentityOwner, ProfileIdentity
from models.profile.numbers import new_numbers, numbers_of, put_back
from models.profile.signals import Signal
from models.profile.state import Customer, Facts
from models.profile.statements import SIMPLE, statement_of

LEVEL = 2
"""First format level in which profiles are merged."""
OUTCOMES = "outcomes"
"""Topic from which the router writes records into the partition of their user."""


class IdentityFold:
    """The part of the fold of one piece that concerns two profiles of one person.

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
        self._versions = state.versions

    def take(self, record: Record, user: LiveUser, event: Event) -> Event | None:
        """Update the user's links by an event, and return the event that is to be folded.

        Parameters
        ----------
        record
            The record of the event.
        user
            The user of the event.
        event
            An event with an anonymous id, or of a user with links.

        Returns
        -------
        Event or None
            The event; ``None`` if it is a record between profiles, or if it was forwarded.
        """
        if self._versions.level < LEVEL:
            return event
        said = event.identity
        if isinstance(said, (LoginNotice, MergeRecord)):
            self._read(record, user, event, said)
            return None
        identity = user.customer.identity
        if identity is not None and identity.owner is not None:
            self._forward(record, user, event, identity.owner)
            return None
        if isinstance(said, Forwarding):
            return self._received(record, user, event, said)
        if event.anonymous is not None and event.identified and self._is_accepted(user, event):
            self._note_login(user, event)
        return event

    # --- the known user: login and forwarded events ----------------------------------------------------------------

    def _is_accepted(self, user: LiveUser, event: Event) -> bool:
        """Return whether the event is no repeat, and not too late."""
        ids, cutoffs = user.facts.seen_ids, self._state.cutoffs()
        is_late = event.at < max(cutoffs.refused_before, ids.floor) and not event.forced
        return not is_late and not seen_ids.knows(ids, seen_ids.digest_of(event.id))

    def _note_login(self, user: LiveUser, event: Event) -> None:
        identity = _identity_of(user)
        event = self._state.adjusted(event)
        known = user.facts.origin if user.facts.events else event.origin
        origin = max(known, event.origin, key=ORIGINS.index)
        for notice in linking.link_login(identity, event, origin):
            self._outputs.add_record(_output(notice))
            user.has_changed = True

    def _received(self, record: Record, user: LiveUser, event: Event, note: Forwarding) -> Event | None:
        user.customer.seen, user.has_changed = record.offset, True
        if not linking.has_number(_identity_of(user), event, note.number):
            self._outputs.count("identity_records", "repeated")
            return None
        # An event that was in time at the anonymous profile is folded even if it is too late by now.
        return event if note.is_late else msgspec.structs.replace(event, forced=True)

    # --- records between profiles ----------------------------------------------------------------------------------

    def _read(self, record: Record, user: LiveUser, event: Event, said: LoginNotice | MergeRecord) -> None:
        if self._failures.errors:
            error = self._failures.meet(Cause(record.offset, EVENT))
            if error is not None:
                self._outputs.reject(error)
                return
        if isinstance(said, MergeRecord):
            self._merge(user, event, said)
        elif linking.is_nameless(user.name):
            self._answer(record.offset, user, event, said)
        else:
            self._note_conflict(user, event, said)  # an alias has named one known user as the previous id of another
        self._piece.has_success = True
        if user.has_changed:
            user.customer.seen = record.offset

    def _note_conflict(self, user: LiveUser, event: Event, notice: LoginNotice) -> None:
        if user.facts.events:
            linking.note_conflict(_identity_of(user), notice.known, event.at, "known_to_known")
            self._outputs.count("identity_records", "known_to_known")
            user.has_changed = True

    def _answer(self, offset: int, user: LiveUser, event: Event, notice: LoginNotice) -> None:
        """Answer the notice at an offset in the profile of an anonymous id."""
        facts, owner = user.facts, _identity_of(user).owner
        outcome: MergeOutcome = "empty"
        if not linking.is_newer(notice, owner):
            outcome = "empty" if owner is not None and owner.user == notice.known else "newer_login"
        elif owner is None and facts.events and facts.origin != notice.origin:
            outcome = "other_origin"
            linking.note_conflict(_identity_of(user), notice.known, event.at, outcome)
        else:
            number = 0 if owner is None else owner.number
            merge = linking.merge_id(user.name, notice.known, notice.login)
            _identity_of(user).owner = IdentityOwner(notice.known, notice.login_at, notice.login, merge, number)
            if owner is None and facts.events:
                user.has_changed = True
                self._hand_over(offset, user, event, notice)
                return
        user.has_changed = True
        if notice.awaits or (owner is not None and owner.user != notice.known):
            number = 0 if owner is None else owner.number
            record = MergeRecord(outcome, notice.login, notice.login_at, number, notice=offset)
            self._outputs.add_record(_output(linking.answer(user.name, event, notice, record)))

    def _hand_over(self, offset: int, user: LiveUser, event: Event, notice: LoginNotice) -> None:
        """Write everything that the profile knows into a merge record, and keep only the ids within the horizon."""
        piece, ledger = self._piece, user.ledger
        work = piece.begin(user, event)
        user.keep_view(work.number)
        put_back(user.numbers, user.facts)
        taken = user.facts
        if (conditions := self._versions.conditions) is not None:
            # Decisions about earlier steps of the piece still read the user's clauses, so these stay as they are.
            clause_steps.end(piece, conditions, work)
            clauses = user.open_conditions()
            clauses.settle()
            taken.known_since = clauses.state.known_since
            taken.clauses = ClauseState(entries=dict(clauses.state.entries))
        carts = [timer for timer in ledger.timers if timer.name.startswith(f"{step.CART}:")]
        ids = taken.seen_ids
        kept = seen_ids.SeenIds(ids.floor, list(ids.marks), ids.digests)
        user.customer.facts = user.facts = Facts(origin=taken.origin, seen_ids=kept, conditions=taken.conditions)
        user.numbers, user.row, user.is_scheduled, user.rfm = new_numbers(), -1, False, None
        ledger.timers, ledger.assessed_at = [], 0
        _watch_ids(user, self._versions.configuration.events.horizon, self._piece.now)
        self._state.schedule(user)
        schema = self._versions.schema

        def give(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - no scores
            _leave_conditions(piece, user, taken.conditions, work.now)
            effects.notices.extend(withdrawals_of_visitor(ledger, user.name, work.now))
            visitor = ledgers.taken_out(ledger)
            visitor.timers = carts
            reminded = {rule for rule, at in visitor.fired.items() if at >= taken.cart_at}
            rules = tuple(sorted(reminded | {pending.rule for pending in visitor.pending}))
            payload = pack_payload(taken, visitor, schema)
            record = MergeRecord("merged", notice.login, notice.login_at, 0, payload, rules, offset)
            effects.forwarded.append(_output(linking.answer(user.name, event, notice, record)))
            effects.has_moved_pending = True

        work.later(give)
        piece.finish(work)

    # --- the merge -------------------------------------------------------------------------------------------------

    def _merge(self, user: LiveUser, event: Event, merge: MergeRecord) -> None:
        """Join the profile of an anonymous id with that of its user."""
        identity, anonymous = _identity_of(user), event.anonymous or ""
        link = identity.links.get(anonymous)
        if link is None:
            link = identity.links[anonymous] = IdentityLink(merge.login_at, merge.login)
        if not linking.has_answer(link, event.id, merge, self._piece.now):
            self._outputs.count("identity_records", "repeated")
            return
        visitor = unpack_payload(merge.payload) if merge.payload else None
        self._outputs.count("identity_records", merge.outcome)
        user.has_changed = True
        if visitor is not None:
            link.events = sum(visitor.facts.events.values())
            self._join(user, event, merge, visitor)

    def _join(self, user: LiveUser, event: Event, merge: MergeRecord, visitor: Customer) -> None:
        piece = self._piece
        if not user.is_aligned:
            assessment.align(piece, user)
        work = piece.begin(user, event)
        user.keep_view(work.number)
        put_back(user.numbers, user.facts)
        before, conditions = user.facts, self._versions.conditions
        if conditions is not None:
            clause_steps.begin(piece, conditions, work)
        joint = joining.join(before, visitor.facts, piece.now, self._state.cutoffs())
        user.customer.facts = user.facts = facts = joint.facts
        user.numbers = numbers_of(facts)
        if conditions is not None:
            clause_steps.join(piece, conditions, work, before, visitor.facts)
        if joint.forgotten:
            self._outputs.count("ids_forgotten", by=float(joint.forgotten))
        for _ in joint.left_out:
            self._outputs.count("event_warnings", "state_full")
        assessment.mark_returned_by(user, visitor.facts, self._versions)
        if facts.sessions:
            assessment.schedule(user, piece.now)
            piece.score(work)
        _watch_cart(piece, user, merge, visitor)
        self._state.schedule(user)
        is_empty, configuration, outputs = not facts.cart, self._versions.configuration, self._outputs
        lost = [
            cast("Channel", one)
            for one, known in before.consent.items()
            if known.granted and not facts.consent[one].granted
        ]

        def is_over(signal: Signal) -> bool:
            return is_empty and signal.kind == "cart_left"

        def give(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - no scores
            dropped = ledgers.join_ledgers(ledger, visitor.ledger, user.name, configuration, work.now, is_over)
            if dropped:
                outputs.count("identity_records", "pending_dropped", by=float(dropped))
            effects.notices.extend(notices_of_withdrawal(ledger, event, lost, lost))
            effects.has_moved_pending = True

        work.later(give)
        piece.finish(work)

    # --- the anonymous id after the merge --------------------------------------------------------------------------

    def _forward(self, record: Record, user: LiveUser, event: Event, owner: IdentityOwner) -> None:
        """Forward an event of an anonymous id to its owner, unless it is a repeat."""
        ids, digest, cutoffs = user.facts.seen_ids, seen_ids.digest_of(event.id), self._state.cutoffs()
        if seen_ids.knows(ids, digest) and not _has_statement(event, self._versions.configuration.consent):
            self._outputs.count("events_duplicate")
            self._outputs.pass_over(event, "repeat")
            return
        number = owner.number + 1
        is_late = event.at < max(cutoffs.refused_before, ids.floor) and not event.forced
        adjusted = self._state.adjusted(event)
        self._outputs.add_record(_output(linking.forwarded_to(owner, adjusted, user.name, Forwarding(number, is_late))))
        self._outputs.count("identity_records", "forwarded")
        _identity_of(user).owner = IdentityOwner(owner.user, owner.login_at, owner.login, owner.merge, number)
        forgotten = seen_ids.remember(ids, digest, self._piece.now, event.at, cutoffs.refused_before)
        if forgotten:
            self._outputs.count("ids_forgotten", by=float(forgotten))
        _watch_ids(user, self._versions.configuration.events.horizon, self._piece.now)
        self._state.schedule(user)
        user.customer.seen, user.has_changed = record.offset, True


def _output(event: Event) -> Output:
    return Output(OUTCOMES, event.user.encode(), encode_event(event))


def _has_statement(event: Event, settings: ConsentSettings) -> bool:
    """Return whether an event may withdraw consent; the known user's profile decides whether it is a repeat."""
    if event.type in SIMPLE and not event.traits:
        return False
    return statement_of(Facts(), event, settings) is not None


def _identity_of(user: LiveUser) -> ProfileIdentity:
    identity = user.customer.identity
    if identity is None:
        identity = user.customer.identity = ProfileIdentity()
    return identity


def _leave_conditions(piece: Piece, user: LiveUser, generation: int, now: int) -> None:
    """Take a visitor out of the segments by rule and the lifecycle, because the known user is in them from now on.

    Parameters
    ----------
    piece, user, now
        The piece, the visitor, and the partition's clock in milliseconds.
    generation
        Generation of the conditions to which the visitor has come.
    """
    conditions, ledger = piece.versions.conditions, user.ledger
    if conditions is not None and conditions.machine is not None and generation >= conditions.staged_from:
        stage = conditions.machine.initial if ledger.stage is None else ledger.stage.name
        piece.stages.append(StageCount(stage, "", now, is_silent=True))
    ledger.stage = None
    members = ledger.memberships if user.conditions is None else user.conditions.memberships
    if conditions is not None and members is not None:
        for segment in conditions.program.segments:
            if members.since.pop(segment.key, None) is not None:
                piece.moves.append(SegmentMove(segment.name, user.name, False, now, is_silent=True))
    ledger.memberships, ledger.segment_since = None, 0


def _watch_ids(user: LiveUser, horizon: int, now: int) -> None:
    """Set the timer at which the ids that an anonymous profile has kept are beyond the horizon."""
    marks = user.facts.seen_ids.marks
    if marks:
        timers.set_timer(user.customer, step.FORGET, max(max(marks[1::2]) + horizon, now) + 1)


def _watch_cart(piece: Piece, user: LiveUser, merge: MergeRecord, visitor: Customer) -> None:
    """Set the timers of the rules that wait for a cart to be left, after the carts of two profiles were joined.

    A timer that one of the two has set is kept. The visitor's timer may have fired without a message, because the
    visitor had no address or no consent. Then the waiting time begins again with the login.
    """
    facts = user.facts
    if not facts.cart:
        timers.cancel_all(user.customer, step.CART)
        return
    waiting = {timer.name for timer in visitor.ledger.timers}
    for rule, delay in piece.versions.cart_timers:
        name, due = f"{step.CART}:{rule}", facts.cart_at + delay
        if name in waiting or timers.is_set(user.customer, name):
            timers.set_timer(user.customer, name, due)
        elif visitor.facts.cart and rule not in merge.reminded:
            timers.set_timer(user.customer, name, max(due, merge.login_at + delay))
