"""A fold of a log that leaves links out, and the control records that bring its profiles into the log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.conditions.clauses import Condition
from models.events import Event, MergeRecord
from models.fold.assessment import LABEL
from models.fold.conditions_in_use import AskedConditions
from models.fold.handovers import merges_in
from models.fold.live_user import PENDING, RUNS
from models.fold.partition import PartitionFold
from models.fold.versions import Versions
from models.identity.ledgers import given_back
from models.identity.linking import is_nameless
from models.identity.payload import pack_payload, unpack_payload
from models.identity.split_plan import SplitPlan
from models.identity.splitting import KEPT, LeftOut, PairOfIds
from models.log import EVENTS, HISTORY_KEY, HistoryComplete, ProfileSplit, UserHistory, decode_control, encode_control
from models.profile import timers
from models.profile.codec import unpack
from models.profile.ledger import Ledger
from models.profile.state import Customer


class UnlinkedFold:
    """A fold of one partition from its beginning, without some links between profiles.

    Parameters
    ----------
    partition
        Number of the partition.
    left_out
        The links.
    watched
        Clauses that have got their history from the log. They are folded from the beginning besides, because the
        history in the log is that of profiles which were linked. The profiles get this history instead.

    Attributes
    ----------
    state
        The state so far.
    watched
        See the parameter.
    wanted
        Clauses that have to be watched, too; then this fold is of no use.
    """

    def __init__(self, partition: int, left_out: LeftOut, watched: tuple[Condition, ...] = ()) -> None:
        self.state = Restored(partition=partition)
        self.watched = watched
        self.wanted: tuple[Condition, ...] = ()
        self._left_out = left_out
        self._users = sorted({name for pair in left_out.links for name in pair})
        self._fold = PartitionFold(self.state, left_out=left_out)
        self._again = Restored(partition=partition)
        self._watching: PartitionFold | None = None
        self._clauses = frozenset[int]()
        if watched:
            asked = AskedConditions(clauses=watched)
            links = LeftOut(left_out.id, left_out.links, left_out.acted)
            self._watching = PartitionFold(self._again, watched=asked, left_out=links)
            self._clauses = asked.event_clauses
        self._handed: dict[PairOfIds, dict[str, Ledger]] = {}

    def __repr__(self) -> str:
        """Show the place."""
        return f"UnlinkedFold({self.state.partition}, at {self.state.position})"

    @property
    def now(self) -> int:
        """The partition's clock, milliseconds."""
        return self._fold.now

    @property
    def missing(self) -> tuple[PairOfIds, ...]:
        """Links that have to be left out, too; then this fold is of no use."""
        return tuple(self._left_out.missing)

    def is_ready(self, user: str) -> bool:
        """Return whether a user has come to the conditions in use, and these have their history."""
        conditions, packed = self._fold.versions.conditions, self.state.records.get(user.encode())
        if conditions is None or packed is None:
            return True
        facts = unpack(packed).facts
        return not conditions.program.pending and (not facts.events or facts.conditions == conditions.generation)

    @property
    def versions(self) -> Versions:
        """The versions in use."""
        return self._fold.versions

    def handed(self, pair: PairOfIds) -> list[Ledger]:
        """Return what the anonymous id of a link has handed over of our messages, if the known user is in this fold."""
        return list(self._handed.get(pair, {}).values())

    def needs(self, merge: Event) -> bool:
        """Return whether a merge record brings the profile of another visitor to a profile of the links."""
        return merge.user in self._users and not self._left_out.has_record(merge)

    def take(self, records: Sequence[Record], watched: Sequence[Record] | None = None) -> None:
        """Fold the next records of the log.

        Parameters
        ----------
        records
            The records. Those that bring a visitor's profile have the facts of this code.
        watched
            The same records with what the watched clauses remember (:mod:`models.fold.visitors_again`). By default,
            they are the same.
        """
        watched = records if watched is None else watched
        for _, event in merges_in(records):
            said, pair = event.identity, PairOfIds(event.user, event.anonymous or "")
            if isinstance(said, MergeRecord) and said.payload and self._left_out.has_record(event):
                self._handed.setdefault(pair, {})[event.id] = unpack_payload(said.payload).ledger
        begin = 0
        for place, record in enumerate(records):
            control = _history_in(record)
            if isinstance(control, HistoryComplete):
                self._take(records[begin:place], watched[begin:place])
                self._bring(record, control)
                begin = place
        self._take(records[begin:], watched[begin:])

    def _take(self, records: Sequence[Record], watched: Sequence[Record]) -> None:
        if not records:
            return
        mine = [one for one in records if not self._is_replaced(one)]
        self._apply(self._fold, self.state, mine, records[-1].offset + 1)
        if self._watching is not None:
            self._apply(self._watching, self._again, watched, records[-1].offset + 1)

    def _is_replaced(self, record: Record) -> bool:
        """Return whether a record brings the history of a profile of the links."""
        control = _history_in(record)
        return isinstance(control, UserHistory) and control.user in self._users

    def _bring(self, record: Record, complete: HistoryComplete) -> None:
        """Give the profiles of the links the history of clauses, right before the record that completes it."""
        conditions, clauses = self._fold.versions.conditions, frozenset(complete.clauses)
        if conditions is None or not conditions.program.pending & clauses:
            return
        if unseen := conditions.program.pending & clauses - self._clauses:
            self.wanted = tuple(conditions.program.leaves[key].clause for key in sorted(unseen))
            return
        brought = []
        for user in self._users:
            if (packed := self._again.records.get(user.encode())) is None:
                continue
            facts = unpack(packed).facts
            entries = {} if facts.clauses is None else facts.clauses.entries
            wanted = {key: content for key, content in entries.items() if key in clauses}
            key, value = encode_control(UserHistory(user, record.offset, facts.known_since, wanted))
            brought.append(MadeRecord(record.offset, record.timestamp, key, value))
        if brought:
            self._apply(self._fold, self.state, brought, self.state.position)

    def _apply(self, fold: PartitionFold, state: Restored, records: Sequence[Record], position: int) -> None:
        if records:
            state.apply(fold.fold(Batch(EVENTS, state.partition, records)).commit, position)
        state.position = position

    # --- profiles --------------------------------------------------------------------------------------------------

    def profile(self, user: str) -> Customer:
        """Return the profile of a user at the position, without what was decided and sent."""
        packed = self.state.records.get(user.encode())
        customer = Customer() if packed is None else unpack(packed)
        customer.identity, customer.compressed = None, None
        empty = Ledger()
        for name in KEPT:
            setattr(customer.ledger, name, getattr(empty, name))
        for name in (PENDING, LABEL, RUNS):
            timers.cancel(customer, name)
        return customer

    def control(self, plan: SplitPlan, user: str, events: int, handed: Sequence[Ledger] = ()) -> ProfileSplit:
        """Return the control record that ends a link in one of its profiles, as of the position.

        Parameters
        ----------
        plan
            The plan.
        user
            Key of the profile.
        events
            Number of events that go back to the anonymous id.
        handed
            What the anonymous id has handed over of our messages; it gets this back.
        """
        versions, customer, split = self._fold.versions, self.profile(user), plan.split
        if is_nameless(user):
            given_back(customer.ledger, handed, versions.configuration, self.now)
            customer.ledger.campaigns = versions.campaigns.trimmed(customer.ledger.campaigns, self.now)
        conditions = versions.conditions
        return ProfileSplit(
            id=split.id,
            user=user,
            other=plan.pair.known if user == plan.pair.anonymous else plan.pair.anonymous,
            until=split.until,
            after=split.after,
            before=self.state.position,
            previous=plan.previous(user),
            events=events,
            profile=pack_payload(customer.facts, customer.ledger, versions.schema),
            configuration=versions.configuration_number,
            population=versions.population_number,
            conditions=0 if conditions is None else conditions.generation,
        )


class SplitSource:
    """The source of the control records of a split for one partition.

    The caller gives it the records of the partition from :attr:`position` on, up to the end. Then it asks whether the
    result counts (:meth:`is_done`). If not, the source has begun again at the start of the log.

    Parameters
    ----------
    plan
        The plan.
    partition
        Number of the partition.

    Attributes
    ----------
    fold
        The fold so far.
    """

    def __init__(self, plan: SplitPlan, partition: int) -> None:
        self._plan = plan
        self._partition = partition
        self._more: frozenset[PairOfIds] = frozenset()
        self._watched: tuple[Condition, ...] = ()
        self.fold = UnlinkedFold(partition, plan.left_out())

    def __repr__(self) -> str:
        """Show the fold."""
        return f"SplitSource({self.fold!r})"

    @property
    def position(self) -> int:
        """Offset of the next record to take."""
        return self.fold.state.position

    def take(self, records: Sequence[Record], watched: Sequence[Record] | None = None) -> None:
        """Fold the next records of the log; see :meth:`UnlinkedFold.take`."""
        self.fold.take(records, watched)

    def is_done(self) -> bool:
        """Return whether the profiles are right at the position; otherwise begin again."""
        missing, wanted = self.fold.missing, self.fold.wanted
        if not missing and not wanted:
            return True
        self._more |= frozenset(missing)
        self._watched += wanted
        self.fold = UnlinkedFold(self._partition, self._plan.left_out(sorted(self._more)), self._watched)
        return False


def _history_in(record: Record) -> UserHistory | HistoryComplete | None:
    """Return the history of clauses that a control record brings or completes; ``None`` for any other record."""
    if record.key != HISTORY_KEY:
        return None
    try:
        control = decode_control(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # the fold makes it a dead letter
    return control if isinstance(control, UserHistory | HistoryComplete) else None


def control_without_profile(plan: SplitPlan, user: str) -> ProfileSplit:
    """Return the control record that ends a link in one of its profiles, and leaves all past events where they are."""
    pair, split = plan.pair, plan.split
    other = pair.known if user == pair.anonymous else pair.anonymous
    return ProfileSplit(
        id=split.id, user=user, other=other, until=split.until, after=split.until, previous=plan.previous(user)
    )
