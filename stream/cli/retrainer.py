"""``perennial retrainer``: train the recommender on interactions with items, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os

from models.durations import milliseconds
from models.recommend.model import Hyperparameters
from stream.cli.output import Config, print_line
from stream.cluster.topics import await_topics
from stream.installation.recognition import opened
from stream.processes.exposition import expose
from stream.processes.stop import stop_requested
from stream.recommender.artifacts import ArtifactFolder
from stream.recommender.retrainer import Retrainer, RetrainerOptions

NICENESS = 5
"""Niceness of the retrainer: it has a lower priority than the fold, because people wait for the fold."""


def retrainer(config: Config = None) -> None:
    """Train the recommender at intervals on the interactions in the log, and publish each good version.

    The retrainer uses a GPU if CUDA finds one; otherwise half of the processor's
    cores.
    """
    settings = opened(config, patient=True)
    connection = settings.connection()
    await_topics(connection, settings.partitions)
    own = settings.sections.retrainer
    options = RetrainerOptions(
        interval_s=milliseconds(own.every) / 1000,
        fresh=own.fresh,
        rows=own.interactions,
        users=own.users,
        items=own.items,
        age_ms=milliseconds(own.window),
        origins=frozenset(own.origins),
        hyperparameters=Hyperparameters(dimensions=own.dimensions),
    )
    folder = ArtifactFolder(settings.artifacts, own.keep)
    os.nice(NICENESS)
    with stop_requested() as stop, contextlib.ExitStack() as stack:
        if settings.sections.metrics.retrainer is not None:
            exposition = expose(settings.sections.metrics.retrainer, settings.sections.metrics.host)
            stack.callback(exposition.close)
        from models.recommend import factors  # takes seconds, so it comes after the steps that may fail quickly

        where = factors.use_share_of_cores(0.5)
        print_line(f"retrainer: trains on {where}, writes to {folder.path}")
        Retrainer(connection, settings.partitions, folder, options, factors.fit_items, print_line).run(stop)
