"""Fold the profile of an anonymous id: hand it over after a login, and forward later events to the known user.

:mod:`models.fold.identity_fold` describes the four steps of a merge; these are the second and the fourth one.
"""

from __future__ import annotations

import msgspec

from models.batch import Record
from models.conditions.user_state import ClauseState
from models.configuration.compiled import ConsentSettings
from models.engage.campaigns.moves import CampaignMove
from models.engage.outcomes import withdrawals_of_visitor
from models.events import Event, Forwarding, HandoverNote, LoginNotice, MergeOutcome, MergeRecord
from models.fold import clause_steps, step
from models.fold.effects import StepEffects
from models.fold.live_user import LiveUser
from models.fold.members import SegmentMove
from models.fold.moved_runs import hand_over_runs
from models.fold.outputs import between_profiles
from models.fold.partition_state import PartitionState
from models.fold.piece import Piece
from models.fold.scores import PieceScores
from models.fold.stages import StageCount
from models.identity import ledgers, linking
from models.identity.payload import pack_payload
from models.profile import seen_ids, timers
from models.profile.ledger import Ledger
from models.profile.links import IdentityOwner, ProfileIdentity
from models.profile.numbers import new_numbers, put_back
from models.profile.state import Facts
from models.profile.statements import SIMPLE, statement_of


class VisitorFold:
    """The part of the fold of one piece that concerns the profiles of anonymous ids whose visitors log in.

    Parameters
    ----------
    state
        The partition's state; its users are changed in place.
    piece
        The piece; it gets the outputs, and everything that the other passes need.
    """

    def __init__(self, state: PartitionState, piece: Piece) -> None:
        self._state = state
        self._piece = piece
        self._outputs = piece.outputs
        self._versions = state.versions

    def has_owner(self, user: LiveUser) -> bool:
        """Return whether the events of a user are forwarded to a known user."""
        identity = user.customer.identity
        owner = None if identity is None else identity.owner
        return owner is not None and not self._leaves_out(user, owner.user, owner.login_at)

    def _leaves_out(self, user: LiveUser, known: str, login_at: int) -> bool:
        """Return whether this fold leaves out the login by which an anonymous id belongs to a known user."""
        left_out = self._state.left_out
        return left_out is not None and left_out.has_login(known, user.name, login_at)

    def answer(self, offset: int, user: LiveUser, event: Event, notice: LoginNotice) -> None:
        """Answer the notice of a login.

        Parameters
        ----------
        offset, event, notice
            The offset of the notice's record, its event and its content.
        user
            The user of the anonymous id.
        """
        facts, identity = user.facts, user.open_identity()
        owner, number = identity.owner, identity.last_number
        outcome: MergeOutcome = "empty"
        if not linking.is_newer(notice, owner):
            if owner is not None and owner.user != notice.known:
                outcome = "newer_login"
                linking.remember(identity, linking.owner_of(user.name, notice, number))
        elif owner is None and facts.events and facts.origin != notice.origin:
            outcome = "other_origin"
            linking.note_conflict(identity, notice.known, event.at, outcome)
        else:
            linking.own(identity, user.name, notice)
            if owner is None and facts.events and not self._leaves_out(user, notice.known, notice.login_at):
                self._hand_over(offset, user, event, notice)
                return
        if notice.awaits or (owner is not None and owner.user != notice.known):
            record = MergeRecord(outcome, notice.login, notice.login_at, number, notice=offset)
            self._outputs.add_record(between_profiles(linking.answer(user.name, event, notice, record)))

    def _hand_over(self, offset: int, user: LiveUser, event: Event, notice: LoginNotice) -> None:
        """Write everything that the profile knows into a merge record, and keep only the ids within the horizon."""
        piece, ledger, identity = self._piece, user.ledger, user.open_identity()
        work, now = piece.begin(user, event), piece.now
        user.keep_view(work.number)
        put_back(user.numbers, user.facts)
        taken = user.facts
        identity.parts += 1
        number, part = identity.last_number, identity.parts
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
            _leave_conditions(piece, user, taken.conditions, now)
            effects.notices.extend(withdrawals_of_visitor(ledger, user.name, notice.known, now))
            visitor = ledgers.taken_out(ledger)
            visitor.timers = carts
            hand_over_runs(piece, visitor, now)
            piece.campaigns += [CampaignMove(one.order, "left") for one in visitor.campaigns if one.state == "in"]
            reminded = {rule for rule, at in visitor.fired.items() if at >= taken.cart_at}
            rules = tuple(sorted(reminded | {pending.rule for pending in visitor.pending}))
            payload = pack_payload(taken, visitor, schema)
            record = MergeRecord("merged", notice.login, notice.login_at, number, payload, rules, offset, part)
            effects.forwarded.append(between_profiles(linking.answer(user.name, event, notice, record)))
            effects.has_moved_pending = True

        work.later(give)
        piece.finish(work)

    def forward(self, record: Record, user: LiveUser, event: Event) -> None:
        """Forward an event of an anonymous id to its owner, unless it is a repeat."""
        identity = user.open_identity()
        owner = identity.owner
        assert owner is not None, "an anonymous id without an owner"
        ids, digest, cutoffs = user.facts.seen_ids, seen_ids.digest_of(event.id), self._state.cutoffs()
        if seen_ids.knows(ids, digest) and not _has_statement(event, self._versions.configuration.consent):
            self._outputs.count("events_duplicate")
            self._outputs.pass_over(event, "repeat")
            return
        number = owner.number + 1
        is_late = event.at < max(cutoffs.refused_before, ids.floor) and not event.forced
        adjusted, (to, signal) = self._state.memo.adjusted(event), _target_of(event, identity, owner)
        note = Forwarding(number, is_late, to.login_at, signal)
        self._outputs.add_record(between_profiles(linking.forwarded_to(to, adjusted, user.name, note)))
        self._outputs.count("identity_records", "forwarded")
        sent = owner.forwarded + (to.user == owner.user)
        identity.owner = msgspec.structs.replace(owner, number=number, forwarded=sent)
        forgotten = seen_ids.remember(ids, digest, self._piece.now, event.at, cutoffs.refused_before)
        if forgotten:
            self._outputs.count("ids_forgotten", by=float(forgotten))
        _watch_ids(user, self._versions.configuration.events.horizon, self._piece.now)
        self._state.schedule(user)
        user.customer.seen, user.has_changed = record.offset, True


def _target_of(event: Event, identity: ProfileIdentity, owner: IdentityOwner) -> tuple[IdentityOwner, bytes]:
    """Return the known user of a forwarded event, and the signal about which this user's profile decides again.

    A message that was handed over stays with its user, even if the visitor has another owner by now.
    """
    said = event.identity
    if not isinstance(said, HandoverNote):
        return owner, b""
    known = (one for one in (owner, *identity.earlier) if one.user == said.known)
    return next(known, msgspec.structs.replace(owner, user=said.known)), said.signal


def _has_statement(event: Event, settings: ConsentSettings) -> bool:
    """Return whether an event may withdraw consent; the known user's profile decides whether it is a repeat."""
    if event.type in SIMPLE and not event.traits:
        return False
    return statement_of(Facts(), event, settings) is not None


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
