"""The switch of one partition: its shadow catches up with the running lane, then its facts replace those in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from models.batch import Checkpoint, Commit, Restored
from models.errors import PerennialError
from models.fold.memo import schema_in_use
from models.fold.rebuilt import carry_memo, carry_over
from models.fold.recomputed_merges import KEEP, KeptLink
from models.identity.linking import is_nameless
from models.log import EVENTS, is_control
from models.profile.codec import pack, unpack
from stream.cluster.connection import Connection, transactional_id
from stream.cluster.errors import is_kafka_error
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import restore
from stream.rebuild.shadow import Shadow
from stream.rebuild.shadow_topic import TOPIC

logger = logging.getLogger(__name__)

MAX_LAG = 5_000
"""Maximum number of records by which a shadow may be behind the running lane when the switch begins."""
MAX_ATTEMPTS = 10
"""Maximum number of attempts to switch a partition over, and to read its state."""
RETRY_S = 1.0
"""How long to wait after a failed attempt before the next one, seconds.

Meanwhile, an owner that has started again restores its state. So the next attempt fences this owner, too.
"""


class NotSwitched(PerennialError):
    """A partition could not be switched over. Nothing in it was changed, and the same command continues there."""


class LinksDiffer(PerennialError):
    """A link that this code and the code in use make differently: rebuild with ``--keep-differing``."""


class FactMerger:
    """Merge of a shadow's facts with the ledgers in use.

    During the last merge no process folds the partition, so this merge must be fast. Therefore each result is
    remembered, and a user who has not changed since then is not merged again.

    Parameters
    ----------
    visitors
        Whether only the profiles of anonymous ids are merged; otherwise all of them.
    keeps
        Whether visitors whose links differ keep their facts in use; otherwise they are an error.
    kept
        Keys of visitors who keep their facts in use.

    Attributes
    ----------
    differing
        The visitors whose links were found to differ.
    """

    def __init__(self, *, visitors: bool = False, keeps: bool = False, kept: Iterable[str] = ()) -> None:
        self.visitors = visitors
        self.differing: dict[str, KeptLink] = {}
        self._keeps = keeps
        self._kept = {one.encode() for one in kept}
        self._merged: dict[bytes, tuple[bytes | None, bytes | None, bytes | None]] = {}
        self._schema = 0

    def __repr__(self) -> str:
        return f"FactMerger({len(self._merged)} users)"

    def merge(self, shadow: Mapping[bytes, bytes], current: Restored) -> dict[bytes, bytes | None]:
        """Return the new encoded state of each user whose facts differ.

        Parameters
        ----------
        shadow
            Encoded users, recomputed.
        current
            The state in use, at the same position.

        Raises
        ------
        LinksDiffer
            This code and the code in use disagree about the owner of an anonymous id.
        """
        schema = schema_in_use(current)
        if schema != self._schema:
            self._merged.clear()
            self._schema = schema
        changed: dict[bytes, bytes | None] = {}
        for key in shadow.keys() | current.records.keys():
            if is_control(key) or key in self._kept or (self.visitors and not is_nameless(key.decode())):
                continue
            rebuilt, known = shadow.get(key), current.records.get(key)
            merged = self._merged.get(key)
            if merged is None or merged[:2] != (rebuilt, known):
                if self.visitors and rebuilt != known and self._differs(key, rebuilt, known):
                    continue
                merged = self._merged[key] = rebuilt, known, _new_state(rebuilt, known, schema)
            if merged[2] is not None:
                changed[key] = merged[2]
        return changed

    def _differs(self, key: bytes, rebuilt: bytes | None, known: bytes | None) -> bool:
        """Return whether the links of an anonymous profile, which are carried over, do not fit to its recomputed facts.

        Raises
        ------
        LinksDiffer
            They do not, and visitors do not keep their facts in use.
        """
        visitor, mine, theirs = key.decode(), _owner(rebuilt), _owner(known)
        if mine == theirs:
            self.differing.pop(visitor, None)
            return False
        if not self._keeps:
            raise LinksDiffer(
                f"{visitor} has handed its profile over to {_said(theirs)}, and this code hands it over to "
                f"{_said(mine)}; {KEEP}. The facts in use of this partition were not changed"
            )
        user, other = (owner[0] if owner else "" for owner in (theirs, mine))
        self.differing[visitor] = KeptLink(visitor, user, other)
        return True


def _new_state(rebuilt: bytes | None, known: bytes | None, schema: int) -> bytes | None:
    """Return the user's new encoded state, or ``None`` if the stored facts already match."""
    carried = carry_over(rebuilt, known, schema)
    # Earlier code may have encoded the same user in another form: another schema, or not yet as dormant.
    is_same = known is not None and (carried == known or carried == pack(unpack(known), schema))
    return None if is_same else carried


def _owner(packed: bytes | None) -> tuple[str, str] | None:
    """Return the owner of an anonymous id, and the id of the merge."""
    identity = None if packed is None else unpack(packed).identity
    owner = None if identity is None else identity.owner
    return None if owner is None else (owner.user, owner.merge)


def _said(owner: tuple[str, str] | None) -> str:
    return "no user" if owner is None else f"{owner[0]} (merge {owner[1]})"


async def snapshot(connection: Connection, partition: int, least: int = 0) -> Restored:
    """Read the newest state that the running lane has committed.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Number of the partition of ``profiles``.
    least
        Position of an earlier reading. While a partition is read, the topic's cleaner may remove a value because a
        newer one is stored after the end of this reading. Then the position is too low, and the partition is read
        again.
    """
    for _ in range(MAX_ATTEMPTS):
        found = await restore(connection, "profiles", partition, in_use=True)
        if found.position >= least:
            break
    return found


async def catch_up(shadow: Shadow, connection: Connection) -> Restored:
    """Fold until the shadow is close to the running lane; return the state in use at the shadow's position.

    Raises
    ------
    NotSwitched
        The state in use went back behind the place at which the facts of visitors were put into use.
    """
    while True:
        began = shadow.position
        current = await snapshot(connection, shadow.partition, began)
        if current.position < began:
            logger.warning("partition %d: the state in use went back to %d", shadow.partition, current.position)
            if current.position < shadow.visitors_at:
                raise NotSwitched(_went_back(shadow, current))
            await shadow.restart()
            began = 0
        await shadow.fold_to(current.position)
        if current.position - began <= MAX_LAG:
            return current


async def switch(shadow: Shadow, merger: FactMerger, connection: Connection, fold: str) -> int:
    """Put the shadow's facts into use.

    Parameters
    ----------
    shadow
        The shadow; its position is close to that of the running lane.
    merger
        The merger; it says whose facts are put into use. It should have merged most users before, because no process
        folds the partition until this returns.
    connection
        The cluster.
    fold
        Application id of the running fold.

    Returns
    -------
    int
        Number of users whose facts have changed.

    Raises
    ------
    NotSwitched
        The owner returned during each attempt, or the broker failed.
    TakenOver
        Another rebuild has begun.
    LinksDiffer, MissingPayload
        This code computes the links between profiles in another way than the code in use.
    """
    partition = shadow.partition
    error: Exception | None = None
    own = Ownership(
        transactional_id(fold, EVENTS, partition), partition, state_topic="profiles", aligned=frozenset({TOPIC})
    )
    for _ in range(MAX_ATTEMPTS):
        try:
            async with _owning(connection, own) as owner:
                current = await owner.restore()
                # Write under the shadow's id first. A process that was stopped during another rebuild is fenced
                # here, and changes nothing.
                await shadow.fold_to(current.position)
                if shadow.position != current.position:
                    raise NotSwitched(_went_back(shadow, current))
                changed = merger.merge(shadow.comparable(current), current)
                shadow.kept.update(merger.differing)
                done, memo = shadow.done(visitors=merger.visitors), carry_memo(shadow.memo, current.memo)
                await owner.commit(Commit([done], changed), Checkpoint(current.position, memo))
                shadow.note_done(visitors=merger.visitors)
                return len(changed)
        except Exception as failure:
            if not is_kafka_error(failure):  # ProducerFenced is a Kafka error, too
                raise
            logger.warning("partition %d: trying again after %r", partition, failure)
            error = failure
            await asyncio.sleep(RETRY_S)
    raise NotSwitched(
        f"partition {partition} was not switched over in {MAX_ATTEMPTS} attempts ({error!r}); nothing in it was "
        f"changed, and the same command continues with it"
    ) from error


def _went_back(shadow: Shadow, current: Restored) -> str:
    return (
        f"partition {shadow.partition} of profiles went back to {current.position}, and the rebuild is at "
        f"{shadow.position}; run the same command with `--anew` to begin at the start of the log"
    )


@asynccontextmanager
async def _owning(connection: Connection, own: Ownership) -> AsyncIterator[TransactionalCommitter]:
    owner = TransactionalCommitter(connection, own)
    try:
        await owner.fence()
        yield owner
    finally:
        await owner.stop()
