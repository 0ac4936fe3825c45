"""Upgrades: the format level of the log, the workers that know it, and the last step of an upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from models.counting import counted
from models.errors import PerennialError
from models.levels import NEWEST, OLDEST
from stream.cluster.connection import Connection
from stream.cluster.group_members import GroupMember, members_of
from stream.cluster.topics import require_topics
from stream.log.levels import level_in_use, raise_level
from stream.rebuild import shadow_topic

ROLES = ("fold", "deliver", "learn")
"""Roles of the workers; each role has a consumer group of this name."""


class CannotFinish(PerennialError):
    """The level of the log cannot be raised yet: do what the message says. Nothing was changed."""


class UpgradeStanding(NamedTuple):
    """Progress of an upgrade.

    Attributes
    ----------
    level
        Format level of the log.
    workers
        All workers that are connected; ``None`` on the embedded broker, which does not list them.
    rebuild
        Physical names of the topics of a rebuild that is not at its end; empty without one.
    """

    level: int
    workers: Sequence[GroupMember] | None
    rebuild: tuple[str, ...] = ()

    @property
    def old_workers(self) -> list[GroupMember]:
        """Workers that do not know the newest level."""
        return [worker for worker in self.workers or () if worker.level < NEWEST]

    @property
    def is_finished(self) -> bool:
        """Whether the log has the newest level that this code knows."""
        return self.level >= NEWEST

    def obstacle(self) -> str | None:
        """Return what has to be done before the level can be raised; ``None`` if it can be raised now."""
        if self.workers is None:
            return (
                "the embedded broker does not list its workers, and it loses its log when it ends: start it again, and "
                "the new log begins at the newest level"
            )
        if not OLDEST <= self.level <= NEWEST:
            return f"the log has format level {self.level}, and this command knows levels {OLDEST} to {NEWEST} only"
        if self.old_workers:
            hosts = ", ".join(f"{one.group} on {one.host}" for one in self.old_workers)
            return (
                f"{counted(len(self.old_workers), 'worker')} of {len(self.workers)} still run code that does not know "
                f"level {NEWEST}: {hosts}; replace them first"
            )
        if not any(worker.group == "fold" for worker in self.workers):
            return "no worker that folds is connected, so it is not known which code runs; start the workers first"
        if self.rebuild and not self.is_finished:
            return (
                f"`perennial rebuild` runs, or was stopped before its end, or has only compared (there is "
                f"{' and '.join(self.rebuild)}): let it end, or run it again; to give it up, delete these topics"
            )
        return None


def standing(connection: Connection, partitions: int) -> UpgradeStanding:
    """Read the level of the log, and the workers.

    Raises
    ------
    BrokerUnavailable
        Kafka does not answer.
    TopicsNotReady
        Topics are missing.
    """
    require_topics(connection, partitions)
    level = asyncio.run(level_in_use(connection, partitions))
    if not connection.transactions:
        return UpgradeStanding(level, None)
    return UpgradeStanding(level, members_of(connection, ROLES), tuple(shadow_topic.found(connection)))


def finish(connection: Connection, partitions: int) -> UpgradeStanding:
    """Raise the level of the log to the newest one, and look for old workers once more.

    A second call writes the same records again, without an effect.

    Raises
    ------
    CannotFinish
        Not all workers run the new code, it is not known which code they run, or a rebuild is not at its end.
    BrokerUnavailable
        Kafka did not acknowledge the records: call again.
    """
    found = standing(connection, partitions)
    obstacle = found.obstacle()
    if obstacle is not None:
        raise CannotFinish(obstacle)
    asyncio.run(raise_level(connection, NEWEST))
    # An old worker that has joined meanwhile may have passed the record of the level without noticing it.
    return standing(connection, partitions)
