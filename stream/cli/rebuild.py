"""``perennial rebuild``: facts recomputed from the log by this version, beside the running system."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from stream.cli.output import Config, Json, print_json, print_line, print_table

if TYPE_CHECKING:
    from stream.cli.replay import Moved
    from stream.rebuild.process import Rebuilt


class _Bar:
    """Tells a progress bar how far all partitions are together."""

    def __init__(self, open_bar: Callable[[int], Moved]) -> None:
        self._open_bar = open_bar
        self._moved: Moved | None = None
        self._positions: dict[int, int] = {}

    def planned(self, records: int) -> None:
        self._moved = self._open_bar(records)

    def folded(self, partition: int, position: int, now: int) -> None:
        self._positions[partition] = position
        if self._moved is not None:
            self._moved(sum(self._positions.values()), now)

    def switched(self, done: Rebuilt) -> None:
        del done


def rebuild(
    compare: Annotated[
        bool, typer.Option("--compare", help="Change nothing in use; only tell whose facts would be different.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Forget what an interrupted rebuild has done.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recompute the facts of every user from the log with this version's code, and put them into use.

    For after an upgrade that changed how facts are computed; upgrade all workers first. Nothing leaves: no message, no
    signal, no example. What was decided and sent (the ledger) is carried over as it is. Whatever fold owns a partition
    that is switched over is started anew by its supervisor, and pauses for so long. Killed at any moment, the
    same command goes on where it was. Needs Apache Kafka, and a log that was never cut.
    """
    from contextlib import ExitStack

    from stream.cli.interruptible import run
    from stream.cli.replay import progress_bar
    from stream.cluster.topics import require_topics
    from stream.installation.recognition import opened
    from stream.rebuild import shadow_topic
    from stream.rebuild.process import Rebuild
    from stream.rebuild.shadow import code_in_use

    settings = opened(config)
    connection = settings.connection()
    with ExitStack() as stack:
        bar = _Bar(lambda records: stack.enter_context(progress_bar("rebuild", records)))
        work = Rebuild(connection, settings.partitions, code_in_use(), bar)
        require_topics(connection, settings.partitions)
        run(work.require_beginning())
        shadow_topic.make(connection, settings.partitions, settings.replication_factor)
        done = run(work.run(anew=anew, compare_only=compare))
    if not compare:
        shadow_topic.delete(connection)
    if json:
        print_json([one._asdict() for one in done])
        return
    rows = [
        (f"{one.partition}", f"{one.position:,}", f"{one.users:,}", f"{one.changed:,}", one.outcome) for one in done
    ]
    print_table(("partition", "position", "users", "changed", "outcome"), rows)
    users, changed = sum(one.users for one in done), sum(one.changed for one in done)
    would_be = "would be" if compare else "are"
    print_line(f"{users:,} users; the facts of {changed:,} {would_be} different")
