"""The profiles that splits have brought into the log, computed again by a fold beside the running one.

A control record that ends a link has the facts about a profile as the code of that time computed them. A fold beside
the running one takes its own facts instead. They come from one more fold of the log without the link, up to the same
place. What was decided and sent stays as the record says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from models.batch import Batch, MadeRecord, Record, Restored
from models.conditions.clauses import Condition
from models.fold.conditions_in_use import AskedConditions
from models.fold.partition import PartitionFold
from models.fold.unlinked import UnlinkedFold
from models.fold.versions import Versions
from models.identity.linking import is_nameless
from models.identity.payload import unpack_payload
from models.identity.split_plan import SplitPlan
from models.identity.splitting import LeftOut, PairOfIds, pair_of, settled_ledger
from models.log import (
    EVENTS,
    HISTORY_KEY,
    SPLIT_KEY,
    BringHistory,
    HistoryComplete,
    ProfileSplit,
    decode_control,
    encode_control,
)
from models.profile.codec import header, pack, unpack
from models.profile.links import LinkSplit, ProfileIdentity
from models.profile.state import Customer

_SPLIT_KEY = b"\x00split:"
NEVER_IN_USE = -1
"""A generation of conditions that is never in use, so that a record with it has no effect."""


def split_in(record: Record) -> ProfileSplit | None:
    """Return the split that a record of the log brings with a profile; ``None`` for any other record."""
    if record.key != SPLIT_KEY:
        return None
    try:
        control = decode_control(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # the fold makes it a dead letter
    return control if isinstance(control, ProfileSplit) and control.profile else None


def parts_of(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Divide records of the log, so that each split is the first record of a part."""
    places = [place for place, record in enumerate(records) if place and record.key == SPLIT_KEY]
    for begin, end in zip([0, *places], [*places, len(records)], strict=True):
        yield records[begin:end]


def is_current(split: ProfileSplit, packed: bytes | None) -> bool:
    """Return whether a profile had no record since a split of it was computed; otherwise the split has no effect.

    Parameters
    ----------
    split
        The split.
    packed
        The profile before it, encoded; ``None`` for one without any record.
    """
    return packed is None or header(packed)[0] < split.before


def key_of(record: Record) -> bytes:
    """Return the key under which a fold stores a split that it has taken, beside its users."""
    return _SPLIT_KEY + str(record.offset).encode()


def as_stored(records: Sequence[Record], stored: Mapping[bytes, bytes]) -> list[Record]:
    """Return records of the log with the splits that a fold has stored."""
    found = (stored.get(key_of(one), b"") if one.key == SPLIT_KEY else b"" for one in records)
    return [
        MadeRecord(one.offset, one.timestamp, one.key, value) if value else one
        for one, value in zip(records, found, strict=True)
    ]


def has_logged_ones(stored: Mapping[bytes, bytes]) -> bool:
    """Return whether a fold has taken the profile of a split from the log; then it has stored an empty value."""
    return any(key.startswith(_SPLIT_KEY) and not value for key, value in stored.items())


class SplitAgain:
    """The fold of a partition that computes the profile of a split again.

    The caller gives it the records below ``split.before``, from :attr:`position` on. Then it asks whether the result
    counts (:meth:`is_done`). If not, the fold has begun again at the start of the log.

    Parameters
    ----------
    partition
        Number of the partition.
    split
        The split.
    packed
        The profile before it, encoded; ``None`` for one without any record.
    asked
        Conditions that are folded instead of those of the log; ``None`` for those of the log.

    Attributes
    ----------
    partition
        See the parameter.
    """

    def __init__(
        self, partition: int, split: ProfileSplit, packed: bytes | None, asked: AskedConditions | None = None
    ) -> None:
        self.partition = partition
        self._split = split
        self._plan = _plan_of(split, (None if packed is None else unpack(packed).identity) or ProfileIdentity())
        self._asked = asked
        self._more: frozenset[PairOfIds] = frozenset()
        self._watched: tuple[Condition, ...] = ()
        self._fold: UnlinkedFold | WatchedFold = self._begun()

    def __repr__(self) -> str:
        """Show the place."""
        return f"SplitAgain({self._split.id!r} of {self._split.user!r}, at {self.position})"

    @property
    def position(self) -> int:
        """Offset of the next record to take."""
        return self._fold.state.position

    @property
    def fold(self) -> UnlinkedFold | WatchedFold:
        """The fold so far."""
        return self._fold

    def take(self, records: Sequence[Record], watched: Sequence[Record] | None = None) -> None:
        """Fold the next records of the log; see :meth:`models.fold.unlinked.UnlinkedFold.take`."""
        self._fold.take(records, watched)

    def is_done(self) -> bool:
        """Return whether the profile is right at the position; otherwise begin again."""
        missing, wanted = self._fold.missing, self._fold.wanted
        if not missing and not wanted:
            return True
        self._more |= frozenset(missing)
        self._watched += wanted
        self._fold = self._begun()
        return False

    def replaced(self, record: Record, versions: Versions | None = None) -> Record:
        """Return the record of the split with the facts of this fold.

        Parameters
        ----------
        record
            The record in the log.
        versions
            The versions of a fold with other conditions than those of the log, in which the record counts.
        """
        split = self._split
        customer, logged = self._fold.profile(split.user), unpack_payload(split.profile)
        ledger = settled_ledger(customer.ledger, logged.ledger)
        split = msgspec.structs.replace(split, profile=pack(Customer(customer.facts, ledger)))
        if versions is not None:
            split = msgspec.structs.replace(
                split,
                configuration=versions.configuration_number,
                population=versions.population_number,
                conditions=0 if versions.conditions is None else versions.conditions.generation,
            )
        return _with(record, split)

    def _begun(self) -> UnlinkedFold | WatchedFold:
        left_out = self._plan.left_out(sorted(self._more))
        if self._asked is None:
            return UnlinkedFold(self.partition, left_out, self._watched)
        return WatchedFold(self.partition, left_out, self._asked)


class WatchedFold:
    """A fold of one partition with other conditions than those of the log, without some links between profiles.

    Parameters
    ----------
    partition
        Number of the partition.
    left_out
        The links.
    asked
        The conditions.

    Attributes
    ----------
    state
        The state so far.
    watched, wanted
        Nothing, because this fold has seen the whole log with its conditions.
    """

    watched: tuple[Condition, ...] = ()
    wanted: tuple[Condition, ...] = ()

    def __init__(self, partition: int, left_out: LeftOut, asked: AskedConditions) -> None:
        self.state = Restored(partition=partition)
        self._left_out = left_out
        self._fold = PartitionFold(self.state, watched=asked, left_out=left_out)

    def __repr__(self) -> str:
        """Show the place."""
        return f"WatchedFold({self.state.partition}, at {self.state.position})"

    @property
    def missing(self) -> tuple[PairOfIds, ...]:
        """Links that have to be left out, too; then this fold is of no use."""
        return tuple(self._left_out.missing)

    def take(self, records: Sequence[Record], watched: Sequence[Record] | None = None) -> None:
        """Fold the next records of the log, which have what visitors have handed over by these conditions."""
        batch = Batch(EVENTS, self.state.partition, records if watched is None else watched)
        self.state.apply(self._fold.fold(batch).commit, records[-1].offset + 1)

    def profile(self, user: str) -> Customer:
        """Return the profile of a user at the position."""
        packed = self.state.records.get(user.encode())
        return Customer() if packed is None else unpack(packed)


class SplitsOfPartition:
    """The splits in one partition, as a fold beside the running one takes them.

    Parameters
    ----------
    partition
        Number of the partition.
    asked
        Conditions that are folded instead of those of the log; ``None`` for those of the log.
    """

    def __init__(self, partition: int, asked: AskedConditions | None) -> None:
        self._partition = partition
        self._asked = asked
        self._taken: dict[int, Record] = {}
        self._changed_at = -1

    def __repr__(self) -> str:
        """Show the number of splits."""
        return f"SplitsOfPartition({self._partition}, {len(self._taken)} splits)"

    def note(self, record: Record) -> None:
        """Take notice of a record that was folded: it may bring the history of clauses to the running fold."""
        if record.key != HISTORY_KEY:
            return
        try:
            control = decode_control(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # the fold makes it a dead letter
        if isinstance(control, BringHistory | HistoryComplete):
            self._changed_at = record.offset

    def awaited(self, record: Record, stored: Mapping[bytes, bytes], versions: Versions) -> SplitAgain | None:
        """Return the fold that has to compute the profile of a split; ``None`` if the record can be taken.

        Parameters
        ----------
        record
            The next record to fold.
        stored
            The users of the fold, encoded; all records before it are folded.
        versions
            The versions in use in the fold.
        """
        split = split_in(record)
        if split is None or record.offset in self._taken:
            return None
        packed = stored.get(split.user.encode())
        is_same = (split.configuration, split.population) == (versions.configuration_number, versions.population_number)
        # The numbers of the conditions differ between this fold and the running one, so they cannot be compared.
        if is_current(split, packed) and is_same and self._changed_at < split.before:
            return SplitAgain(self._partition, split, packed, self._asked)
        self._taken[record.offset] = without_effect(record, split)
        return None

    def give(self, record: Record, again: SplitAgain, versions: Versions) -> None:
        """Take the profile of a split from the fold that has computed it, under the versions in use."""
        self._taken[record.offset] = again.replaced(record, None if self._asked is None else versions)

    def taken(self, record: Record) -> Record:
        """Return a record as the fold takes it."""
        return self._taken.get(record.offset, record)


def without_effect(record: Record, split: ProfileSplit) -> Record:
    """Return the record of a split that the running fold has not followed."""
    return _with(record, msgspec.structs.replace(split, conditions=NEVER_IN_USE))


def _with(record: Record, split: ProfileSplit) -> Record:
    key, value = encode_control(split)
    return MadeRecord(record.offset, record.timestamp, key, value)


def _plan_of(split: ProfileSplit, identity: ProfileIdentity) -> SplitPlan:
    """Return the plan from which the record of a profile has followed."""
    made = LinkSplit(split.id, split.until, 0, after=split.after)
    identities = (ProfileIdentity(), identity) if is_nameless(split.user) else (identity, ProfileIdentity())
    return SplitPlan(pair_of(split.user, split.other), made, (split.user,), *identities)
