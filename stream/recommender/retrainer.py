"""The loop of the retrainer: it reads interactions, and from time to time trains, grades and publishes a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from models.errors import PerennialError
from models.events import ORIGINS, Origin
from models.recommend.interactions import Interaction, decode_interaction
from models.recommend.model import FactorModel, Hyperparameters
from models.recommend.retraining import Fit, RetrainingPolicy, retrain
from models.recommend.retraining_report import RetrainingReport
from models.recommend.window import InteractionWindow
from models.units import DAY, now_ms
from monitoring import metrics
from stream.cluster.connection import Connection
from stream.cluster.errors import BrokerUnavailable
from stream.processes.stop import StopRequest
from stream.recommender.artifacts import NAME, ArtifactFolder, Published, decode_published, encode_published
from stream.recommender.leadership import Leadership, LeadershipLost
from stream.recommender.reading import BlockingReader, reading

logger = logging.getLogger(__name__)

LARGE_WINDOW = 50_000
"""Number of interactions that makes a window large: a training may begin before the last few of them are read."""
MAX_TIME_MS = 253_402_300_799_999
"""Maximum time of an interaction: the end of the year 9999, milliseconds."""
MAX_WEIGHT = 1_000.0
"""Maximum weight of an interaction. A larger one is an error, and would outweigh all other interactions."""


class _Stopped(Exception):
    """A request to stop has interrupted the training: end this process."""


@dataclass(frozen=True, slots=True)
class RetrainerOptions:
    """Conditions and data of a training.

    Attributes
    ----------
    interval_s
        Minimum time between the starts of two runs, seconds.
    fresh
        Minimum number of new interactions for a run.
    rows, users, items, age_ms
        Maximum sizes of the window, and the maximum age of an interaction in it, milliseconds.
    origins
        Origins whose events count.
    hyperparameters, policy
        Hyperparameters of the model, and the rule for publishing it.
    """

    interval_s: float = 300.0
    fresh: int = 200
    rows: int = 2_000_000
    users: int = 200_000
    items: int = 100_000
    age_ms: int = 90 * DAY
    origins: frozenset[Origin] = frozenset(ORIGINS)
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    policy: RetrainingPolicy = field(default_factory=RetrainingPolicy)


class Retrainer:
    """Program that trains on ``interactions`` and publishes to ``versions``, until it is asked to stop.

    If several run, one of them trains. The others read as well, and stand by.

    Parameters
    ----------
    connection
        The cluster; the topics exist.
    partitions
        Number of partitions of ``interactions``.
    folder
        Folder of the models.
    options
        Conditions and data of a training.
    fit
        Function that trains item factors, such as ``models.recommend.factors.fit_items``.
    report
        Called with a sentence about each event that an operator may want to see.
    """

    def __init__(
        self,
        connection: Connection,
        partitions: int,
        folder: ArtifactFolder,
        options: RetrainerOptions,
        fit: Fit,
        report: Callable[[str], None] = logger.info,
    ) -> None:
        self._connection = connection
        self._partitions = partitions
        self._folder = folder
        self._options = options
        self._fit = fit
        self._report = report
        self._window = InteractionWindow(options.rows, options.users, options.items, options.age_ms)
        self._published: Published | None = None
        self._model: FactorModel | None = None
        self._trained_at_count = 0
        self._next_run = 0.0
        self._leadership = Leadership(connection)
        self._decision: int | None = None
        """Number of the group's decision that made this retrainer the leader; ``None`` if it does not lead."""
        self._stands_by = False

    def __repr__(self) -> str:
        return f"Retrainer({len(self._window)} interactions, {self._published!r}, {self._leadership!r})"

    @property
    def window(self) -> InteractionWindow:
        """The interactions in memory."""
        return self._window

    def run(self, stop: StopRequest) -> None:
        """Read and train until ``stop`` is requested."""
        interactions = reading(self._connection, "interactions", self._partitions, self._options.rows)
        with self._leadership, interactions as reader:
            while not stop.wait(0):
                self._read(reader)
                if self._leads() and self._has_caught_up(reader) and self._is_due():
                    try:
                        self._train(stop)
                    except _Stopped:
                        return

    def _leads(self) -> bool:
        """Take the leadership if the group has given it to this retrainer, and return whether it leads."""
        standing = self._leadership.standing()
        if standing == "standby" and not self._stands_by:
            self._stands_by, self._decision = True, None
            self._report("stands by: another retrainer of this installation trains")
        if standing != "training":
            return False
        decision = self._leadership.decisions
        if self._decision != decision:
            try:
                self._leadership.take()
                self._resume()
            except (BrokerUnavailable, OSError) as error:
                logger.warning("could not take the leadership, trying again: %r", error)
                return False
            if self._stands_by:
                self._report("trains from now on: the previous retrainer has ended")
            self._decision, self._stands_by = decision, False
        return True

    def _resume(self) -> None:
        """Read the newest published version, because the next one gets a higher number and is compared with it."""
        before, self._published = self._published, None
        with reading(self._connection, "versions", 1) as reader:
            for record in reader.read_to_end():
                if record.key != NAME.encode() or record.value is None:
                    continue
                try:
                    found = decode_published(record.value)
                except msgspec.DecodeError as error:
                    logger.warning("record %s of versions is skipped: %s", record.offset, error)
                    continue
                if self._published is None or found.version > self._published.version:
                    self._published = found
        if self._published is not None and self._published != before:
            self._model = None
            try:
                self._model = self._folder.read(self._published)
            except PerennialError as error:
                self._report(f"cannot compare the next version with version {self._published.version}: {error}")

    def _read(self, reader: BlockingReader) -> None:
        for record in reader.poll():
            try:
                interaction = decode_interaction(record.value or b"")
            except msgspec.DecodeError as error:
                # The fold wrote this record, so the fold runs another release. That is no reason to stop.
                logger.warning("record %s of interactions is skipped: %s", record.offset, error)
                continue
            if interaction.origin in self._options.origins and _is_plausible(interaction):
                self._window.add(interaction)

    def _has_caught_up(self, reader: BlockingReader) -> bool:
        """Return whether nearly everything has been read, because a stream without a pause is never read to its end."""
        lag = reader.lag()
        return lag == 0 or (lag is not None and len(self._window) >= LARGE_WINDOW and lag < len(self._window) / 20)

    def _is_due(self) -> bool:
        fresh = self._window.added - self._trained_at_count
        return fresh >= self._options.fresh and time.monotonic() >= self._next_run

    def _train(self, stop: StopRequest) -> None:
        began = time.monotonic()
        self._next_run = began + self._options.interval_s
        self._trained_at_count = self._window.added

        def progress(stage: str, done: int, total: int) -> None:
            del stage, done, total
            if stop.wait(0):
                raise _Stopped
            if self._leadership.standing() == "standby":
                raise LeadershipLost

        try:
            model, run = retrain(
                self._window.columns(),
                self._options.hyperparameters,
                self._fit,
                published=self._model,
                policy=self._options.policy,
                progress=progress,
            )
            if model is not None:
                self._publish(model, run)
        except LeadershipLost:
            # The result of this run is discarded, because the new leader trains again.
            self._decision, self._trained_at_count = None, 0
            self._report("a run was abandoned: another retrainer of this installation trains now")
            return
        except (BrokerUnavailable, OSError, RuntimeError) as error:  # torch raises RuntimeError without memory
            metrics.increment("retrains", "failed")
            self._decision, self._trained_at_count = None, 0
            logger.exception("a run failed")  # the runbook refers to this traceback
            self._report(f"a run failed, the next one is in {self._options.interval_s:g} s: {error!r}")
            return
        metrics.increment("retrains", "kept" if model is None else "published")
        seconds = time.monotonic() - began
        _measure(run, seconds)
        self._report(describe(run, None if self._published is None else self._published.version, seconds))

    def _publish(self, model: FactorModel, run: RetrainingReport) -> None:
        version = 1 if self._published is None else self._published.version + 1
        file, sha256 = self._folder.write(version, model)
        published = Published(
            version=version,
            file=file,
            sha256=sha256,
            trained_at=now_ms(),
            trained_until=model.trained_until,
            run=run,
            previous=None if self._published is None else msgspec.structs.replace(self._published, previous=None),
        )
        key, value = encode_published(published)
        self._leadership.publish(key, value)
        self._published, self._model = published, model
        metrics.gauge("retrain_version", version)


def _is_plausible(interaction: Interaction) -> bool:
    return 0 < interaction.weight <= MAX_WEIGHT and 0 <= interaction.at <= MAX_TIME_MS


def describe(run: RetrainingReport, version: int | None, seconds: float) -> str:
    """Describe a run in one line."""
    what = f"published version {version}" if run.publish else f"kept version {version or 'none'}"
    graded = ""
    if run.grade is not None and run.popularity is not None:
        graded = (
            f"; recall@10 {run.grade.recall_at_10:.3f}, popularity {run.popularity.recall_at_10:.3f}"
            f" ({run.grade.users} users)"
        )
    return f"{what}: {run.reason}; {run.rows} interactions, {run.items} items{graded}; {seconds:.1f} s"


def _measure(run: RetrainingReport, seconds: float) -> None:
    metrics.observe("retrain_seconds", seconds)
    metrics.gauge("retrain_rows", run.rows)
    metrics.gauge("retrain_timestamp_seconds", time.time())
    if run.grade is not None and run.popularity is not None:
        metrics.gauge("retrain_recall", run.grade.recall_at_10)
        metrics.gauge("retrain_popularity_recall", run.popularity.recall_at_10)
