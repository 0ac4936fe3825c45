"""The state of one partition: its users, its clock, its timers and its versions, with uncommitted changes."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.adopting import Adopting
from models.fold.buyer_counts import BuyerCounts
from models.fold.campaign_counts import CountedCampaigns
from models.fold.campaign_walks import CampaignWalks
from models.fold.conditions_in_use import ConditionsChange
from models.fold.due_times import DueTimes, Entry
from models.fold.journey_counts import RunCounts
from models.fold.live_user import LiveUser, live_user
from models.fold.members import MemberCounts
from models.fold.memo import Memo, read_memo, versions_in_use
from models.fold.message_counts import CountedMessages
from models.fold.piece import Piece
from models.fold.reaching import Reaching
from models.fold.stages import StageCounts
from models.fold.versions import CONFIGURATION, POPULATION
from models.identity.splitting import LeftOut
from models.log import CONTROL, FROM_NOW, BringHistory, HistoryComplete
from models.profile import codec
from models.profile.ledger import NEVER
from models.profile.reducers import Cutoffs
from models.profile.state import Customer

FIRST_USER = bytes((CONTROL[0] + 1,))
"""Each key of a user is at least this one, because only control records have keys with a lower first byte."""


class PartitionState:
    """The committed state of a partition, and the fold's changes that are not committed yet.

    Parameters
    ----------
    committed
        The committed state; it is only read.

    Attributes
    ----------
    due, walks
        Users by their next timer, and the walks of campaigns over them.
    members, stages, buyers, runs, campaigns, messages
        Counts of members of segments by rule, of users by stage, of buyers by cut points, of runs, of users in
        campaigns, and of messages.
    memo
        The partition's clock and counters.
    versions
        The versions in use.
    reaching
        The users to be reached after an order about runs.
    left_out
        Links between two profiles that are left out; ``None`` for none.

    Raises
    ------
    StateMismatch
        The state was written under another schema.
    """

    def __init__(self, committed: Restored) -> None:
        self._committed = committed
        self._changed: dict[bytes, bytes] = {}
        self._live: dict[bytes, LiveUser] = {}
        self._added: list[Entry] = []
        self.due = DueTimes(self._due_times_of)
        self.memo = read_memo(committed)
        self.versions = versions_in_use(committed, self.memo)
        self.left_out: LeftOut | None = None
        self._cutoffs: Cutoffs | None = None
        self._cutoffs_at = 0
        self.members = MemberCounts(committed)
        self.stages = StageCounts(committed)
        self.buyers = BuyerCounts(committed)
        self.runs = RunCounts(committed)
        self.campaigns = CountedCampaigns(committed)
        self.messages = CountedMessages(committed)
        self.walks = CampaignWalks(self.versions, committed, self.memo.now)
        for key, packed in committed.records.items():
            if key[:1] != CONTROL and (due := codec.header(packed)[1]) != NEVER:
                self.due.add(due, key)
        self._adopting = Adopting(self.versions, self.due)
        self._adopting.begin(self.keys(), self.memo.now)
        for entry in self.walks.waiting(self.keys()):
            self.due.add(*entry)
        self.reaching = Reaching(self.versions, self.due)
        self.reaching.restore(self.keys, self.memo.now)

    def __repr__(self) -> str:
        """Show the clock, and the amounts stored and cached."""
        return (
            f"PartitionState({self.memo.clock or 'no'} clock, now={self.memo.now}, "
            f"{len(self._committed.records)} records, {len(self._live)} live users, {len(self.due)} timers)"
        )

    def begin_piece(self) -> Memo:
        """Begin a piece, and return what :meth:`abandon_piece` needs."""
        if self.versions.campaigns.orders:
            self.walks.begin_piece(self.memo.now, self.due.first())
        self.reaching.noting.note()
        self._adopting.noting.note()
        return msgspec.structs.replace(self.memo, passed_over=dict(self.memo.passed_over))

    def abandon_piece(self, memo: Memo) -> None:
        """Forget all changes of the piece in progress; the caller puts the timers back that it has removed."""
        self._live.clear()
        self.due.discard(self._added)
        self._added.clear()
        self.walks.abandon_piece()
        self.memo = memo
        self._cutoffs = None

    # --- users -----------------------------------------------------------------------------------------------------

    def user(self, key: bytes) -> LiveUser:
        """Return a user of the piece in progress; a new user has an empty state."""
        user = self._live.get(key)
        if user is None:
            packed = self._stored(key)
            user = self._live[key] = live_user(key, Customer() if packed is None else codec.unpack(packed))
            user.is_new = packed is None
            if (conditions := self.versions.conditions) is not None and conditions.waiting and packed is not None:
                user.is_waiting = user.facts.conditions != conditions.generation
        return user

    def replace_user(self, key: bytes, customer: Customer) -> None:
        """Replace a user of the piece in progress by another state, and add its next timer to the queue."""
        before, user = self.user(key), live_user(key, customer)
        user.has_changed, user.queued = True, NEVER
        user.stored_rfm, user.is_waiting, user.is_new = before.stored_rfm, before.is_waiting, before.is_new
        self._live[key] = user
        self.schedule(user)

    def store_users(self) -> None:
        """Encode the users that the piece has changed, and forget the decoded ones.

        If one cannot be encoded, none is stored, and the caller abandons the piece.
        """
        changed: dict[bytes, bytes] = {}
        for key, user in self._live.items():
            if user.has_changed:
                changed[key] = codec.pack(user.settle(), self.versions.schema)
                self._enqueue(user, min(user.next_timer, *user.decided.values()) if user.decided else user.next_timer)
        self._changed.update(changed)
        self.buyers.follow((user.stored_rfm, user.ledger.rfm) for user in self._live.values())
        if (conditions := self.versions.conditions) is not None and conditions.waiting:
            conditions.take_in(user.facts.conditions for user in self._live.values() if user.is_waiting)
        self._live.clear()
        self._added.clear()

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return the encoded users that have changed since the last call."""
        changed = dict[bytes, bytes | None](self._changed)
        for one in (self.members, self.stages, self.buyers, self.runs, self.campaigns, self.messages):
            changed.update(one.take_changes())
        self._changed.clear()
        return changed

    def _stored(self, key: bytes) -> bytes | None:
        return self._changed.get(key) or self._committed.records.get(key)

    # --- timers ----------------------------------------------------------------------------------------------------

    def schedule(self, user: LiveUser) -> None:
        """Add the next timer of a user to the queue, unless the queue has it already."""
        self._enqueue(user, min(user.next_timer, user.next_decided))

    def _enqueue(self, user: LiveUser, due: int) -> None:
        if due not in (NEVER, user.queued):
            self.due.add(due, user.key)
            self._added.append((due, user.key))
            user.queued = due

    def is_next(self, entry: Entry) -> bool:
        """Return whether an entry of the queue is the next timer of its user, or the timer of a deferred message."""
        due, key = entry
        user = self._live.get(key)
        dues = (self._next_due_of(key),) if user is None else (user.next_timer, user.next_decided)
        return due in dues or self._is_due(key, due)

    def _is_due(self, key: bytes, due: int) -> bool:
        """Return whether a timer of the partition is due for a user at a time."""
        is_due = self.adopts_at(key, due) or self.walks.order_at(key, due) is not None
        return is_due or self.reaching.is_due(key, due, self._customer)

    def next_due(self) -> int | None:
        """Return the due time of the partition's next timer; remove entries of the queue that are out of date."""
        begins = self.noted_until
        while (entry := self.due.first()) is not None:
            due, key = entry
            if due in (self.reaching.due_of(key), self._next_due_of(key)) or self._is_due(key, due):
                return due if begins is None else min(due, begins)
            self.due.pop()
        return begins

    @property
    def noted_until(self) -> int | None:
        """Time at which all users have to be in the queue, milliseconds; ``None`` if they are."""
        return min(filter(None, (self.reaching.noting.until, self._adopting.noting.until)), default=None)

    def move_clock(self, now: int) -> None:
        """Move the partition's clock; before users are due, all of them are in the queue."""
        self.memo.now = now
        self.reaching.noting.move_clock(now)
        self._adopting.noting.move_clock(now)

    def _next_due_of(self, key: bytes) -> int:
        packed = self._stored(key)
        return NEVER if packed is None else codec.header(packed)[1]

    def _due_times_of(self, key: bytes) -> list[int]:
        user, partition = self._live.get(key), (self._adopting.due_of(key), self.reaching.due_of(key))
        times = [self._next_due_of(key), *self.walks.turns_of(key), *partition]
        return times if user is None else [*times, user.next_timer, *user.decided.values()]

    # --- new conditions --------------------------------------------------------------------------------------------

    def adopts_at(self, key: bytes, due: int) -> bool:
        """Return whether a user comes to new conditions at a time, because no step of the user came before."""
        return self._adopting.is_due(key, due, self._customer)

    def _customer(self, key: bytes) -> Customer | None:
        """Return the state of a user as the first pass sees it; ``None`` for an unknown one."""
        if (user := self._live.get(key)) is not None:
            return user.customer
        packed = self._stored(key)
        return None if packed is None else codec.unpack(packed)

    def keys(self) -> list[bytes]:
        """Return the keys of all users, each once."""
        committed, changed = self._committed.records, self._changed
        found = [key for key in committed if key >= FIRST_USER]
        return found + [key for key in changed if key >= FIRST_USER and key not in committed]

    # --- clock and versions ----------------------------------------------------------------------------------------

    def use(self, name: str, version: int, content: bytes) -> bool:
        """Use a version, see :meth:`Versions.use`; it may change the cut-offs and the conditions."""
        self._cutoffs = None
        before = self.versions.conditions
        users = self.keys() if name in (CONFIGURATION, POPULATION) else []
        change, walked = ConditionsChange(self.memo.now, len(users)), tuple(self.runs.active_versions())
        is_used = self.versions.use(name, version, content, change, walked)
        conditions = self.versions.conditions
        if conditions is not None and conditions is not before:
            kept = {segment.name for segment in conditions.asked.segments}
            for segment in () if before is None else before.asked.segments:
                if segment.name not in kept:
                    self.members.drop(segment.name)
            if conditions.staged_from != (0 if before is None else before.staged_from):
                self.stages.clear()
            self._adopting.begin(users, self.memo.now)
        return is_used

    def follow_history(self, control: BringHistory | HistoryComplete) -> None:
        """Follow a record about the history of clauses; a fold of watched conditions sees the whole history itself."""
        conditions = self.versions.conditions
        if conditions is None or self.versions.watched is not None:
            return
        if isinstance(control, BringHistory):
            conditions.bring_history(control.clauses)
        elif conditions.program.pending & frozenset(control.clauses):
            change = ConditionsChange(self.memo.now, len(users := self.keys()))
            covered_from = self.memo.now if control.covered_from == FROM_NOW else control.covered_from
            self.versions.conditions = conditions.with_history(control.clauses, covered_from, change)
            self._adopting.begin(users, self.memo.now)

    def cutoffs(self) -> Cutoffs:
        """Return the times before which events are late or refused now.

        An id may be forgotten only if every event with this id would be refused. So the time before which events are
        refused never decreases, even if the horizon grows.
        """
        now = self.memo.now
        if self._cutoffs is None or self._cutoffs_at != now:
            settings = self.versions.configuration.events
            self.memo.floor = max(self.memo.floor, now - settings.horizon)
            self._cutoffs = Cutoffs(now - settings.order_within, self.memo.floor, now - settings.remember_orders)
            self._cutoffs_at = now
        return self._cutoffs


def count_engagement(state: PartitionState, piece: Piece) -> None:
    """Count what a piece has changed in journeys and campaigns: runs, users, messages, and the money of goals."""
    state.runs.move(piece.runs)
    state.campaigns.move(piece.campaigns)
    state.messages.move(piece.messages)
    state.runs.value(one for one in piece.values if not one.is_campaign)
    state.campaigns.value(one for one in piece.values if one.is_campaign)
