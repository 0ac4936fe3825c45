"""The shadow of a partition's profiles: folded by this code from the beginning of the log, kept beside those in use."""

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
from models.profile.codec import header
from stream.cluster.connection import Connection, transactional_id
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import POSITION_KEY, encode_position
from stream.rebuild.reading import read_log
from stream.rebuild.shadow_topic import TOPIC

APPLICATION = "rebuild"
COMMIT_EVERY_S = 5.0
COMMIT_USERS = 50_000
"""A shadow commits after so many seconds, or so many changed users."""


class _Beat(NamedTuple):
    """A record that stands in no log."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class TakenOver(PerennialError):
    """Another rebuild has begun: it goes on where this one was."""


class Progress(msgspec.Struct, array_like=True, frozen=True):
    """What stands beside a shadow's position.

    Attributes
    ----------
    code
        Fingerprint of the code that folded it.
    memo
        Of the fold.
    switched
        Whether its facts are in use.
    """

    code: str
    memo: bytes = b""
    switched: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Progress)


def code_in_use() -> str:
    """Fingerprint of the code that folds: a shadow that other code began is of no use to this one."""
    digest = blake2b(digest_size=16)
    home = Path(models.__file__).parent
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class Shadow:
    """One partition, folded without outputs; open it with :meth:`open` before anything else.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Of ``events``.
    code
        See :func:`code_in_use`.
    folded
        Told how far it is: offset, and the log's time there, milliseconds.

    Attributes
    ----------
    partition
        Its number.
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

    @property
    def position(self) -> int:
        """Offset of the next record to fold."""
        return self._state.position

    @property
    def records(self) -> dict[bytes, bytes]:
        """Its users, packed, and the fold's own records."""
        return self._state.records

    @property
    def memo(self) -> bytes:
        """Of its fold."""
        return self._state.memo

    async def open(self, *, anew: bool = False) -> None:
        """Shut out an earlier rebuild, and go on where it was.

        Parameters
        ----------
        anew
            Forget what was done; so it goes anyway where other code did it.
        """
        await self._committer.fence()
        self._state = await self._committer.restore()
        progress = _decoder.decode(self._state.memo) if self._state.memo else Progress(self._code)
        if anew or progress.code != self._code:
            await self.begin_anew()
            return
        self._state.memo = progress.memo
        self._committed = self._state.position
        self.switched = progress.switched
        self._fold = PartitionFold(self._state)
        self._folded(self.position, self._fold.now)

    async def begin_anew(self) -> None:
        """Forget everything."""
        self._changed = dict.fromkeys(self._state.records)
        self._state = Restored(partition=self.partition)
        self._fold, self._before = PartitionFold(self._state), {}
        self.switched = False
        await self._commit()

    async def fold_to(self, end: int) -> None:
        """Fold the log up to an offset, and commit that.

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
                late = time.monotonic() - self._committed_at > COMMIT_EVERY_S
                if late or len(self._changed) >= COMMIT_USERS:
                    await self._commit()
        if self.position != self._committed:
            await self._commit()

    def beside(self, lane: Restored) -> Mapping[bytes, bytes]:
        """Users as they would stand in a lane at this position.

        Parameters
        ----------
        lane
            It may stand between two slices of the timers that the next record has made due: with the clock moved, the
            timers of some users fired, those of others still to fire, and the record to be read once more.
        """
        now = read_memo(lane).now
        if now > self._fold.now:
            self._fire(now)
        waiting = (key for key in self._before if key in lane.records and header(lane.records[key])[1] <= now)
        return {**self._state.records, **{key: self._before[key] for key in waiting}}

    def done(self) -> Output:
        """Record that says, committed together with the facts, that they are in use."""
        progress = Progress(self._code, self._state.memo, switched=True)
        return Output(TOPIC, POSITION_KEY, encode_position(self.position, _encode(progress)))

    async def close(self) -> None:
        """Let go."""
        await self._committer.stop()

    def _fire(self, now: int) -> None:
        """Let time pass where the shadow stands; in a log it is the next record that does so."""
        before, (key, value) = dict(self._state.records), encode_control(Tick(at=now))
        self._take([_Beat(self.position - 1, now, key, value)])
        self._before = {key: packed for key, packed in before.items() if self._state.records.get(key) != packed}

    def _take(self, records: Sequence[Record]) -> None:
        self._before = {}
        outputs = self._fold.fold(Batch(EVENTS, self.partition, records))
        # What left the fold when it first read this has left: of all it says only the state is kept.
        self._state.apply(outputs.commit)
        self._state.position = records[-1].offset + 1
        self._changed.update(outputs.commit.state)
        self._folded(self.position, self._fold.now)

    async def _commit(self) -> None:
        progress = Progress(self._code, self._state.memo, self.switched)
        try:
            await self._committer.commit(Commit(state=self._changed), Checkpoint(self.position, _encode(progress)))
        except ProducerFenced as error:
            raise TakenOver("another rebuild of this installation has begun, and goes on where this one was") from error
        self._changed = {}
        self._committed, self._committed_at = self.position, time.monotonic()
