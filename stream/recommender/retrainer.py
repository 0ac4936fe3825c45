"""The retrainer's loop: read, and now and then train, grade, write, publish."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from kafka.errors import KafkaError

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
from stream.processes.stop import StopRequest
from stream.recommender.artifacts import NAME, ArtifactFolder, Published, decode_published, encode_published
from stream.recommender.leadership import Turn, TurnLost
from stream.recommender.reading import TopicReader, reading

log = logging.getLogger(__name__)

LARGE = 50_000
"""A window of so many interactions is worth training on while a few more arrive."""
LATEST = 253_402_300_799_999
"""The end of the year 9999, milliseconds."""
HEAVIEST = 1_000.0
"""No event weighs so much; a weight beyond it is an error, and would drown everything else."""


class _Stopped(Exception):
    """Training was interrupted: end this process."""


@dataclass(frozen=True, slots=True)
class RetrainerOptions:
    """When and on what to train.

    Attributes
    ----------
    interval_s
        Seconds between the starts of two runs, at least.
    fresh
        New interactions that make a run worth it.
    rows, users, items, age_ms
        Most that the window holds, and how old it may be, milliseconds.
    origins
        Events of which origins count.
    hyperparameters, policy
        Of the model.
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
    """Trains on ``interactions`` and publishes to ``versions``, until asked to stop.

    Of several, one trains; the others read along and stand by.

    Parameters
    ----------
    connection
        To the cluster; the topics are there.
    partitions
        Of ``interactions``.
    folder
        Where models are written.
    options
        When and on what to train.
    fit
        Trains item factors; ``models.recommend.factors.fit_items``.
    report
        Told what happens, in words.
    """

    def __init__(
        self,
        connection: Connection,
        partitions: int,
        folder: ArtifactFolder,
        options: RetrainerOptions,
        fit: Fit,
        report: Callable[[str], None] = log.info,
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
        self._turn = Turn(connection)
        self._taken: int | None = None
        self._stands_by = False

    def run(self, stop: StopRequest) -> None:
        """Read and train until ``stop``."""
        with self._turn, reading(self._connection, "interactions", self._partitions, self._options.rows) as reader:
            while not stop.wait(0):
                self._read(reader)
                if self._has_turn() and self._caught_up(reader) and self._due():
                    try:
                        self._train(stop)
                    except _Stopped:
                        return

    def _has_turn(self) -> bool:
        """Whether this one trains; takes the turn over, or says that it stands by."""
        standing = self._turn.standing()
        if standing == "standby" and not self._stands_by:
            self._stands_by, self._taken = True, None
            self._report("stands by: another retrainer of this installation trains")
        if standing != "training":
            return False
        if self._taken != self._turn.number:
            try:
                self._turn.take()
                self._resume()
            except (KafkaError, OSError) as error:
                log.warning("the turn to train was not taken, once more: %r", error)
                return False
            if self._stands_by:
                self._report("trains from now on: the retrainer before is gone")
            self._taken, self._stands_by = self._turn.number, False
        return True

    def _resume(self) -> None:
        """Find what was published before, so that the next version is higher and is compared with it."""
        before, self._published = self._published, None
        with reading(self._connection, "versions", 1) as reader:
            for record in reader.read_to_end():
                if record.key != NAME.encode() or record.value is None:
                    continue
                try:
                    found = decode_published(record.value)
                except msgspec.DecodeError as error:
                    log.warning("record %s of versions is passed over: %s", record.offset, error)
                    continue
                if self._published is None or found.version > self._published.version:
                    self._published = found
        if self._published is not None and self._published != before:
            self._model = None
            try:
                self._model = self._folder.read(self._published)
            except PerennialError as error:
                self._report(f"version {self._published.version} cannot be compared with any more: {error}")

    def _read(self, reader: TopicReader) -> None:
        for record in reader.poll():
            try:
                interaction = decode_interaction(record.value or b"")
            except msgspec.DecodeError as error:
                # the fold wrote it, so the fold's version is another: worth a word, and no reason to stop
                log.warning("record %s of partition %s is passed over: %s", record.offset, record.partition, error)
                continue
            if interaction.origin in self._options.origins and _plausible(interaction):
                self._window.add(interaction)

    def _caught_up(self, reader: TopicReader) -> bool:
        """Whether nearly everything there is has been read; a stream that never pauses is never read to its end."""
        behind = reader.behind
        return behind == 0 or (behind is not None and len(self._window) >= LARGE and behind < len(self._window) / 20)

    def _due(self) -> bool:
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
            if self._turn.standing() == "standby":
                raise TurnLost

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
        except TurnLost:
            # nothing of this run counts, and whoever has the turn now does it anew
            self._taken, self._trained_at_count = None, 0
            self._report("a run was given up: another retrainer of this installation trains now")
            return
        except (KafkaError, OSError, RuntimeError) as error:  # torch says RuntimeError when memory is short
            metrics.increment("retrains", "failed")
            self._taken, self._trained_at_count = None, 0
            log.exception("a run failed")  # the runbook sends people to the traceback
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
        self._turn.publish(key, value)
        self._published, self._model = published, model
        metrics.gauge("retrain_version", version)


def _plausible(interaction: Interaction) -> bool:
    return 0 < interaction.weight <= HEAVIEST and 0 <= interaction.at <= LATEST


def describe(run: RetrainingReport, version: int | None, seconds: float) -> str:
    """One line about a run, for people."""
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
