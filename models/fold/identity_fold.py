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

import msgspec

from models.batch import Record
from models.engage.campaigns.moves import CampaignMove
from models.engage.outcomes import notices_of_loss
from models.events import ORIGINS, Event, Forwarding, LoginNotice, MergeRecord
from models.fold import assessment, clause_steps, confirmations, step
from models.fold.effects import StepEffects
from models.fold.failures import EVENT, Cause
from models.fold.known_failures import KnownFailures
from models.fold.live_user import LiveUser
from models.fold.moved_runs import take_over_runs
from models.fold.outputs import between_profiles
from models.fold.partition_state import PartitionState
from models.fold.piece import Piece
from models.fold.scores import PieceScores
from models.fold.visitor_fold import VisitorFold
from models.identity import joining, ledgers, linking
from models.identity.payload import unpack_payload
from models.identity.splitting import is_passed_over
from models.profile import purposes, seen_ids, timers
from models.profile.ledger import Ledger
from models.profile.links import IdentityLink, ProfileIdentity
from models.profile.numbers import PURCHASES, numbers_of, put_back
from models.profile.signals import Signal
from models.profile.state import Customer

LEVEL = 2
"""First format level in which profiles are merged."""


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
        self._visitors = VisitorFold(state, piece)

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
        if said is not None and self._passes_over(user.customer.identity, event):
            self._outputs.count("identity_records", "passed_over")
            return None
        if isinstance(said, (LoginNotice, MergeRecord)):
            self._read(record, user, event, said)
            return None
        if self._visitors.has_owner(user):
            self._visitors.forward(record, user, event)
            return None
        if isinstance(said, Forwarding):
            return self._received(record, user, event, said)
        if event.anonymous is not None and event.identified and self._is_accepted(user, event):
            self._note_login(user, event)
        return event

    def _passes_over(self, identity: ProfileIdentity | None, event: Event) -> bool:
        """Return whether a record between profiles came through a link that was split, or that this fold leaves out."""
        left_out = self._state.left_out
        return is_passed_over(identity, event) or (left_out is not None and left_out.has_record(event))

    # --- the known user: login and forwarded events ----------------------------------------------------------------

    def _is_accepted(self, user: LiveUser, event: Event) -> bool:
        """Return whether the event is no repeat, and not too late."""
        ids, cutoffs = user.facts.seen_ids, self._state.cutoffs()
        is_late = event.at < max(cutoffs.refused_before, ids.floor) and not event.forced
        return not is_late and not seen_ids.knows(ids, seen_ids.digest_of(event.id))

    def _note_login(self, user: LiveUser, event: Event) -> None:
        identity = user.open_identity()
        event = self._state.memo.adjusted(event)
        known = user.facts.origin if user.facts.events else event.origin
        origin = max(known, event.origin, key=ORIGINS.index)
        for notice in linking.link_login(identity, event, origin):
            self._outputs.add_record(between_profiles(notice))
            user.has_changed = True

    def _received(self, record: Record, user: LiveUser, event: Event, note: Forwarding) -> Event | None:
        user.customer.seen, user.has_changed = record.offset, True
        if not linking.has_number(user.open_identity(), event, note.number):
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
            has_changed = self._merge(user, event, said)
        elif linking.is_nameless(user.name):
            has_changed = True
            self._visitors.answer(record.offset, user, event, said)
        else:  # an alias has named one known user as the previous id of another
            has_changed = self._note_conflict(user, event, said)
        self._piece.has_success = True
        if has_changed:
            user.customer.seen, user.has_changed = record.offset, True

    def _note_conflict(self, user: LiveUser, event: Event, notice: LoginNotice) -> bool:
        """Record that two known users are not merged, and return whether the profile has changed."""
        if not user.facts.events:
            return False
        linking.note_conflict(user.open_identity(), notice.known, event.at, "known_to_known")
        self._outputs.count("identity_records", "known_to_known")
        return True

    # --- the merge -------------------------------------------------------------------------------------------------

    def _merge(self, user: LiveUser, event: Event, merge: MergeRecord) -> bool:
        """Join the profile of an anonymous id with that of its user, and return whether it has changed."""
        identity, anonymous = user.open_identity(), event.anonymous or ""
        link = identity.links.get(anonymous)
        if link is None:
            link = identity.links[anonymous] = IdentityLink(merge.login_at, merge.login)
        if not linking.has_answer(link, event.id, merge, self._piece.now):
            self._outputs.count("identity_records", "repeated")
            return False
        visitor = unpack_payload(merge.payload) if merge.payload else None
        self._outputs.count("identity_records", merge.outcome)
        if visitor is not None:
            link.events += sum(visitor.facts.events.values())
            self._join(user, event, merge, visitor)
        return True

    def _join(self, user: LiveUser, event: Event, merge: MergeRecord, visitor: Customer) -> None:
        piece = self._piece
        if not user.is_aligned:
            assessment.align(piece, user)
        work, now = piece.begin(user, event), piece.now
        user.keep_view(work.number)
        put_back(user.numbers, user.facts)
        before, conditions = user.facts, self._versions.conditions
        if conditions is not None:
            clause_steps.begin(piece, conditions, work)
        joint = joining.join(before, visitor.facts, piece.now, self._state.cutoffs())
        user.customer.facts = user.facts = facts = joint.facts
        user.numbers = numbers_of(facts)
        facts.consent = purposes.note_purchase(facts.consent, int(user.numbers[PURCHASES]))
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
        step.tell_each(work, confirmations.ask(piece, work))
        self._state.schedule(user)
        is_empty, configuration, outputs = not facts.cart, self._versions.configuration, self._outputs
        lost = purposes.lost(before.consent, facts.consent)

        def is_over(signal: Signal) -> bool:
            return is_empty and signal.kind == "cart_left"

        def give(effects: StepEffects, ledger: Ledger, scores: PieceScores) -> None:  # noqa: ARG001 - no scores
            marks = ledger.marks
            waiting = {mark.order for mark in ledger.campaigns if mark.state == "in"}
            dropped = ledgers.join_ledgers(ledger, visitor.ledger, user.name, configuration, now, is_over)
            ledger.campaigns = self._versions.campaigns.trimmed(ledger.campaigns, now)
            effects.note_marks(marks, ledger.marks, 0)
            if dropped:
                outputs.count("identity_records", "pending_dropped", by=float(dropped))
            effects.notices.extend(notices_of_loss(ledger, event, lost))
            take_over_runs(piece, ledger, visitor.ledger, now)
            decided = (mark.order for mark in ledger.campaigns if mark.state != "in")
            piece.campaigns += [CampaignMove(order, "left") for order in decided if order in waiting]
            effects.has_moved_pending = True

        work.later(give)
        piece.finish(work)


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
