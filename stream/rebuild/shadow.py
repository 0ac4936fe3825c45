"""The shadow of a partition: profiles folded by this code from the beginning of the log, beside those in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec
from aiokafka.errors import ProducerFenced

import models
from models.batch import Batch, Checkpoint, Commit, Output, Record, Restored
from models.errors import PerennialError
from models.fold.memo import read_memo
from models.fold.partition import PartitionFold
from models.log import EVENTS, Tick, encode_control
from models.profile.codec import header, unpack
from stream.cluster.connection import Connection, transactional_id
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import POSITION_KEY, encode_position
from stream.rebuild.reading import read_log
from stream.rebuild.shadow_topic import TOPIC

APPLICATION = "rebuild"
COMMIT_EVERY_S = 5.0
"""How long a shadow folds between two commits, seconds."""
MAX_UNCOMMITTED_USERS = 50_000
"""Maximum number of changed users between two commits; at this number a shadow commits without waiting longer."""


class _TickRecord(NamedTuple):
    """A tick that is in no log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


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
    """

    code: str
    memo: bytes = b""
    switched: bool = False


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
        Called with the offset that is reached and the log's time there, milliseconds.

    Attributes
    ----------
    partition
        See the parameter.
    switched
        Whether its facts are in use.
    """

    def __init__(self, connection: Connection, partition: int, code: str, folded: Callable[[int, int], None]) -> None:
        self.partition = partition
        self._folded = folded
        self._connection = connection
        self._code = code
        own = Ownership(
            transactional_id(connection.group(APPLICATION), EVENTS, partition), partition=partition, state_topic=TOPIC
        )
        self._committer = TransactionalCommitter(connection, own)
        self._state = Restored(partition=partition)
        self._changed: dict[bytes, bytes | None] = {}
        self._before: dict[bytes, bytes] = {}
        self._committed = 0
        self._committed_at = time.monotonic()
        self.switched = False

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
        self.switched = found.switched
        self._fold = PartitionFold(self._state)
        self._folded(self.position, self._fold.now)

    async def restart(self) -> None:
        """Discard everything, and begin again at the start of the log."""
        self._changed = dict.fromkeys(self._state.records)
        self._state = Restored(partition=self.partition)
        self._fold, self._before = PartitionFold(self._state), {}
        self.switched = False
        await self._commit()

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
                self._take(records)
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
        now = read_memo(lane).now
        if now > self._fold.now:
            self._fire(now)
        waiting = (key for key in self._before if key in lane.records and header(lane.records[key])[1] <= now)
        before = {key: self._before[key] for key in waiting if not self._has_fired(key, lane.records[key])}
        return {**self._state.records, **before}

    def _has_fired(self, key: bytes, packed: bytes) -> bool:
        """Return whether a user of a lane has the facts that follow after the timers."""
        return unpack(packed).facts == unpack(self._state.records[key]).facts

    def done(self) -> Output:
        """Return the record that says that the facts are in use; it is committed together with the facts."""
        memo = ShadowMemo(self._code, self._state.memo, switched=True)
        return Output(TOPIC, POSITION_KEY, encode_position(self.position, _encode(memo)))

    async def close(self) -> None:
        """Release the transactional id."""
        await self._committer.stop()

    def _fire(self, now: int) -> None:
        """Move the shadow's clock without a record of the log; in the running lane the next record has moved it."""
        before, (key, value) = dict(self._state.records), encode_control(Tick(at=now))
        self._take([_TickRecord(self.position - 1, now, key, value)])
        self._before = {key: packed for key, packed in before.items() if self._state.records.get(key) != packed}

    def _take(self, records: Sequence[Record]) -> None:
        self._before = {}
        outputs = self._fold.fold(Batch(EVENTS, self.partition, records))
        # The running fold has already written the outputs for these records, so only the state is kept.
        self._state.apply(outputs.commit)
        self._state.position = records[-1].offset + 1
        self._changed.update(outputs.commit.state)
        self._folded(self.position, self._fold.now)

    async def _commit(self) -> None:
        memo = ShadowMemo(self._code, self._state.memo, self.switched)
        try:
            await self._committer.commit(Commit(state=self._changed), Checkpoint(self.position, _encode(memo)))
        except ProducerFenced as error:
            raise TakenOver(
                "another rebuild of this installation has begun, and continues where this one was"
            ) from error
        self._changed = {}
        self._committed, self._committed_at = self.position, time.monotonic()
