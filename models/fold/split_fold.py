"""Follow a control record that ends a link: the profile becomes what it would be without the link.

The record brings the profile as a fold of the log without the link has computed it up to an offset. It counts only if
the profile had no record since that offset, and if the same conditions are in use. So each event counts in exactly one
of the two profiles. What was decided and sent stays with the profile that it was sent to.

Nothing is decided here: segments, stages and scores change in silence.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from models.batch import Output, Record
from models.engage.outcomes import notices_of_loss
from models.events import Event, MergeRecord
from models.fold.assessment import LABEL
from models.fold.conditions_in_use import ConditionsInUse
from models.fold.effects import StepEffects
from models.fold.live_user import PENDING, RUNS
from models.fold.members import SegmentMove
from models.fold.outputs import between_profiles, encode_effects
from models.fold.partition_state import PartitionState
from models.fold.stages import StageCount
from models.identity.linking import is_nameless, merge_id
from models.identity.payload import unpack_payload
from models.identity.splitting import (
    LeftOut,
    note_record,
    pair_of,
    settled_ledger,
    split_known,
    split_of,
    split_visitor,
)
from models.log import ProfileSplit
from models.profile import purposes, timers
from models.profile.ledger import Ledger
from models.profile.links import IdentityOwner, LinkSplit, ProfileIdentity
from models.profile.signals import Signal
from models.profile.state import Customer, Facts

SplitOutcome: TypeAlias = Literal["", "split", "split_stale", "split_repeated", "split_left_out"]
"""Effect of a record.

- ``split``: the profile is split.
- ``split_stale``: the profile has changed since it was computed, so another record follows.
- ``split_repeated``: the profile was split before.
- ``split_left_out``: the record only tells a fold that leaves links out what the running fold has done.
- empty: nothing, because the profile is ahead of the position of the partition.
"""

_decode_signal = msgspec.json.Decoder(Signal).decode


class SplitFold:
    """The work for one control record that ends a link.

    Parameters
    ----------
    state
        The partition's state; the user of the record is changed in place.
    record, split
        The record and its content.

    Attributes
    ----------
    outputs, moves, stages
        Records that follow, and the moves to count.
    """

    def __init__(self, state: PartitionState, record: Record, split: ProfileSplit) -> None:
        self.outputs: list[Output] = []
        self.moves: list[SegmentMove] = []
        self.stages: list[StageCount] = []
        self._state = state
        self._record = record
        self._split = split
        self._key = split.user.encode()

    def __repr__(self) -> str:
        """Show the split."""
        return f"SplitFold({self._split.id!r} of {self._split.user!r} from {self._split.other!r})"

    def run(self) -> SplitOutcome:
        """Change the profile, and return what was done. If it fails, the caller abandons the changes."""
        split, offset, left_out = self._split, self._record.offset, self._state.left_out
        user = self._state.user(self._key)
        customer = user.customer
        if offset <= customer.seen:
            return ""
        if left_out is not None and (split.id == left_out.id or split.user in left_out.acted):
            if split.id != left_out.id and offset in left_out.acted[split.user]:
                user.has_changed = True
                self._mirror(user.settle(), self._note(user.open_identity()), left_out)
            return "split_left_out"
        known = split_of(customer.identity, split.user, split.other)
        if known is not None and known.id == split.id:
            return "split_repeated"
        is_current = self._is_current(customer)
        user.has_changed, customer.seen = True, offset
        if not is_current:
            return "split_stale"
        found = unpack_payload(split.profile) if split.profile else None
        identity = user.open_identity()
        owner = self._note(identity)
        if found is not None and owner is not None:
            self._hand_over(identity, owner, found)
        elif found is not None:
            self._replace(user.settle(), found)
        return "split"

    # --- whether the record counts ---------------------------------------------------------------------------------

    def _is_current(self, customer: Customer) -> bool:
        """Return whether nothing has changed since the profile of the record was computed."""
        split, versions = self._split, self._state.versions
        conditions, identity = versions.conditions, customer.identity or ProfileIdentity()
        if identity.last_acted != split.previous:
            return False
        if not split.profile:
            return True
        if is_nameless(split.user) and identity.owner is None:
            return False
        generation = 0 if conditions is None else conditions.generation
        used = (versions.configuration_number, versions.population_number, generation)
        if customer.seen >= split.before or used != (split.configuration, split.population, split.conditions):
            return False
        return conditions is None or not conditions.program.pending

    # --- the change ------------------------------------------------------------------------------------------------

    def _note(self, identity: ProfileIdentity) -> IdentityOwner | None:
        """Record the split in the links of the profile, and return the owner that it has then."""
        split = self._split
        made = LinkSplit(split.id, split.until, self._state.memo.now, split.events, split.after)
        note_record(identity, self._record.offset)
        if is_nameless(split.user):
            return split_visitor(identity, split.other, made)
        split_known(identity, split.other, made)
        return None

    def _replace(self, customer: Customer, found: Customer) -> None:
        """Replace the profile by the one of the record."""
        before, kept, now = customer.facts, customer.ledger, self._state.memo.now
        is_visitor = is_nameless(self._split.user)
        ledger = found.ledger if is_visitor else settled_ledger(found.ledger, kept)
        if not found.facts.cart:
            ledger.pending = [one for one in ledger.pending if _decode_signal(one.signal).kind != "cart_left"]
        replaced = Customer(found.facts, ledger, self._record.offset, identity=customer.identity)
        dues = {timer.name: timer.due for timer in kept.timers if timer.name in (LABEL, RUNS)}
        if self._state.versions.journeys.schedules:
            dues.setdefault(RUNS, now + 1)  # the user may be a member of a segment that enters a journey
        dues[PENDING] = min((one.until for one in ledger.pending), default=0)
        for name in (LABEL, RUNS, PENDING):
            timers.cancel(replaced, name)
            if dues.get(name):
                timers.set_timer(replaced, name, max(dues[name], now + 1))
        self._count_moves(kept, ledger)
        self._count_stages(None if is_visitor else customer, replaced)
        self._withdraw(before, replaced)
        self._state.replace_user(self._key, replaced)

    def _count_moves(self, before: Ledger, after: Ledger) -> None:
        """Count the segments by rule in which the profile is no longer, or is now."""
        conditions, now = self._state.versions.conditions, self._state.memo.now
        was = set() if before.memberships is None else set(before.memberships.since)
        is_in = set() if after.memberships is None else set(after.memberships.since)
        self.moves += [
            SegmentMove(one.name, self._split.user, one.key in is_in, now, is_silent=True)
            for one in ([] if conditions is None else conditions.program.segments)
            if one.key in was ^ is_in
        ]

    def _count_stages(self, before: Customer | None, after: Customer) -> None:
        """Count the stage of the profile; a visitor's profile had none before."""
        conditions = self._state.versions.conditions
        if conditions is None or conditions.machine is None:
            return
        origin = "" if before is None else _stage(conditions, conditions.machine.initial, before)
        target = _stage(conditions, conditions.machine.initial, after)
        if origin != target:
            self.stages.append(StageCount(origin, target, self._state.memo.now, is_silent=True))

    def _withdraw(self, before: Facts, after: Customer) -> None:
        """Stop marketing that waits in delivery, if the profile has no consent any more."""
        lost = purposes.lost(before.consent, after.facts.consent)
        if lost:
            split, now = self._split, self._state.memo.now
            cause = Event(id=split.id, user=split.user, type="consent", at=now, reason="a link to a visitor was split")
            notices = notices_of_loss(after.ledger, cause, lost)
            self.outputs += encode_effects(self._key, StepEffects(notices=notices))

    def _hand_over(self, identity: ProfileIdentity, owner: IdentityOwner, found: Customer) -> None:
        """Give the profile of the record to the known user who owns the anonymous id now."""
        if not found.facts.events:
            return
        split, number = self._split, owner.number
        identity.parts += 1
        reminded = tuple(sorted(rule for rule, at in found.ledger.fired.items() if at >= found.facts.cart_at))
        place, payload = self._record.offset, split.profile
        record = MergeRecord(
            "merged", owner.login, owner.login_at, number, payload, reminded, place, part=identity.parts
        )
        event = Event(
            id=merge_id(split.user, owner.user, split.id),
            user=owner.user,
            type="identity_merge",
            at=owner.login_at,
            origin=found.facts.origin,
            anonymous=split.user,
            identity=record,
        )
        self.outputs.append(between_profiles(event))

    # --- folds that leave links out --------------------------------------------------------------------------------

    def _mirror(self, customer: Customer, owner: IdentityOwner | None, left_out: LeftOut) -> None:
        """Follow the running fold, but keep the events that went through links which are left out."""
        split = self._split
        customer.seen = self._record.offset
        if not is_nameless(split.user):
            return  # what went back is left out from the start
        is_owner_left_out = owner is not None and left_out.has_login(owner.user, split.user, owner.login_at)
        if pair_of(split.user, split.other) in left_out.links:
            if owner is not None and not is_owner_left_out:
                self._empty(customer)  # the running fold has handed the same over to the owner
        elif split.profile and owner is None:
            self._replace(customer, unpack_payload(split.profile))
        elif split.profile and is_owner_left_out:
            left_out.missing.append(pair_of(split.user, split.other))

    def _empty(self, customer: Customer) -> None:
        """Leave only the ids in a profile that was handed over."""
        facts = customer.facts
        kept = Customer(Facts(origin=facts.origin, seen_ids=facts.seen_ids), Ledger(), customer.seen)
        kept.identity = customer.identity
        self._state.replace_user(self._key, kept)


def _stage(conditions: ConditionsInUse, initial: str, customer: Customer) -> str:
    """Return the stage in which a user is counted; empty if the user has not come to the lifecycle yet."""
    if customer.facts.conditions < conditions.staged_from:
        return ""
    return initial if customer.ledger.stage is None else customer.ledger.stage.name
