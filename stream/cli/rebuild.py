"""``perennial rebuild``: recompute the facts from the log with this version's code, while the system runs."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from models.counting import counted
from models.fold.recomputed_merges import KeptLink
from stream.cli.interruptible import run
from stream.cli.output import Config, Json, print_json, print_line, print_table
from stream.cli.progress import ShowProgress, progress_bar
from stream.cluster.topics import require_topics
from stream.installation.recognition import opened
from stream.rebuild import shadow_topic
from stream.rebuild.process import Rebuild, Rebuilt
from stream.rebuild.shadow import code_in_use


class _Bar:
    """A progress bar for each pass."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._moved: ShowProgress | None = None
        self._positions: dict[int, int] = {}

    def planned(self, records: int) -> None:
        self._stack.close()
        self._positions.clear()
        self._moved = self._stack.enter_context(progress_bar("rebuild", records))

    def folded(self, partition: int, position: int, now: int) -> None:
        self._positions[partition] = position
        if self._moved is not None:
            self._moved(sum(self._positions.values()), now)

    def switched(self, done: Rebuilt) -> None:
        del done


def rebuild(
    compare: Annotated[
        bool, typer.Option("--compare", help="Change nothing; only count users whose facts would be different.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Discard the work of an interrupted rebuild, and begin again.")
    ] = False,
    keep_differing: Annotated[
        bool,
        typer.Option(
            "--keep-differing",
            help="Keep links between visitors and users as the log has them where this version would make them in "
            "another way, and list them. Without it, the command stops at the first one.",
        ),
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Recompute the facts of every user from the log with this version's code, and put them into use.

    Facts follow from the events alone, such as orders, sessions and consent. Use
    this command after an upgrade that changed how facts are computed, once all
    workers are upgraded.

    A rebuild sends no messages, signals or examples. Past decisions and messages
    (the ledger) stay as they are. When a partition is switched over, its fold
    pauses, because its supervisor restarts it.

    If a rebuild was killed, the same command continues it. A rebuild needs Apache
    Kafka, and a log from which no record was ever deleted.
    """
    settings = opened(config)
    connection = settings.connection()
    with ExitStack() as stack:
        work = Rebuild(connection, settings.partitions, code_in_use(), _Bar(stack))
        require_topics(connection, settings.partitions)
        run(work.require_beginning())
        shadow_topic.make(connection, settings.partitions, settings.replication_factor)
        done = run(work.run(anew=anew, compare_only=compare, keep_differing=keep_differing))
    if not compare:
        shadow_topic.delete(connection)
    if json:
        print_json([{**one._asdict(), "kept": [link._asdict() for link in work.kept_in(one)]} for one in done])
        return
    rows = [
        (f"{one.partition}", f"{one.position:,}", f"{one.users:,}", f"{one.changed:,}", one.outcome) for one in done
    ]
    print_table(("partition", "position", "users", "changed", "outcome"), rows)
    users, changed = sum(one.users for one in done), sum(one.changed for one in done)
    would_be = "would be" if compare else "are"
    print_line(f"{users:,} users; the facts of {changed:,} {would_be} different")
    if work.kept:
        visitors = counted(len(work.kept), "visitor")
        print_line(f"this version would link {visitors} otherwise; the links of the log stay:")
        kept = [(one.visitor, one.user or "-", one.other or "-", _place(one)) for one in work.kept]
        print_table(("visitor", "user in the log", "user by this version", "place in events"), kept)


def _place(link: KeptLink) -> str:
    return "-" if link.offset < 0 else f"partition {link.partition} at {link.offset:,}"
