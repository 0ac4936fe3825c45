"""One partition: its shadow catches up with the running lane, and takes the place of that one's facts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError, ProducerFenced

from models.batch import Checkpoint, Commit, Restored
from models.errors import PerennialError
from models.fold.rebuilt import carry_memo, carry_over
from models.log import EVENTS, is_control
from models.profile.codec import pack, unpack
from stream.cluster.connection import Connection, transactional_id
from stream.engine.committers import Ownership, TransactionalCommitter
from stream.engine.state import restore
from stream.rebuild.shadow import Shadow
from stream.rebuild.shadow_topic import TOPIC

log = logging.getLogger(__name__)

CLOSE = 5_000
"""So few records behind the running lane is close enough to take its place."""
ATTEMPTS = 10
AGAIN_S = 1.0


class NotSwitched(PerennialError):
    """A partition could not be switched over; nothing of it was changed, and the same command goes on there."""


class Carrier:
    """Puts a shadow's facts beside the ledgers in use; whoever has not changed since is not looked at again."""

    def __init__(self) -> None:
        self._made: dict[bytes, tuple[bytes | None, bytes | None, bytes | None]] = {}

    def carry(self, shadow: Mapping[bytes, bytes], current: Mapping[bytes, bytes]) -> dict[bytes, bytes | None]:
        """Return the users whose facts differ, as they shall be.

        Parameters
        ----------
        shadow, current
            Packed users, recomputed and in use, at the same position.
        """
        changed: dict[bytes, bytes | None] = {}
        for key in shadow.keys() | current.keys():
            if is_control(key):
                continue
            rebuilt, known = shadow.get(key), current.get(key)
            made = self._made.get(key)
            if made is None or made[:2] != (rebuilt, known):
                made = self._made[key] = rebuilt, known, _wanted(rebuilt, known)
            if made[2] is not None:
                changed[key] = made[2]
        return changed


def _wanted(rebuilt: bytes | None, known: bytes | None) -> bytes | None:
    """How a user shall be whose facts differ; ``None`` for one who stands as they shall, in whatever form."""
    carried = carry_over(rebuilt, known)
    # code before this may have packed the same user in another form: another schema, or awake where today they rest
    is_same = known is not None and (carried == known or carried == pack(unpack(known)))
    return None if is_same else carried


async def snapshot(connection: Connection, partition: int, least: int = 0) -> Restored:
    """Read what the running lane has committed by now.

    Parameters
    ----------
    connection
        The cluster.
    partition
        Of ``profiles``.
    least
        Where it stood before. The topic's cleaner may take a value away while it is read that stands again behind the
        end of this reading; then it is read once more.
    """
    for _ in range(ATTEMPTS):
        found = await restore(connection, "profiles", partition, in_use=True)
        if found.position >= least:
            break
    return found


async def catch_up(shadow: Shadow, connection: Connection) -> Restored:
    """Fold on until the shadow is close behind the running lane; returns the state in use at the shadow's position."""
    while True:
        began = shadow.position
        current = await snapshot(connection, shadow.partition, began)
        if current.position < began:
            log.warning("partition %d: the state in use went back to %d", shadow.partition, current.position)
            await shadow.begin_anew()
            began = 0
        await shadow.fold_to(current.position)
        if current.position - began <= CLOSE:
            return current


async def switch(shadow: Shadow, carrier: Carrier, connection: Connection, fold: str) -> int:
    """Put the shadow's facts into use.

    Parameters
    ----------
    shadow
        Close behind the running lane.
    carrier
        Best with most users carried over already: until this returns, nobody folds the partition.
    connection
        The cluster.
    fold
        Application of the running fold.

    Returns
    -------
    int
        Users whose facts have changed.

    Raises
    ------
    NotSwitched
        The owner came back in between, again and again, or the broker failed.
    TakenOver
        Another rebuild has begun.
    """
    partition, error = shadow.partition, None
    own = Ownership(
        transactional_id(fold, EVENTS, partition), partition, state_topic="profiles", aligned=frozenset({TOPIC})
    )
    for _ in range(ATTEMPTS):
        try:
            async with _owning(connection, own) as owner:
                current = await owner.restore()
                # Under its own id first: whoever slept through another rebuild is fenced here, and changes nothing.
                await shadow.fold_to(current.position)
                if shadow.position != current.position:
                    raise NotSwitched(
                        f"partition {partition} of profiles went back to {current.position}, and the rebuild is at "
                        f"{shadow.position}; the same command with --anew begins at the beginning"
                    )
                changed = carrier.carry(shadow.beside(current), current.records)
                memo = carry_memo(shadow.memo, current.memo)
                await owner.commit(Commit([shadow.done()], changed), Checkpoint(current.position, memo))
                shadow.switched = True
                return len(changed)
        except (ProducerFenced, KafkaError, OSError, TimeoutError) as failure:
            log.warning("partition %d: once more, after %r", partition, failure)
            error = failure
            await asyncio.sleep(AGAIN_S)  # an owner that has come back restores now; another second lets it be seen
    raise NotSwitched(
        f"partition {partition} was not switched over in {ATTEMPTS} attempts ({error!r}); it is as it was, and the "
        f"same command goes on with it"
    ) from error


@asynccontextmanager
async def _owning(connection: Connection, own: Ownership) -> AsyncIterator[TransactionalCommitter]:
    owner = TransactionalCommitter(connection, own)
    try:
        await owner.fence()
        yield owner
    finally:
        await owner.stop()
