"""The shadow of a partition: profiles folded by this code from the beginning of the log, beside those in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import msgspec
from aiokafka.errors import ProducerFenced

import models
from models.batch import Batch, Checkpoint, Commit, MadeRecord, Output, Record, Restored
from models.errors import PerennialError
from models.events import Event
from models.fold.handovers import answers_of
from models.fold.memo import read_memo
from models.fold.partition import PartitionFold
from models.fold.recomputed_merges import KeptLink, RecomputedMerges, taken_merges
from models.fold.splits_again import SplitAgain, as_stored, has_logged_ones, is_current, key_of, parts_of, split_in
from models.identity.linking import is_nameless
from models.log import EVENTS, Tick, encode_control
from models.profile.codec import header, unpack
from stream.cluster.connection import Connection, transactional_id
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import POSITION_KEY, encode_position
from stream.rebuild.answers import output_of
from stream.rebuild.reading import read_log
from stream.rebuild.recomputed_log import RecomputedLog
from stream.rebuild.shadow_topic import TOPIC

APPLICATION = "rebuild"
COMMIT_EVERY_S = 5.0
"""How long a shadow folds between two commits, seconds."""
MAX_UNCOMMITTED_USERS = 50_000
"""Maximum number of changed users between two commits; at this number a shadow commits without waiting longer."""

FoldedTo: TypeAlias = Callable[[int, int], None]
"""Function that is called with the offset that is reached and the log's time there, milliseconds."""


class TakenOver(PerennialError):
    """Another rebuild has begun: it continues where this one stopped."""


class ShadowMemo(msgspec.Struct, array_like=True, frozen=True):
    """Value that is stored beside the position of a shadow.

    Attributes
    ----------
    code
        Fingerprint of the code that folded the shadow.
    memo
        Memo of the fold.
    switched
        Whether the shadow's facts are in use.
    visitors_at
        Offset from which on the facts of visitors in use are those of this code; -1 before that.
    is_second
        Whether the shadow takes what visitors have handed over as the first pass has computed it.
    kept
        The visitors of the partition whose links stay as the log has them.
    """

    code: str
    memo: bytes = b""
    switched: bool = False
    visitors_at: int = -1
    is_second: bool = False
    kept: dict[str, KeptLink] = {}


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(ShadowMemo)


def code_in_use() -> str:
    """Return a fingerprint of the code that folds, because a shadow that other code began cannot be continued."""
    digest = blake2b(digest_size=16)
    home = Path(models.__file__).parent
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class Shadow:
    """A partition that is folded without outputs; call :meth:`open` before anything else.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Number of the partition of ``events``.
    code
        Result of :func:`code_in_use`.
    folded
        See :data:`FoldedTo`.
    log
        The log as this code computes it, for splits after new conditions have read the log.

    Attributes
    ----------
    partition
        See the parameter.
    switched
        Whether its facts are in use.
    visitors_at, is_second, kept
        See :class:`ShadowMemo`.
    """

    def __init__(self, connection: Connection, partition: int, code: str, folded: FoldedTo, log: RecomputedLog) -> None:
        self.partition = partition
        self._log = log
        self._folded = folded
        self._connection = connection
        self._code = code
        own = Ownership(
            transactional_id(connection.group(APPLICATION), EVENTS, partition), partition=partition, state_topic=TOPIC
        )
        self._committer = TransactionalCommitter(connection, own)
        self._state = Restored(partition=partition)
        self._changed: dict[bytes, bytes | None] = {}
        self._answers: list[Output] = []
        self._fired: tuple[int, dict[bytes, bytes]] | None = None
        self._merges: RecomputedMerges | None = None
        self._committed = 0
        self._committed_at = time.monotonic()
        self._is_kept = True
        self.switched = self.is_second = False
        self.visitors_at = -1
        self.kept: dict[str, KeptLink] = {}

    def __repr__(self) -> str:
        return f"Shadow({self.partition}, at {self.position}, {len(self.records)} records)"

    @property
    def position(self) -> int:
        """Offset of the next record to fold."""
        return self._state.position

    @property
    def records(self) -> dict[bytes, bytes]:
        """Encoded users, and the fold's records."""
        return self._state.records

    @property
    def memo(self) -> bytes:
        """Memo of the fold."""
        return self._state.memo

    async def open(self, *, anew: bool = False) -> None:
        """Fence an earlier rebuild, and continue where it stopped.

        Parameters
        ----------
        anew
            Whether to discard the work of the earlier rebuild. Work of other code is always discarded.
        """
        await self._committer.fence()
        self._state = await self._committer.restore()
        found = _decoder.decode(self._state.memo) if self._state.memo else ShadowMemo(self._code)
        if anew or found.code != self._code:
            await self.restart()
            return
        self._state.memo = found.memo
        self._committed = self._state.position
        self.switched, self.visitors_at, self.is_second = found.switched, found.visitors_at, found.is_second
        self.kept = found.kept
        self._fold = PartitionFold(self._state)
        self._folded(self.position, self._fold.now)

    async def restart(self) -> None:
        """Discard everything that is folded, and begin again at the start of the log, with the same pass."""
        self._changed, self._answers = dict.fromkeys(self._state.records), []
        self._state = Restored(partition=self.partition)
        self._fold, self._fired = PartitionFold(self._state), None
        self.switched = False
        await self._commit()

    async def take_merges(self, merges: RecomputedMerges, *, keep: bool = True) -> bool:
        """Take what visitors hand over from the first pass, and return whether the log has to be folded again.

        Parameters
        ----------
        merges
            The answers of the first pass.
        keep
            Whether to store what follows; otherwise it is forgotten with this object.
        """
        self._merges, self._is_kept = merges, keep
        if self.is_second:
            return False
        self.is_second = True
        if merges.agree(self.records) and not has_logged_ones(self.records):
            await self._commit()
            return False
        await self.restart()
        return True

    async def fold_to(self, end: int) -> None:
        """Fold the log up to an offset, and commit the result.

        Raises
        ------
        FoldBroken
            This code cannot fold this log.
        TakenOver
            Another rebuild has begun.
        """
        if self.position < end:
            async for records in read_log(self._connection, self.partition, self.position, end):
                for part in parts_of(records):
                    self._take(await self._with_split(part))
                is_due = time.monotonic() - self._committed_at > COMMIT_EVERY_S
                if is_due or len(self._changed) >= MAX_UNCOMMITTED_USERS:
                    await self._commit()
        if self.position != self._committed:
            await self._commit()

    def comparable(self, lane: Restored) -> Mapping[bytes, bytes]:
        """Return the users of the shadow in the state that a lane at this position would have.

        Parameters
        ----------
        lane
            State of the running lane. It may be between two slices of the timers that the next record has made due.
            Then its clock has moved, and the timers of some users have fired. Those of other users have not, and the
            record will be read again. Of a user with several timers, some may have fired; the first one already brings
            the facts to the clock.
        """
        now, records = read_memo(lane).now, self._state.records
        if now <= self._fold.now:
            return records
        fired = self._fired_at(now)
        before = {
            key: packed
            for key, packed in records.items()
            if fired.get(key) != packed and _waits(lane.records.get(key), now, fired.get(key))
        }
        return {**fired, **before}

    @property
    def awaited(self) -> list[Event]:
        """Answers of the first pass whose merge record is behind the position in the log, or not in the log yet."""
        return [] if self._merges is None else self._merges.awaited(self._state.records)

    async def note_visitors(self) -> None:
        """Store that the facts of visitors in use are those of this code from the position on."""
        self.visitors_at = self.position
        await self._commit()

    def done(self, *, visitors: bool) -> Output:
        """Return the record that says that facts are in use; it is committed together with the facts.

        Parameters
        ----------
        visitors
            Whether only the facts of visitors will be in use. Then the shadow is continued.
        """
        place = self.position if visitors else self.visitors_at
        memo = ShadowMemo(self._code, self._state.memo, not visitors, place, self.is_second, self.kept)
        return Output(TOPIC, POSITION_KEY, encode_position(self.position, _encode(memo)))

    def note_done(self, *, visitors: bool) -> None:
        """Remember that the record of :meth:`done` is committed."""
        self.switched, self.visitors_at = not visitors, self.position if visitors else self.visitors_at

    async def close(self) -> None:
        """Release the transactional id."""
        await self._committer.stop()

    def _fired_at(self, now: int) -> dict[bytes, bytes]:
        """Return the users after the timers that are due at a time; the shadow itself stays as it is."""
        known = self._fired
        if known is None or known[0] != now:
            state = Restored(self.partition, self.position, self._state.memo, dict(self._state.records))
            tick = MadeRecord(self.position - 1, now, *encode_control(Tick(at=now)))
            state.apply(PartitionFold(state).fold(Batch(EVENTS, self.partition, [tick])).commit)
            known = self._fired = now, state.records
        return known[1]

    async def _with_split(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return records whose first one, if it is a split, has the profile that this code computes."""
        record, split = records[0], split_in(records[0])
        packed = None if split is None else self.records.get(split.user.encode())
        if split is None or not is_current(split, packed):
            return records
        value = b""
        if self.is_second or is_nameless(split.user):  # the first pass does not know what visitors hand over
            again = SplitAgain(self.partition, split, packed)
            await self._fold_again(again, split.before)
            record = again.replaced(record)
            value = record.value or b""
        self._state.records[key_of(record)] = self._changed[key_of(record)] = value
        return [record, *records[1:]]

    async def _fold_again(self, again: SplitAgain, end: int) -> None:
        while True:
            async for records in read_log(self._connection, self.partition, again.position, end):
                taken = records if self._merges is None else self._merges.replaced(self.partition, records)
                again.take(as_stored(taken, self.records), await self._log.watched(again.fold, records))
            if again.is_done():
                return

    def _take(self, records: Sequence[Record]) -> None:
        self._fired = None
        taken = records if self._merges is None else self._merges.replaced(self.partition, records)
        outputs = self._fold.fold(Batch(EVENTS, self.partition, taken))
        # The running fold has already written the outputs for these records, so only the state is kept.
        if not self.is_second and self.visitors_at < 0:
            self._answers += [output_of(self._code, merge) for merge in answers_of(outputs)]
        outputs.commit.state.update(taken_merges(taken, self.records))
        self._state.apply(outputs.commit)
        self._state.position = records[-1].offset + 1
        self._changed.update(outputs.commit.state)
        self._folded(self.position, self._fold.now)

    async def _commit(self) -> None:
        if self._is_kept:
            place = (self.switched, self.visitors_at, self.is_second, self.kept)
            memo, commit = ShadowMemo(self._code, self._state.memo, *place), Commit(self._answers, self._changed)
            try:
                await self._committer.commit(commit, Checkpoint(self.position, _encode(memo)))
            except ProducerFenced as error:
                raise TakenOver(
                    "another rebuild of this installation has begun, and continues where this one was"
                ) from error
        self._changed, self._answers = {}, []
        self._committed, self._committed_at = self.position, time.monotonic()


def _waits(packed: bytes | None, now: int, fired: bytes | None) -> bool:
    """Return whether timers of a user of a lane that are due at a time have not fired.

    Parameters
    ----------
    packed
        The user of the lane; ``None`` if the lane does not know the user.
    now
        The time, milliseconds.
    fired
        The user of the shadow after the timers; ``None`` if it does not know the user.
    """
    if packed is None or header(packed)[1] > now:
        return False
    return fired is None or unpack(packed).facts != unpack(fired).facts
