"""The one table of topics, and the functions that create and check the topics on a cluster.

Every topic is created, with explicit partitions, before anything else starts. A log keeps its number of partitions
forever, because this number decides the partition of each user, and so the state of each lane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from models.errors import PerennialError
from models.events import CHANNELS
from models.units import DAY
from stream.cluster.admin import admin, patiently
from stream.cluster.connection import Connection

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

__all__ = [
    "EMBEDDED_PARTITIONS",
    "PARTITIONS",
    "PERMANENT",
    "TOPICS",
    "Problem",
    "Topic",
    "TopicsNotReady",
    "await_topics",
    "check",
    "create",
    "existing",
    "require_topics",
    "topic",
]

PARTITIONS = 12
"""Default number of partitions of the log, and of each topic that has as many partitions as the log."""
EMBEDDED_PARTITIONS = 4
"""Default number of partitions of such topics on the embedded broker."""

# The first two settings keep a restore short: segments are small, because the cleaner skips the newest one, and the
# cleaner starts early. With the other two, erased data is removed within two days, even if nothing else is written.
_COMPACTED = {
    "segment.bytes": str(32 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": str(DAY),
    "max.compaction.lag.ms": str(DAY),
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One line of the table.

    Attributes
    ----------
    name
        Logical name; on the cluster it begins with the installation's prefix.
    key, value
        Contents of key and value; a dotted path names the type that encodes and decodes them.
    spread
        ``log``: as many partitions as the log (``kafka.partitions``). ``one``: one partition, for a single reader or a
        total order.
    cleanup
        ``delete`` after ``retention_days``, or ``compact`` to the newest record of each key.
    retention_days
        Age at which records are deleted; ``None`` keeps all.
    writers, readers
        Programs that write and read it; ``anybody`` is a program of yours.
    guarantee
        Guarantee for a reader on Apache Kafka with ``read_committed``.
    alike
        Another topic that is partitioned in the same way. A lane that reads partition p of the other topic writes to
        partition p of this topic.
    config
        Further settings of the topic.
    on_demand
        Whether the topic exists only while a command needs it. Nothing else creates it or requires it.
    """

    name: str
    key: str
    value: str
    spread: Literal["log", "one"]
    cleanup: Literal["delete", "compact"]
    retention_days: int | None
    writers: str
    readers: str
    guarantee: str
    alike: str | None = None
    config: Mapping[str, str] | None = None
    on_demand: bool = False

    def partitions(self, of_the_log: int) -> int:
        """Return the topic's number of partitions if the log has ``of_the_log``."""
        return of_the_log if self.spread == "log" else 1

    def configs(self) -> dict[str, str]:
        """Return the topic's settings as the cluster expects them."""
        configs: dict[str, str] = {"cleanup.policy": self.cleanup}
        if self.cleanup == "compact":
            configs |= _COMPACTED
        else:
            configs["retention.ms"] = "-1" if self.retention_days is None else str(self.retention_days * DAY)
        return configs | dict(self.config or {})


_ONCE = "each record once, in one transaction with the state that caused it"
_STATE = "commits in one transaction with the outputs of the lane that owns the partition"

TOPICS: tuple[Topic, ...] = (
    Topic(
        "events.in", "any", "JSON, Segment's form or the short one (models.wire.decode)", "log", "delete", 7,
        "anybody", "router", "as the writer made it; any key, any partitioner",
        # The broker's stamp is the time of arrival. The broker accepts records that are far too large, and they become
        # dead letters with a reason. If the broker refused them, the program that sends them might ignore the error.
        config={"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(8 * 1024 * 1024)},
    ),
    Topic(
        "events", "user id; control records begin with NUL", "models.events.Event as JSON; models.log.Control", "log",
        "delete", None, "router, HTTP door, replay, simulator, learners, perennial import", "fold",
        "at least once, repeats are dropped by messageId; one user's events are in one partition, in order",
        config={"message.timestamp.type": "LogAppendTime"},
    ),
    Topic(
        # A record from one profile to another exists only here until the router has moved it.
        "outcomes", "user id", "models.events.Event as JSON", "log", "delete", 30,
        "delivery, fold", "router", _ONCE,
    ),
    Topic(
        "events.rejected", "place: topic/partition/offset", "models.rejected.Rejected as JSON", "log", "delete", 30,
        "router, HTTP door, fold", "people, dead letter tools",
        "each rejected record with its reason, source position, length, SHA-256 and first 64 KiB",
    ),
    Topic(
        "events.replayed", "place: topic/partition/offset", "stream.dead_letters.replay.ReplayMark as JSON", "log",
        "delete", 60, "dead letter tools", "dead letter tools",
        "a mark before a dead letter is sent again, and another mark afterwards",
    ),
    Topic(
        "profiles", "user id; the lane's own records begin with NUL", "models.profile.state.Customer, packed",
        "log", "compact", None, "fold", "fold", _STATE, alike="events",
    ),
    Topic(
        "profiles.rebuild", "user id; the lane's own records begin with NUL", "models.profile.state.Customer, packed",
        "log", "compact", None, "rebuild", "rebuild", "commits with its position", alike="events", on_demand=True,
    ),
    Topic(
        "merges.rebuild", "user id", "stream.rebuild.answers.RebuiltMerge, packed", "log", "delete", None,
        "rebuild", "rebuild", "commits with the position of the fold of the visitor's partition", on_demand=True,
    ),
    Topic(
        "examples.churn", "user id", "models.learning.examples.ChurnExample as JSON", "one", "delete", 30,
        "fold", "learner of churn", _ONCE,
    ),
    Topic(
        "examples.segments", "user id", "models.learning.examples.SegmentExample as JSON", "one", "delete", 30,
        "fold", "learner of segments", _ONCE,
    ),
    Topic(
        "examples.population", "user id", "models.learning.buyers.PopulationExample as JSON", "one", "delete", 30,
        "fold", "learner of the population", _ONCE,
    ),
    Topic(
        "learners.churn", "the learner's own", "models.learning.churn.ChurnLearner, sealed", "one", "compact", None,
        "learner of churn", "learner of churn", _STATE, alike="examples.churn",
    ),
    Topic(
        "learners.segments", "the learner's own", "models.learning.segments.SegmentLearner, sealed",
        "one", "compact", None, "learner of segments", "learner of segments", _STATE, alike="examples.segments",
    ),
    Topic(
        "learners.population", "the learner's own", "models.learning.population_learner.PopulationLearner, sealed",
        "one", "compact", None, "learner of the population", "learner of the population", _STATE,
        alike="examples.population",
    ),
    Topic(
        "interactions", "user id", "models.recommend.interactions.Interaction as JSON", "log", "delete", 90,
        "fold", "retrainer", _ONCE,
    ),
    Topic(
        "signals", "user id", "models.profile.signals.Signal as JSON", "log", "delete", 30,
        "fold", "people, other systems", _ONCE,
    ),
    Topic(
        "decisions", "user id", "models.engage.decisions.Decision as JSON", "log", "delete", 90,
        "fold", "people, other systems", _ONCE,
    ),
    *(
        Topic(
            f"messages.{channel}", "user id; the key of a pause begins with NUL",
            "models.delivery.messages.Message as JSON; models.delivery.notices.Notice", "log", "delete", 7,
            "fold", "delivery", _ONCE,
        )
        for channel in CHANNELS
    ),
    *(
        Topic(
            f"deliveries.{channel}", "message id", "models.delivery.deliveries.DeliveryRecord as JSON", "log",
            "compact", None, "delivery", "delivery", _STATE, alike=f"messages.{channel}",
        )
        for channel in CHANNELS
    ),
    Topic(
        "suppressions", "secret's id:hash of channel and address:reason",
        "models.delivery.suppression.SuppressionEntry as JSON", "one", "compact", None,
        "delivery, HTTP door, perennial suppressions, perennial import", "delivery, HTTP door, tools",
        "at least once; the newest record of an address and reason wins; acknowledged by all replicas",
    ),
    Topic(
        "versions", "name of what is versioned", "models.log.Use as JSON; an artifact is an address and a checksum",
        "one", "compact", None, "learners, retrainer, perennial apply", "recommenders, tools",
        "at least once; versions only grow",
    ),
    Topic("imports", "id of the run", "models.imports.runs.ImportRun as JSON", "one", "compact", None,
          "perennial import", "perennial import", "at least once; the newest record of a run wins"),
    Topic("items", "item id", "models.recommend.catalogue.Item as JSON", "one", "compact", None,
          "fold, perennial import items", "retrainer, recommenders", "at least once; an item's newest record wins"),
)  # fmt: skip

PERMANENT: tuple[Topic, ...] = tuple(topic for topic in TOPICS if not topic.on_demand)
"""The topics that an installation always needs."""

_BY_NAME = {topic.name: topic for topic in TOPICS}


def topic(name: str) -> Topic:
    """Return the line of a logical name; raise ``KeyError`` if the table does not contain it."""
    return _BY_NAME[name]


class TopicsNotReady(PerennialError):
    """Topics are missing or differ from the table: run the command that the message names.

    Parameters
    ----------
    problems
        The differences, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        missing = [problem.topic for problem in problems if problem.kind == "missing"]
        others = [f"{problem.topic} {problem.what}" for problem in problems if problem.kind != "missing"]
        parts = []
        if missing:
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            parts.append(f"missing topics: {shown}; run: perennial topics create")
        if others:
            parts.append(
                "; ".join(others) + "; set kafka.partitions to the log's own number, or use another kafka.prefix "
                "(perennial topics check shows all)"
            )
        super().__init__("; ".join(parts))


class Problem(NamedTuple):
    """A difference between a cluster and the table.

    Attributes
    ----------
    topic
        Physical name.
    kind
        With a ``config`` difference, processes can start. With each of the other kinds, no process starts.
    what
        Description of the difference.
    """

    topic: str
    kind: Literal["missing", "partitions", "cleanup", "config"]
    what: str


def existing(client: KafkaAdminClient, connection: Connection) -> dict[str, int]:
    """Return the physical name and the number of partitions of each topic with the installation's prefix."""
    return {
        found["name"]: len(found["partitions"])
        for found in client.describe_topics()
        if found["error_code"] == 0 and found["name"].startswith(connection.prefix)
    }


def create(connection: Connection, partitions: int, replication_factor: int = 1) -> list[str]:
    """Create the topics that are missing, and wait until each has its leaders.

    Parameters
    ----------
    connection
        The cluster.
    partitions
        Number of partitions of the log.
    replication_factor
        Number of copies of each partition. With 3 or more, a write waits for two of them.

    Returns
    -------
    list of str
        Physical names of the topics that were created now.

    Raises
    ------
    TopicsNotReady
        A topic exists with another number of partitions; then none is created.
    """
    with admin(connection) as client:
        there = existing(client, connection)
        wrong = [problem for problem in _compare(there, connection, partitions) if problem.kind == "partitions"]
        if wrong:
            raise TopicsNotReady(wrong)
        safety = {"min.insync.replicas": "2"} if replication_factor >= 3 else {}
        missing = {
            connection.topic(topic.name): {
                "num_partitions": topic.partitions(partitions),
                "replication_factor": replication_factor,
                "configs": topic.configs() | safety,
            }
            for topic in PERMANENT
            if connection.topic(topic.name) not in there
        }
        if missing:
            _create(client, missing)
        return list(missing)


def _create(client: KafkaAdminClient, missing: Mapping[str, Mapping[str, object]]) -> None:
    from kafka.errors import TopicAlreadyExistsError, for_code

    for made in client.create_topics(dict(missing), raise_errors=False)["topics"]:
        error = for_code(made["error_code"])
        if made["error_code"] and error is not TopicAlreadyExistsError:  # another program may be creating them too
            raise error(f"{made['name']}: {made['error_message'] or 'not created'}")
    client.wait_for_topics(list(missing), timeout_ms=30_000)


def check(connection: Connection, partitions: int) -> list[Problem]:
    """Return the differences between cluster and table: topics, numbers of partitions, settings."""
    with admin(connection) as client:
        there = existing(client, connection)
        return [*_compare(there, connection, partitions), *_compare_configs(client, there, connection)]


def require_topics(connection: Connection, partitions: int) -> None:
    """Check that every topic exists as in the table.

    Settings other than the cleanup policy may differ, because an installation may keep records longer.

    Raises
    ------
    TopicsNotReady
        Topics are missing or differ; the message names the command to run.
    BrokerUnreachable
        No broker answers.
    """
    problems = [problem for problem in check(connection, partitions) if problem.kind != "config"]
    if problems:
        raise TopicsNotReady(problems)


def await_topics(connection: Connection, partitions: int) -> None:
    """Wait for a broker that answers, then require the topics, because a process may start before its broker.

    The reason for waiting is logged immediately, and then once a minute.

    Raises
    ------
    TopicsNotReady
        Topics are missing or differ; the message names the command to run.
    """
    patiently(lambda: require_topics(connection, partitions))


def _compare(there: Mapping[str, int], connection: Connection, partitions: int) -> Iterator[Problem]:
    for topic in PERMANENT:
        name, wanted = connection.topic(topic.name), topic.partitions(partitions)
        if name not in there:
            yield Problem(name, "missing", f"should have {wanted} partitions")
        elif there[name] != wanted:
            yield Problem(name, "partitions", f"has {there[name]} partitions, should have {wanted}")


def _compare_configs(client: KafkaAdminClient, there: Mapping[str, int], connection: Connection) -> Iterator[Problem]:
    from kafka.admin import ConfigResource

    names = {connection.topic(topic.name): topic for topic in PERMANENT if connection.topic(topic.name) in there}
    if not names:
        return
    answer = client.describe_configs([ConfigResource("TOPIC", name) for name in names], config_filter="all")
    for name, topic in names.items():
        found = answer.get("topic", {}).get(name, {})
        for setting, wanted in topic.configs().items():
            if setting not in found:
                continue  # the embedded broker shows only settings that were given to it
            if (value := found[setting]["value"]) != wanted:
                kind: Literal["cleanup", "config"] = "cleanup" if setting == "cleanup.policy" else "config"
                yield Problem(name, kind, f"has {setting}={value}, should have {wanted}")
